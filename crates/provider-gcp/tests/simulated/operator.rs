//! The platform's own key, for tenants who bring none.

use leasehold_cloudsim::control::gcp::PolicyPlace;
use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
use leasehold_provider::{Fault, KeyProvider, WrapContext};
use leasehold_provider_gcp::{GcpConfigError, GcpProvider};
use leasehold_secret::KeyLength;
use serde_json::json;

use crate::binding::binding;
use crate::tenant::{kit_request, new_key};
use crate::world::World;

/// A world whose platform has a key of its own, and a provider for it.
async fn operator(world: &World) -> (GcpProvider, String) {
    let key = new_key(world, &world.scenario.base.project.to_string(), "platform", |_| ());
    let member = format!("serviceAccount:{}", world.scenario.base);
    for role in ["roles/cloudkms.cryptoKeyEncrypterDecrypter", "roles/cloudkms.viewer"] {
        world.gcp().grant(&PolicyPlace::Key(key.clone()), role, &member).unwrap();
    }
    let key = key.to_string();
    let keys = vec![key.parse().unwrap()];
    let provider = GcpProvider::build_operator(world.config(), keys, world.arena.clone()).await.unwrap();
    (provider, key)
}

#[tokio::test]
async fn the_platforms_own_key_is_used_as_ourselves() {
    let world = World::start().await;
    let (provider, key) = operator(&world).await;
    assert_eq!(provider.kind().as_str(), "operator");
    let binding = binding("acme", &key, &json!({}));
    assert!(provider.hops(&binding).is_empty());
    let session = provider.assume(&binding).await.unwrap().value;
    provider.check_deputy(&binding, &session).await.unwrap();
    let version = provider.describe(&session).await.unwrap().value.current_version;
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
    let made = provider.generate(&session, KeyLength::B32, &version, context).await.unwrap().value;
    let back = provider.unwrap(&session, &made.ciphertext, context).await.unwrap().value;
    assert!(back.matches(&made.key));
    assert!(world.calls("GenerateAccessToken").is_empty(), "nobody is become");
}

#[tokio::test]
async fn each_proof_asks_for_a_token_of_our_own() {
    let world = World::start().await;
    let (provider, key) = operator(&world).await;
    let binding = binding("acme", &key, &json!({}));
    for round in 1..=3 {
        provider.assume(&binding).await.unwrap();
        assert_eq!(world.calls("GetToken").len(), round);
    }
}

#[tokio::test]
async fn a_tenant_can_name_none_but_the_platforms_keys() {
    let world = World::start().await;
    let (provider, key) = operator(&world).await;
    for (key, settings) in [
        (key.replace("platform", "secrets"), json!({})),
        (key.clone(), json!({ "service_account": "leasehold@tenant-project.iam.gserviceaccount.com" })),
    ] {
        let error = provider.check(&binding("acme", &key, &settings)).unwrap_err();
        assert_eq!(error.fault(), &Fault::Misconfigured);
    }
}

#[tokio::test]
async fn the_kit_says_that_the_tenant_cannot_revoke() {
    let world = World::start().await;
    let (provider, key) = operator(&world).await;
    let binding = binding("acme", &key, &json!({}));
    let own = provider.own_identity().await.unwrap();
    let kit = provider.onboarding_kit(&kit_request(&binding, &own)).unwrap();
    assert!(kit.levers.is_empty());
    assert!(kit.sections[0].body.contains("cannot revoke"), "{kit:?}");
}

#[tokio::test]
async fn keys_that_are_not_named_as_keys_are_refused_at_the_start() {
    let world = World::start().await;
    let build = |key: &str, config| {
        GcpProvider::build_operator(config, vec![key.parse().unwrap()], world.arena.clone())
    };
    let bad = build("platform", world.config()).await.unwrap_err();
    assert!(matches!(bad, GcpConfigError::BadKey { .. }));
    let mut config = world.config();
    config.allowed_locations = vec!["europe-west1".parse().unwrap()];
    let key = "projects/leasehold-platform/locations/us/keyRings/ring/cryptoKeys/platform";
    assert!(matches!(build(key, config).await.unwrap_err(), GcpConfigError::KeyLocation { .. }));
}
