//! The kit's documents, loaded as they stand.

use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
use leasehold_provider::{KeyProvider, KitSection, ProviderError, WrapContext};
use leasehold_provider_gcp::GcpProvider;
use leasehold_secret::KeyLength;
use leasehold_tenant::Binding;

use crate::tenant::{Tenant, documents, paste};
use crate::world::World;

/// Everything that an activation does with a binding.
async fn activate(provider: &GcpProvider, binding: &Binding) -> Result<(), ProviderError> {
    let session = provider.assume(binding).await?.value;
    provider.check_deputy(binding, &session).await?;
    let version = provider.describe(&session).await?.value.current_version;
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Canary, header: &header, context: &context };
    let made = provider.generate(&session, KeyLength::B32, &version, context).await?.value;
    let back = provider.unwrap(&session, &made.ciphertext, context).await?.value;
    assert!(back.matches(&made.key));
    Ok(())
}

/// A tenant of these projects who did what the kit says but for one document; how many there were, and what came of it.
async fn without(
    world: &World,
    provider: &GcpProvider,
    left_out: Option<usize>,
    projects: &[String],
) -> (Vec<KitSection>, Result<(), ProviderError>) {
    let (own, delegates) = projects.split_first().unwrap();
    let delegates: Vec<_> = delegates.iter().map(String::as_str).collect();
    let tenant = Tenant::bare(world, "acme", own, &delegates);
    let documents = documents(&tenant.kit(provider).await);
    for (_, section) in documents.iter().enumerate().filter(|(index, _)| Some(*index) != left_out) {
        paste(&world.gcp(), section);
    }
    let outcome = activate(provider, &tenant.binding).await;
    (documents, outcome)
}

#[tokio::test]
async fn the_kits_documents_work_and_none_of_them_can_be_left_out() {
    let world = World::start().await;
    let provider = world.provider().await;
    for (hops, count) in [(1, 5), (3, 9)] {
        let projects = |case: usize| -> Vec<String> {
            (0..hops).map(|hop| format!("project-{hops}-{case:02}-{hop}")).collect()
        };
        let (documents, outcome) = without(&world, &provider, None, &projects(count)).await;
        assert_eq!((documents.len(), outcome), (count, Ok(())));
        for left_out in 0..count {
            let (documents, outcome) = without(&world, &provider, Some(left_out), &projects(left_out)).await;
            assert!(outcome.is_err(), "{} is not needed", documents[left_out].title);
        }
    }
}

#[tokio::test]
async fn no_permission_of_the_kits_roles_can_be_left_out() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant =
        Tenant::onboard_through(&world, &provider, "acme", "tenant-project", &["hop-one-project"]).await;
    let mut tried = 0;
    for section in documents(&tenant.kit(&provider).await) {
        let Some(name) = section.title.strip_prefix("Custom role ") else { continue };
        let name = name.parse().unwrap();
        let whole: serde_json::Value = serde_json::from_str(&section.body).unwrap();
        for left_out in 0..whole["includedPermissions"].as_array().unwrap().len() {
            let mut less = whole.clone();
            less["includedPermissions"].as_array_mut().unwrap().remove(left_out);
            world.gcp().put_custom_role(&name, less).unwrap();
            let outcome = activate(&provider, &tenant.binding).await;
            assert!(outcome.is_err(), "{} is not needed", whole["includedPermissions"][left_out]);
            tried += 1;
        }
        world.gcp().put_custom_role(&name, whole).unwrap();
        activate(&provider, &tenant.binding).await.unwrap();
    }
    assert_eq!(tried, 5);
}
