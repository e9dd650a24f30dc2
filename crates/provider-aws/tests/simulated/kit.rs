//! What the kit says about revoking, done. That what it says about onboarding works, every other test here shows.

use leasehold_envelope::KeyVersion;
use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
use leasehold_provider::{Edge, Fault, KeyProvider, WrapContext};
use leasehold_secret::KeyLength;
use serde_json::Value;

use crate::tenant::{Tenant, key_policy, kit_request};
use crate::world::World;

/// The document that the commands write to `file`.
fn written_to(commands: &str, file: &str) -> Value {
    let (_, rest) = commands.split_once(&format!("cat > {file} <<'EOF'\n")).unwrap();
    let (document, _) = rest.split_once("\nEOF\n").unwrap();
    serde_json::from_str(document).unwrap()
}

async fn revocation(world: &World, tenant: &Tenant) -> String {
    let provider = world.provider().await;
    let own = provider.own_identity().await.unwrap();
    let kit = provider.onboarding_kit(&kit_request(&tenant.binding, &own)).unwrap();
    kit.sections.last().unwrap().body.clone()
}

#[tokio::test]
async fn the_first_way_to_revoke_is_a_denial_at_the_trust_edge() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let document = written_to(&revocation(&world, &tenant).await, "trust-nobody.json");
    world.aws().set_trust_policy(tenant.role(), document).unwrap();
    let error = provider.assume(&tenant.binding).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Denied { edge: Edge::Trust { hop: 0 } });
}

#[tokio::test]
async fn the_second_way_to_revoke_is_a_denial_at_the_key_edge_for_open_sessions_too() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    let statement = written_to(&revocation(&world, &tenant).await, "key-denial.json");
    let mut policy = key_policy(&tenant.key);
    policy["Statement"].as_array_mut().unwrap().push(statement);
    world.aws().set_key_policy(&tenant.key, policy).unwrap();
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
    let version = KeyVersion::none();
    let made = provider.generate_without_plaintext(&session, KeyLength::B32, &version, context).await;
    assert_eq!(made.unwrap_err().fault(), &Fault::Denied { edge: Edge::Key });
}
