//! What the kit says, done: all of it works, and nothing of it can be left out.

use leasehold_cloudsim::azure::KeyKind;
use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::azure::ids::DirectoryId;
use leasehold_cloudsim::control::azure::model::VaultSpec;
use leasehold_provider::{Edge, Fault, KeyProvider, KeyState, ProviderError};
use leasehold_provider_azure::AzureProvider;
use serde_json::Value;

use crate::tenant::{Step, Tenant, document, kit_request, new_key_in, put_directory};
use crate::world::{World, binding_in, bound, dek};

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
    // Each recognised by its command.
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
    assert_eq!(kit.levers.len(), pulled.len() + 1, "and one for vaults with access policies");
    for (command, edit, expected) in pulled {
        let lever = kit.levers.iter().find(|lever| lever.revoke.contains(command)).unwrap();
        let id = world.azure().edit(edit).unwrap();
        let error = works(&world, &provider, &tenant).await.unwrap_err();
        assert_eq!(error.fault(), &expected, "{}", lever.title);
        world.azure().undo(id).unwrap();
        works(&world, &provider, &tenant).await.unwrap();
    }
}

#[tokio::test]
async fn a_role_of_ones_own_does_as_well_and_no_action_of_it_can_be_left_out() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::new(&world, "acme", 1);
    tenant.paste(&world, &provider, &[Step::Consent, Step::Tag]).await;
    let own = provider.own_identity().await.unwrap();
    let kit = provider.onboarding_kit(&kit_request(&tenant.binding, &own)).unwrap();
    let role = tenant.filled_in(&world, &document(&kit, "DataActions"));
    let mut assignment = tenant.filled_in(&world, &document(&kit, "properties"));
    let mut give = |role: &Value| {
        let id = world.azure().put_role_definition(role).unwrap();
        let definition = format!("/providers/Microsoft.Authorization/roleDefinitions/{id}");
        assignment["properties"]["roleDefinitionId"] = Value::from(definition);
        world.azure().put_role_assignment(&assignment).unwrap()
    };
    for left_out in 0..3 {
        let mut lesser = role.clone();
        lesser["DataActions"].as_array_mut().unwrap().remove(left_out);
        let given = give(&lesser);
        let error = works(&world, &provider, &tenant).await.unwrap_err();
        assert_eq!(
            error.fault(),
            &Fault::Denied { edge: Edge::Key },
            "without {}",
            role["DataActions"][left_out]
        );
        world.azure().delete_role_assignment(&given).unwrap();
    }
    give(&role);
    works(&world, &provider, &tenant).await.unwrap();
}

#[tokio::test]
async fn a_vault_with_access_policies_is_let_in_and_revoked_by_them() {
    let world = World::start().await;
    let provider = world.provider().await;
    let directory: DirectoryId = "20000000-0000-4000-8000-000000000001".parse().unwrap();
    put_directory(&world, &directory, "acme");
    let spec = VaultSpec { access_policies: true, ..VaultSpec::in_directory(directory.clone()) };
    let key = new_key_in(&world, spec, "acme", KeyKind::Rsa, None);
    let tenant = Tenant { binding: binding_in("acme", &key.to_string(), &directory), directory, key };
    tenant.paste(&world, &provider, &[Step::Consent, Step::Tag]).await;
    let own = provider.own_identity().await.unwrap();
    let kit = provider.onboarding_kit(&kit_request(&tenant.binding, &own)).unwrap();
    let lever =
        kit.levers.iter().find(|lever| lever.revoke.starts_with("az keyvault delete-policy")).unwrap();
    let (_, permissions) = lever.restore.split_once("--key-permissions ").unwrap();
    let permissions: Vec<_> = permissions.split(' ').map(str::to_owned).collect();
    let principal = tenant.principal(&world).unwrap().parse().unwrap();
    let set = |permissions: &[String]| {
        world.azure().set_access_policy(tenant.key.vault(), &principal, permissions).unwrap();
    };
    set(&permissions);
    works(&world, &provider, &tenant).await.unwrap();
    for left_out in 0..permissions.len() {
        let mut lesser = permissions.clone();
        let name = lesser.remove(left_out);
        set(&lesser);
        let error = works(&world, &provider, &tenant).await.unwrap_err();
        assert_eq!(error.fault(), &Fault::Denied { edge: Edge::Key }, "without {name}");
        assert_eq!(error.code(), Some("ForbiddenByPolicy"));
    }
    set(&permissions);
    works(&world, &provider, &tenant).await.unwrap();
    set(&[]);
    let error = works(&world, &provider, &tenant).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Denied { edge: Edge::Key });
}
