//! Confused deputies: tenants who would have us use another's key.

use leasehold_cloudsim::azure::edits::Edit;
use leasehold_envelope::KeyVersion;
use leasehold_provider::{Depth, Fault, KeyProvider, KeyState, ProviderError};
use leasehold_provider_azure::AzureProvider;
use leasehold_tenant::Binding;

use crate::tenant::{Step, Tenant};
use crate::world::{World, binding_in};

/// What activation asks: become the principal, look for the challenge, describe the key.
async fn activated(provider: &AzureProvider, binding: &Binding) -> Result<(), ProviderError> {
    let session = provider.assume(binding).await?.value;
    provider.check_deputy(binding, &session).await?;
    provider.describe(&session).await.map(drop)
}

#[tokio::test]
async fn p6_a_tenant_cannot_bind_another_tenants_key() {
    let world = World::start().await;
    let provider = world.provider().await;
    let victim = Tenant::onboard(&world, &provider, "acme", 1).await;
    assert!(activated(&provider, &victim.binding).await.is_ok());
    // The thief knows directory and key, and the victim has let us in: all that stands between is the challenge.
    let thief = binding_in("thief", &victim.key.to_string(), &victim.directory);
    let session = provider.assume(&thief).await.unwrap().value;
    let error = provider.check_deputy(&thief, &session).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some("CHALLENGE_DIFFERS")));
    let issued = victim.binding.external_id.as_str();
    assert!(!error.detail().contains(issued), "the victim's is not told: {error}");
}

#[tokio::test]
async fn p6_who_does_not_show_the_challenge_learns_nothing_else_about_the_key() {
    let world = World::start().await;
    let provider = world.provider().await;
    let victim = Tenant::onboard(&world, &provider, "acme", 1).await;
    world.azure().edit(Edit::KeyDisabled { key: victim.key.clone() }).unwrap();
    let thief = binding_in("thief", &victim.key.to_string(), &victim.directory);
    let session = provider.assume(&thief).await.unwrap().value;
    provider.check_deputy(&thief, &session).await.unwrap_err();
    // A verification goes on after a failed step.
    let error = provider.describe(&session).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some("CHALLENGE_DIFFERS")));
    let findings = provider.inspect(&thief, None, &session, Depth::ExcessPermissions).await;
    assert!(findings.is_empty(), "{findings:?}");
    // The owner, who shows it, is told what is wrong.
    let session = provider.assume(&victim.binding).await.unwrap().value;
    provider.check_deputy(&victim.binding, &session).await.unwrap();
    let error = provider.describe(&session).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::KeyUnusable(KeyState::Disabled));
}

#[tokio::test]
async fn a_new_version_without_the_tag_is_adopted_by_a_binding_that_showed_it() {
    let world = World::start().await;
    let provider = world.provider().await;
    let mut tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let before = described(&provider, &tenant.binding).await;
    tenant.binding.canary = Some(vec![0; 64].try_into().unwrap());
    world.azure().rotate_key(&tenant.key).unwrap();
    let tag = "leasehold-challenge".to_owned();
    world.azure().edit(Edit::RemoveTag { key: tenant.key.clone(), tag }).unwrap();
    let after = described(&provider, &tenant.binding).await;
    assert_ne!(before, after, "the newest version wraps");
    // A verification says that the tag is gone, and goes on.
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    let error = provider.check_deputy(&tenant.binding, &session).await.unwrap_err();
    assert_eq!(error.code(), Some("CHALLENGE_MISSING"));
    provider.describe(&session).await.unwrap();
}

async fn described(provider: &AzureProvider, binding: &Binding) -> KeyVersion {
    let session = provider.assume(binding).await.unwrap().value;
    provider.describe(&session).await.unwrap().value.current_version
}

#[tokio::test]
async fn a_challenge_is_good_for_one_binding_only() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let issued = tenant.binding.external_id.as_str();
    for wrong in ["", &issued[..issued.len() - 1], &issued.to_uppercase(), &format!("{issued} {issued}"), "*"]
    {
        world.azure().put_tag(&tenant.key, "leasehold-challenge", wrong).unwrap();
        let error = activated(&provider, &tenant.binding).await.unwrap_err();
        assert_eq!(
            (error.fault(), error.code()),
            (&Fault::Misconfigured, Some("CHALLENGE_DIFFERS")),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_vault_in_our_own_directory_is_refused_whoever_tagged_its_key() {
    let world = World::start().await;
    let provider = world.provider().await;
    let home = world.scenario.directory.clone();
    let key =
        crate::tenant::new_key(&world, &home, "internal", leasehold_cloudsim::azure::KeyKind::Rsa, None);
    let binding = binding_in("thief", &key.to_string(), &home);
    let tenant = Tenant { binding, directory: home, key };
    tenant.paste(&world, &provider, &Step::ALL).await;
    let error = activated(&provider, &tenant.binding).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some("HOME_DIRECTORY")));
}
