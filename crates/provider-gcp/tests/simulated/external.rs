//! Keys in an external key manager, whose owner has one more way to say no.

use leasehold_cloudsim::control::gcp::PolicyPlace;
use leasehold_cloudsim::gcp::name::KeyName;
use leasehold_cloudsim::gcp::{ExternalAnswer, ProtectionLevel};
use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
use leasehold_provider::{Edge, Fault, KeyProvider, KeyState, WrapContext};
use leasehold_provider_gcp::GcpProvider;
use leasehold_secret::KeyLength;
use leasehold_tenant::Binding;
use serde_json::Value;

use crate::binding::binding;
use crate::tenant::{Tenant, new_key};
use crate::world::World;

/// A binding whose key is in an external key manager.
async fn external(world: &World, provider: &GcpProvider) -> (Binding, KeyName) {
    let tenant = Tenant::onboard(world, provider, "acme", "tenant-project").await;
    let key = new_key(world, "tenant-project", "external", |key| {
        key.protection_level = ProtectionLevel::External;
    });
    let member = format!("serviceAccount:{}", tenant.account());
    let role = "projects/tenant-project/roles/leaseholdKeyUser";
    world.gcp().grant(&PolicyPlace::Key(key.clone()), role, &member).unwrap();
    let settings = Value::Object(tenant.binding.settings.0.clone());
    let binding = binding("acme", &key.to_string(), &settings);
    world.gcp().set_label(&key, "leasehold-challenge", binding.external_id.as_str()).unwrap();
    (binding, key)
}

#[tokio::test]
async fn p2_p3_an_external_key_managers_no_is_a_denial_and_its_silence_is_not() {
    let world = World::start().await;
    let provider = world.provider().await;
    let (binding, key) = external(&world, &provider).await;
    let session = provider.assume(&binding).await.unwrap().value;
    let version = provider.describe(&session).await.unwrap().value.current_version;
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Canary, header: &header, context: &context };
    let made = provider.generate(&session, KeyLength::B32, &version, context).await.unwrap().value;
    for (answer, fault) in [
        (ExternalAnswer::Unreachable, Fault::Unavailable),
        (ExternalAnswer::PermissionDenied, Fault::Denied { edge: Edge::Version }),
        (ExternalAnswer::NotFound, Fault::KeyUnusable(KeyState::NotFound)),
    ] {
        world.gcp().set_external(&key, answer).unwrap();
        let error = provider.unwrap(&session, &made.ciphertext, context).await.err().unwrap();
        assert_eq!(error.fault(), &fault, "{answer:?}");
    }
    world.gcp().set_external(&key, ExternalAnswer::Done).unwrap();
    assert!(provider.unwrap(&session, &made.ciphertext, context).await.is_ok());
}

#[tokio::test]
async fn p2_an_external_key_managers_no_to_one_version_is_none_to_another() {
    let world = World::start().await;
    let provider = world.provider().await;
    let (binding, key) = external(&world, &provider).await;
    let session = provider.assume(&binding).await.unwrap().value;
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Canary, header: &header, context: &context };
    let mut made = Vec::new();
    for _ in 0..2 {
        let version = provider.describe(&session).await.unwrap().value.current_version;
        made.push(provider.generate(&session, KeyLength::B32, &version, context).await.unwrap().value);
        world.gcp().rotate_key(&key).unwrap();
    }
    world.gcp().set_version_external(&key, 1, ExternalAnswer::PermissionDenied).unwrap();
    let error = provider.unwrap(&session, &made[0].ciphertext, context).await.err().unwrap();
    assert_eq!(error.fault(), &Fault::Denied { edge: Edge::Version });
    assert!(provider.unwrap(&session, &made[1].ciphertext, context).await.is_ok());
}
