//! What the kit says, done: all of it works, and nothing of it can be left out.

use leasehold_cloudsim::azure::edits::Edit;
use leasehold_provider::{Edge, Fault, KeyProvider, KeyState, ProviderError};
use leasehold_provider_azure::AzureProvider;

use crate::tenant::{Step, Tenant, kit_request};
use crate::world::{World, bound, dek};

/// What activation and a first use ask.
async fn works(world: &World, provider: &AzureProvider, tenant: &Tenant) -> Result<(), ProviderError> {
    let session = provider.assume(&tenant.binding).await?.value;
    provider.check_deputy(&tenant.binding, &session).await?;
    let version = provider.describe(&session).await?.value.current_version;
    let bound = bound();
    let key =
        leasehold_secret::PlaintextKey::generate(&world.arena, leasehold_secret::KeyLength::B32).unwrap();
    let wrapped = provider.wrap(&session, &key, &version, dek(&bound)).await?.value;
    provider.unwrap(&session, &wrapped, dek(&bound)).await.map(drop)
}

#[tokio::test]
async fn the_kits_documents_as_they_stand_make_the_binding_work() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    works(&world, &provider, &tenant).await.unwrap();
}

#[tokio::test]
async fn without_any_one_of_the_kits_steps_the_binding_does_not_work() {
    let world = World::start().await;
    let provider = world.provider().await;
    for (number, left_out) in (1..).zip(Step::ALL) {
        let tenant = Tenant::new(&world, &format!("acme{number}"), number);
        let others: Vec<_> = Step::ALL.into_iter().filter(|step| *step != left_out).collect();
        tenant.paste(&world, &provider, &others).await;
        let error = works(&world, &provider, &tenant).await.unwrap_err();
        let expected = match left_out {
            Step::Consent => Fault::Denied { edge: Edge::Trust { hop: 0 } },
            Step::Role => Fault::Denied { edge: Edge::Key },
            Step::Tag => Fault::Misconfigured,
        };
        assert_eq!(error.fault(), &expected, "without {left_out:?}");
    }
}

#[tokio::test]
async fn every_lever_of_the_kit_is_a_denial_and_can_be_put_back() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let own = provider.own_identity().await.unwrap();
    let kit = provider.onboarding_kit(&kit_request(&tenant.binding, &own)).unwrap();
    let (directory, app, key) =
        (tenant.directory.clone(), world.scenario.client_id.clone(), tenant.key.clone());
    let trust = || Fault::Denied { edge: Edge::Trust { hop: 0 } };
    // In the order of the kit, each recognised by its command.
    let pulled = [
        ("--enabled false", Edit::KeyDisabled { key }, Fault::KeyUnusable(KeyState::Disabled)),
        (
            "accountEnabled=false",
            Edit::DisableServicePrincipal { directory: directory.clone(), app: app.clone() },
            trust(),
        ),
        (
            "role assignment delete",
            Edit::RemoveRoleAssignments { directory: directory.clone(), app: app.clone() },
            Fault::Denied { edge: Edge::Key },
        ),
        ("az ad sp delete", Edit::RemoveConsent { directory, app }, trust()),
    ];
    assert_eq!(kit.levers.len(), pulled.len());
    for (lever, (command, edit, expected)) in kit.levers.iter().zip(pulled) {
        assert!(lever.revoke.contains(command), "{}", lever.revoke);
        let id = world.azure().edit(edit).unwrap();
        let error = works(&world, &provider, &tenant).await.unwrap_err();
        assert_eq!(error.fault(), &expected, "{}", lever.title);
        world.azure().undo(id).unwrap();
        works(&world, &provider, &tenant).await.unwrap();
    }
}
