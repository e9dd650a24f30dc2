//! Onboarding: PENDING, kit, ACTIVE, and what keeps a binding from it.

use leasehold_envelope::Hierarchy;
use leasehold_ids::DeploymentId;
use leasehold_lease::LeaseError;
use leasehold_service::{ChangeOptions, Mode, Paging, ServiceError, TenantChange};
use leasehold_tenant::{BindingState, ChangeError, ExternalId, MAX_BINDINGS, NewBinding};

use crate::world::{World, name, new_binding, root, tenant};

#[tokio::test]
async fn a_new_binding_is_pending_and_asks_no_cloud() {
    let world = World::empty();
    world.create_tenant("acme").await;
    let none = ChangeOptions::default();
    let record =
        world.service.create_binding(&root(), &tenant("acme"), None, new_binding(), &none).await.unwrap();
    assert_eq!(record.binding.state, BindingState::Pending);
    assert!(record.binding.name.binding().as_str().starts_with("b-"), "an id was made up");
    let deployment: DeploymentId = "test".parse().unwrap();
    assert_eq!(record.binding.external_id, ExternalId::derive(&deployment, &record.binding.name));
    assert_eq!(world.cloud.calls(""), 0);
}

#[tokio::test]
async fn what_a_provider_finds_wrong_is_told_at_creation() {
    let world = World::empty();
    world.create_tenant("acme").await;
    world.cloud.refuse_settings();
    let none = ChangeOptions::default();
    let refused = world.service.create_binding(&root(), &tenant("acme"), None, new_binding(), &none).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, ServiceError::InvalidArgument { field: "binding", .. }), "{error:?}");
    assert!(error.to_string().contains("must name a role"), "{error}");
    assert!(world.registry.record("acme").await.bindings.is_empty());
}

#[tokio::test]
async fn clouds_and_hierarchies_that_there_are_not_are_refused() {
    let world = World::empty();
    world.create_tenant("acme").await;
    let none = ChangeOptions::default();
    let elsewhere = NewBinding { provider: "mars".parse().unwrap(), ..new_binding() };
    let refused = world.service.create_binding(&root(), &tenant("acme"), None, elsewhere, &none).await;
    assert!(matches!(refused, Err(ServiceError::Lease(LeaseError::UnknownProvider(_)))), "{refused:?}");
    let kek = NewBinding { hierarchy: Hierarchy::Kek, ..new_binding() };
    let refused = world.service.create_binding(&root(), &tenant("acme"), None, kek, &none).await;
    assert!(matches!(refused, Err(ServiceError::InvalidArgument { field: "binding.hierarchy", .. })));
}

#[tokio::test]
async fn the_kit_says_whom_to_let_in_and_with_which_external_id() {
    let world = World::with_acme().await;
    let kit = world.service.onboarding_kit(&root(), &name("acme", "main")).await.unwrap();
    let record = world.registry.record("acme").await;
    let external_id = record.active_binding().unwrap().external_id.to_string();
    assert!(kit.sections[0].body.contains("leasehold") && kit.sections[0].body.contains(&external_id));
}

#[tokio::test]
async fn activation_verifies_and_passes_on_warnings() {
    let world = World::empty();
    world.create_tenant("acme").await;
    world.create_binding("acme", "main").await;
    let none = ChangeOptions::default();
    let activated = world.service.activate_binding(&root(), &name("acme", "main"), &none).await.unwrap();
    assert_eq!(activated.record.binding.state, BindingState::Active);
    assert!(activated.record.binding.canary.is_some());
    assert_eq!(activated.warnings[0].reason, "ROTATION_OFF");
    for call in ["assume", "check_deputy", "describe", "wrap", "unwrap canary"] {
        assert_eq!(world.cloud.calls(call), 1, "{call}");
    }
    let again = world.service.activate_binding(&root(), &name("acme", "main"), &none).await.unwrap_err();
    let told = matches!(again, ServiceError::Change(ChangeError::WrongBindingState { .. }));
    assert!(told && world.cloud.calls("assume") == 1, "an ACTIVE binding is not verified again: {again:?}");
}

#[tokio::test]
async fn a_failed_activation_changes_nothing() {
    type Fail = fn(&World);
    let failures: [(Fail, &str); 3] = [
        (|w| w.cloud.deny_trust(true), "BINDING_DENIED"),
        (|w| w.cloud.deny_key(true), "BINDING_DENIED"),
        (|w| w.cloud.open_to_deputies(), "BINDING_MISCONFIGURED"),
    ];
    for (fail, reason) in failures {
        let world = World::empty();
        world.create_tenant("acme").await;
        world.create_binding("acme", "main").await;
        let before = world.registry.record("acme").await;
        fail(&world);
        let none = ChangeOptions::default();
        let error = world.service.activate_binding(&root(), &name("acme", "main"), &none).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{error:?}");
        assert!(error.cloud().is_some(), "what the cloud said is kept");
        assert_eq!(world.registry.record("acme").await, before);
    }
}

#[tokio::test]
async fn an_activation_whose_record_changed_meanwhile_keeps_to_its_etag() {
    for (with_etag, fails) in [(true, true), (false, false)] {
        let world = World::empty();
        world.create_tenant("acme").await;
        world.create_binding("acme", "main").await;
        let etag = leasehold_service::etag(&*world.registry.record("acme").await);
        let options = ChangeOptions { etag: if with_etag { etag } else { String::new() }, mode: Mode::Apply };
        world.cloud.pause();
        let service = world.service.clone();
        let activating =
            tokio::spawn(
                async move { service.activate_binding(&root(), &name("acme", "main"), &options).await },
            );
        world.clock.settle().await;
        let change = [TenantChange::DisplayName("meanwhile".into())];
        let none = ChangeOptions::default();
        world.service.update_tenant(&root(), &tenant("acme"), &change, &none).await.unwrap();
        world.cloud.resume();
        let result = activating.await.unwrap();
        assert_eq!(matches!(result, Err(ServiceError::Conflict)), fails, "{result:?}");
        let record = world.registry.record("acme").await;
        assert_eq!(record.active_binding().is_none(), fails);
        assert_eq!(record.display_name, "meanwhile");
    }
}

#[tokio::test]
async fn nothing_is_activated_for_a_suspended_tenant() {
    let world = World::empty();
    world.create_tenant("acme").await;
    world.create_binding("acme", "main").await;
    world.suspend("acme").await;
    let none = ChangeOptions::default();
    let refused = world.service.activate_binding(&root(), &name("acme", "main"), &none).await;
    assert!(matches!(refused, Err(ServiceError::TenantSuspended)), "{refused:?}");
    assert_eq!(world.cloud.calls(""), 0);
}

#[tokio::test]
async fn verifying_only_asks_the_cloud_and_changes_nothing() {
    let world = World::empty();
    world.create_tenant("acme").await;
    world.create_binding("acme", "main").await;
    let before = world.registry.record("acme").await;
    let options = ChangeOptions { mode: Mode::ValidateOnly, ..ChangeOptions::default() };
    let result = world.service.activate_binding(&root(), &name("acme", "main"), &options).await.unwrap();
    assert_eq!(result.record.binding.state, BindingState::Active, "as it would be");
    assert_eq!(world.cloud.calls("unwrap canary"), 1);
    assert_eq!(world.registry.record("acme").await, before);
}

#[tokio::test]
async fn bindings_are_listed_page_by_page_and_p9_bounded_in_number() {
    let world = World::empty();
    world.create_tenant("acme").await;
    let none = ChangeOptions::default();
    for n in 0..MAX_BINDINGS {
        world.create_binding("acme", &format!("b{n:03}")).await;
    }
    let refused = world.service.create_binding(&root(), &tenant("acme"), None, new_binding(), &none).await;
    assert_eq!(refused.unwrap_err().reason(), "OVER_LIMIT");
    let mut paging = Paging::default();
    let first = world.service.list_bindings(&root(), &tenant("acme"), &paging).await.unwrap();
    assert_eq!(first.items.len(), 50);
    paging.token = first.next_token;
    let second = world.service.list_bindings(&root(), &tenant("acme"), &paging).await.unwrap();
    assert_eq!((second.items.len(), &*second.next_token), (MAX_BINDINGS - 50, ""));
    assert_eq!(second.items[0].binding.name.binding().as_str(), "b050");
}

#[tokio::test]
async fn an_unknown_binding_of_a_known_tenant_is_told_as_such() {
    let world = World::with_acme().await;
    let absent = name("acme", "absent");
    let none = ChangeOptions::default();
    for error in [
        world.service.get_binding(&root(), &absent).await.map(drop).unwrap_err(),
        world.service.onboarding_kit(&root(), &absent).await.map(drop).unwrap_err(),
        world.service.activate_binding(&root(), &absent, &none).await.map(drop).unwrap_err(),
        world.service.retire_binding(&root(), &absent, &none).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, ServiceError::UnknownBinding(_)), "{error:?}");
    }
}
