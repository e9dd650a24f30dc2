//! Confused deputies: tenants who would have us use another's key.

use leasehold_provider::{Fault, KeyProvider, ProviderError};
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
    for checked in
        [provider.check_deputy(&thief, &session).await, provider.describe(&session).await.map(drop)]
    {
        let error = checked.unwrap_err();
        assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some("CHALLENGE_DIFFERS")));
        assert!(
            !error.detail().contains(victim.binding.external_id.as_str()),
            "the victim's is not told: {error}"
        );
    }
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
