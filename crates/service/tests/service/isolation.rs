//! Promise P6: nobody gets, or learns, what is another's.

use leasehold_authz::Operation;
use leasehold_ids::TenantId;
use leasehold_lease::LeaseError;
use leasehold_provider::{Depth, Fault};
use leasehold_service::{
    Caller, ChangeOptions, Foreign, Mode, NewTenant, Paging, ServiceError, TenantChange, WatchMessage,
    WatchMode,
};

use crate::world::{ENGINE, LENGTH, NOBODY, World, caller, context, name, new_binding, root, tenant};

/// What became of every operation that names a tenant, tried on binding `main` of `id`.
pub(crate) async fn try_everything(
    world: &World,
    who: &Caller,
    id: &TenantId,
) -> Vec<(Operation, Result<(), ServiceError>)> {
    let (service, none) = (&world.service, ChangeOptions::default());
    let wrapped = vec![1; 40].try_into().unwrap();
    let main = name(id.as_str(), "main");
    let change = [TenantChange::DisplayName("x".into())];
    let plain = world.key(&[7; 32]);
    let context = context();
    let watching = async {
        let message = WatchMessage {
            sequence: 1,
            subscriptions: vec![(id.clone(), WatchMode::Hold)],
            ..WatchMessage::default()
        };
        service.watch(who).await?.receive(message).await
    };
    vec![
        (
            Operation::GenerateDataKey,
            released(service.generate_data_key(who, id, LENGTH, &context).await).await,
        ),
        (
            Operation::GenerateDataKeyWithoutPlaintext,
            released(service.generate_data_key_without_plaintext(who, id, LENGTH, &context).await).await,
        ),
        (Operation::WrapKey, released(service.wrap_key(who, id, plain, &context).await).await),
        (Operation::UnwrapKey, released(service.unwrap_key(who, id, &wrapped, &context).await).await),
        (Operation::RewrapKey, released(service.rewrap_key(who, id, &wrapped, &context, None).await).await),
        (Operation::WatchLeases, watching.await.map(drop)),
        (
            Operation::CreateTenant,
            service.create_tenant(who, id, NewTenant::default(), Mode::ValidateOnly).await.map(drop),
        ),
        (Operation::GetTenant, service.get_tenant(who, id).await.map(drop)),
        (Operation::UpdateTenant, service.update_tenant(who, id, &change, &none).await.map(drop)),
        (Operation::ReproveTenant, service.reprove_tenant(who, id).await.map(drop)),
        (
            Operation::CreateBinding,
            service.create_binding(who, id, None, new_binding(), &none).await.map(drop),
        ),
        (Operation::GetBinding, service.get_binding(who, &main).await.map(drop)),
        (Operation::ListBindings, service.list_bindings(who, id, &Paging::default()).await.map(drop)),
        (Operation::GetOnboardingKit, service.onboarding_kit(who, &main).await.map(drop)),
        (Operation::ActivateBinding, service.activate_binding(who, &main, &none).await.map(drop)),
        (Operation::VerifyBinding, service.verify_binding(who, &main, Depth::Access).await.map(drop)),
        (Operation::RetireBinding, service.retire_binding(who, &main, &none).await.map(drop)),
        (Operation::SuspendTenant, service.suspend_tenant(who, id, &none).await.map(drop)),
        (Operation::ResumeTenant, service.resume_tenant(who, id, &none).await.map(drop)),
        (Operation::DeleteTenant, service.delete_tenant(who, id, &none).await.map(drop)),
        (Operation::UndeleteTenant, service.undelete_tenant(who, id, &none).await.map(drop)),
    ]
}

async fn released<T>(served: Result<leasehold_service::Served<T>, ServiceError>) -> Result<(), ServiceError> {
    served?.release().await.map(drop)
}

fn cover_every_operation(tried: &[(Operation, Result<(), ServiceError>)]) {
    let mut names: Vec<_> = tried.iter().map(|(operation, _)| *operation).collect();
    names.push(Operation::ListTenants);
    names.sort();
    assert_eq!(names, Operation::ALL, "a new operation must be tried here too");
}

#[tokio::test]
async fn p6_a_caller_without_rights_learns_nothing() {
    let world = World::with_acme().await;
    let existing = try_everything(&world, &caller(NOBODY), &tenant("acme")).await;
    let absent = try_everything(&world, &caller(NOBODY), &tenant("absent")).await;
    cover_every_operation(&existing);
    for ((operation, one), (_, other)) in existing.into_iter().zip(absent) {
        let (one, other) = (one.unwrap_err(), other.unwrap_err());
        assert!(matches!(one, ServiceError::PermissionDenied), "{operation}: {one:?}");
        assert_eq!((one.reason(), one.to_string()), (other.reason(), other.to_string()), "{operation}");
    }
    let listing = world.service.list_tenants(&caller(NOBODY), &Paging::default(), true).await;
    assert!(matches!(listing, Err(ServiceError::PermissionDenied)));
}

#[tokio::test]
async fn p6_authorisation_comes_before_any_look_up() {
    let world = World::with_acme().await;
    let (reads, calls, records) =
        (world.registry.calls(), world.cloud.calls(""), world.audit.records().len());
    for id in ["acme", "absent"] {
        try_everything(&world, &caller(NOBODY), &tenant(id)).await;
    }
    world.clock.settle().await;
    assert_eq!(world.registry.calls(), reads, "the registry was not asked");
    assert_eq!(world.cloud.calls(""), calls, "no cloud was asked");
    let refusals = world.outcomes(records);
    assert_eq!(refusals.len(), 2 * (Operation::ALL.len() - 1), "each was recorded");
    for (operation, outcome, reason) in refusals {
        assert_eq!(outcome, leasehold_audit::Outcome::Refused, "{operation}");
        assert_eq!(reason.as_deref(), Some("CALLER_NOT_ALLOWED"), "{operation}");
    }
}

#[tokio::test]
async fn rights_to_one_tenant_are_no_rights_to_another() {
    let world = World::with_acme().await;
    world.create_tenant("globex").await;
    world.activate("globex", "main").await;
    let theirs = world.wrap("globex", &[7; 32]).await;
    let denied = world.service.unwrap_key(&caller(ENGINE), &tenant("globex"), &theirs, &context()).await;
    assert!(matches!(denied, Err(ServiceError::PermissionDenied)));
    let own = world.wrap("acme", &[7; 32]).await;
    assert!(world.service.unwrap_key(&caller(ENGINE), &tenant("acme"), &own, &context()).await.is_ok());
}

#[tokio::test]
async fn an_unknown_tenant_is_told_to_those_whose_rules_cover_it() {
    let world = World::with_acme().await;
    for (operation, result) in try_everything(&world, &root(), &tenant("absent")).await {
        match (operation, result) {
            // What it asks is whether it could be created.
            (Operation::CreateTenant, result) => result.unwrap(),
            // Bytes that are no envelope are refused before the tenant is looked up.
            (Operation::UnwrapKey, Err(ServiceError::MalformedEnvelope(_))) => {}
            (operation, result) => {
                let error = result.unwrap_err();
                assert!(matches!(error, ServiceError::UnknownTenant(_)), "{operation}: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn p6_another_tenants_envelope_is_refused_without_asking_any_cloud() {
    let world = World::with_acme().await;
    world.create_tenant("globex").await;
    world.activate("globex", "main").await;
    let theirs = world.wrap("globex", &[7; 32]).await;
    // Warm, so that a cache shared between tenants would answer.
    world.unwrap("globex", &theirs).await.unwrap();
    let calls = world.cloud.calls("");
    let mut errors = vec![world.unwrap("acme", &theirs).await.unwrap_err()];
    let rewrapped = world.service.rewrap_key(&root(), &tenant("acme"), &theirs, &context(), None).await;
    errors.push(rewrapped.unwrap_err());
    for error in errors {
        assert!(matches!(error, ServiceError::ForeignEnvelope(Foreign::Tenant)), "{error:?}");
        let told = format!("{error} {}", std::error::Error::source(&error).unwrap());
        assert!(!told.contains("globex"), "{told}");
    }
    assert_eq!(world.cloud.calls(""), calls);
}

#[tokio::test]
async fn p6_an_envelope_with_another_tenants_header_does_not_unwrap() {
    let world = World::with_acme().await;
    world.create_tenant("globex").await;
    world.activate("globex", "main").await;
    let theirs = world.wrap("globex", &[7; 32]).await;
    let envelope = leasehold_envelope::Envelope::parse(theirs.as_bytes()).unwrap();
    let header = leasehold_envelope::Header { tenant: tenant("acme"), ..envelope.header().clone() };
    let forged = leasehold_envelope::Envelope::new(header, envelope.body().clone()).unwrap().encode();
    let error = world.unwrap("acme", &forged).await.unwrap_err();
    let rejected =
        matches!(&error, ServiceError::Lease(LeaseError::Rejected(e)) if *e.fault() == Fault::Rejected);
    assert!(rejected, "{error:?}");
}

#[tokio::test]
async fn p6_a_listing_shows_only_what_the_caller_may_list() {
    let world = World::empty();
    for id in ["aaa", "acme", "acme-1", "acme-2", "acmf", "zzz"] {
        world.create_tenant(id).await;
    }
    let mut paging = Paging { size: 1, token: String::new() };
    let mut seen = Vec::new();
    loop {
        let page = world.service.list_tenants(&caller(ENGINE), &paging, false).await.unwrap();
        seen.extend(page.items.iter().map(|t| t.id.to_string()));
        if page.next_token.is_empty() {
            break;
        }
        paging.token = page.next_token;
    }
    assert_eq!(seen, ["acme", "acme-1", "acme-2"], "and the last page says that it is the last");
}

#[tokio::test]
async fn p9_a_tenant_whose_cloud_does_not_answer_leaves_room_for_others() {
    let world = World::with(|s| s.calls = 16);
    world.settle_acme().await;
    world.create_tenant("globex").await;
    world.activate("globex", "main").await;
    let generate = |id: &'static str| {
        let service = world.service.clone();
        tokio::spawn(async move {
            let made = service.generate_data_key(&root(), &tenant(id), LENGTH, &context()).await;
            made.map(drop)
        })
    };
    world.cloud.pause();
    let waiting: Vec<_> = (0..4).map(|_| generate("acme")).collect();
    world.clock.settle().await;
    let error = generate("acme").await.unwrap().unwrap_err();
    assert!(matches!(error, ServiceError::OverLimit(_)), "{error:?}");
    let other = generate("globex");
    world.clock.settle().await;
    world.cloud.resume();
    other.await.unwrap().unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    generate("acme").await.unwrap().unwrap();
}
