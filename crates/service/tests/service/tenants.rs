//! Tenants: etags, masks, paging, checks.

use leasehold_service::{ChangeOptions, Mode, NewTenant, Paging, ServiceError, TenantChange, etag};
use leasehold_tenant::{CacheMode, RevocationBound};

use crate::world::{NOBODY, World, caller, root, seconds, tenant};

fn renamed(name: &str) -> [TenantChange; 1] {
    [TenantChange::DisplayName(name.into())]
}

#[tokio::test]
async fn p6_a_record_that_cannot_be_read_is_nobody_elses_trouble() {
    let world = World::with_acme().await;
    for id in ["a", "b", "zz"] {
        world.create_tenant(id).await;
    }
    world.registry.spoil("b");
    world.registry.spoil("zz");
    // One that has listed nothing yet.
    let world = World::with_budget(1.0, world.registry.clone());
    let listed = world.service.list_tenants(&root(), &Paging::default(), true).await.unwrap();
    let listed: Vec<_> = listed.items.iter().map(|tenant| tenant.id.as_str()).collect();
    assert_eq!(listed, ["a", "acme"]);
    world.activate("a", "main").await;
    world.create_tenant("c").await;
    assert!(world.service.get_tenant(&root(), &tenant("b")).await.is_err());
}

#[tokio::test]
async fn a_change_with_an_outdated_etag_is_refused() {
    let world = World::empty();
    world.create_tenant("acme").await;
    let (service, acme, none) = (&world.service, tenant("acme"), ChangeOptions::default());
    let seen = service.get_tenant(&root(), &acme).await.unwrap();
    let options = ChangeOptions { etag: etag(&seen), mode: Mode::Apply };
    service.update_tenant(&root(), &acme, &renamed("one"), &options).await.unwrap();
    let refused = service.update_tenant(&root(), &acme, &renamed("two"), &options).await;
    assert!(matches!(refused, Err(ServiceError::Conflict)), "{refused:?}");
    let garbage = ChangeOptions { etag: "garbage".into(), mode: Mode::Apply };
    assert!(matches!(service.suspend_tenant(&root(), &acme, &garbage).await, Err(ServiceError::Conflict)));
    assert_eq!(world.registry.record("acme").await.display_name, "one");
    service.update_tenant(&root(), &acme, &renamed("three"), &none).await.unwrap();
    assert_eq!(world.registry.record("acme").await.display_name, "three", "without one the last wins");
}

#[tokio::test]
async fn a_change_without_an_etag_survives_losing_a_race() {
    let world = World::empty();
    world.create_tenant("acme").await;
    world.registry.overtake(3);
    let bound = [TenantChange::RevocationBound(RevocationBound::STRICT)];
    world.service.update_tenant(&root(), &tenant("acme"), &bound, &ChangeOptions::default()).await.unwrap();
    let record = world.registry.record("acme").await;
    assert_eq!(record.display_name, "theirs", "the other change is kept");
    assert_eq!(record.terms.revocation_bound(), RevocationBound::STRICT);
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_nothing_else() {
    let world = World::empty();
    world.create_tenant("acme").await;
    let changes = [
        TenantChange::IdleAfter(seconds(60)),
        TenantChange::EntryMaxAge(seconds(30)),
        TenantChange::Cache(CacheMode::Off),
    ];
    let none = ChangeOptions::default();
    let updated = world.service.update_tenant(&root(), &tenant("acme"), &changes, &none).await.unwrap();
    let terms = updated.terms;
    assert_eq!(
        (terms.idle_after(), terms.entry_max_age(), terms.cache()),
        (seconds(60), seconds(30), CacheMode::Off)
    );
    assert_eq!(terms.revocation_bound(), RevocationBound::DEFAULT);
    assert_eq!(updated.display_name, "acme");
}

#[tokio::test]
async fn values_out_of_their_bounds_are_refused_by_name() {
    let world = World::empty();
    world.create_tenant("acme").await;
    let none = ChangeOptions::default();
    for (changes, wanted) in [
        (vec![], "update_mask"),
        (renamed(&"x".repeat(129)).to_vec(), "display_name"),
        (renamed("a\nb").to_vec(), "display_name"),
        (vec![TenantChange::IdleAfter(seconds(0))], "lease_terms.idle_after"),
        (vec![TenantChange::EntryMaxAge(seconds(90_000))], "lease_terms.entry_max_age"),
    ] {
        let error = world.service.update_tenant(&root(), &tenant("acme"), &changes, &none).await.unwrap_err();
        assert!(matches!(error, ServiceError::InvalidArgument { field, .. } if field == wanted), "{error:?}");
    }
    let longest = renamed(&"ä".repeat(128));
    world.service.update_tenant(&root(), &tenant("acme"), &longest, &none).await.unwrap();
}

#[tokio::test]
async fn a_check_changes_nothing() {
    let world = World::with_acme().await;
    let before = world.registry.record("acme").await;
    let options = ChangeOptions { mode: Mode::ValidateOnly, ..ChangeOptions::default() };
    let (service, acme) = (&world.service, tenant("acme"));
    let would_be = service.update_tenant(&root(), &acme, &renamed("new"), &options).await.unwrap();
    assert_eq!(would_be.display_name, "new", "the answer is what would be");
    service.suspend_tenant(&root(), &acme, &options).await.unwrap();
    service.delete_tenant(&root(), &acme, &options).await.unwrap();
    let (new, said) = (tenant("new"), NewTenant::default());
    service.create_tenant(&root(), &new, said.clone(), Mode::ValidateOnly).await.unwrap();
    assert_eq!(world.registry.record("acme").await, before);
    assert!(matches!(service.get_tenant(&root(), &tenant("new")).await, Err(ServiceError::UnknownTenant(_))));
    let taken = service.create_tenant(&root(), &acme, said, Mode::ValidateOnly).await;
    assert!(matches!(taken, Err(ServiceError::TenantExists(_))), "but a check fails as the change would");
}

#[tokio::test]
async fn ids_are_never_reused() {
    let world = World::empty();
    world.create_tenant("acme").await;
    let none = ChangeOptions::default();
    world.service.delete_tenant(&root(), &tenant("acme"), &none).await.unwrap();
    let new = NewTenant::default();
    let again = world.service.create_tenant(&root(), &tenant("acme"), new, Mode::Apply).await;
    assert!(matches!(again, Err(ServiceError::TenantExists(_))), "{again:?}");
}

#[tokio::test]
async fn tenants_are_listed_page_by_page_without_deleted_ones() {
    let world = World::empty();
    for id in ["a", "b", "c", "d", "e"] {
        world.create_tenant(id).await;
    }
    let none = ChangeOptions::default();
    world.service.delete_tenant(&root(), &tenant("c"), &none).await.unwrap();
    let mut paging = Paging { size: 2, token: String::new() };
    let mut pages = Vec::new();
    loop {
        let page = world.service.list_tenants(&root(), &paging, false).await.unwrap();
        pages.push(page.items.iter().map(|t| t.id.to_string()).collect::<String>());
        if page.next_token.is_empty() {
            break;
        }
        paging.token = page.next_token;
    }
    assert_eq!(pages, ["ab", "de"]);
    let all = world.service.list_tenants(&root(), &Paging::default(), true).await.unwrap();
    assert_eq!(all.items.len(), 5);
    let forged = Paging { size: 2, token: "forged".into() };
    let refused = world.service.list_tenants(&root(), &forged, false).await.map(drop).unwrap_err();
    assert!(matches!(refused, ServiceError::InvalidArgument { field: "page_token", .. }));
}

#[tokio::test]
async fn reproving_tells_how_the_leases_stand_and_a_denial_is_no_error() {
    let world = World::with_acme().await;
    let proofs = world.cloud.calls("assume");
    let leases = world.service.reprove_tenant(&root(), &tenant("acme")).await.unwrap();
    assert_eq!(world.cloud.calls("assume"), proofs + 1);
    assert_eq!(leases[0].1.state, leasehold_lease::LeaseState::Live);
    world.cloud.deny_trust(true);
    let leases = world.service.reprove_tenant(&root(), &tenant("acme")).await.unwrap();
    assert_eq!(leases[0].1.state, leasehold_lease::LeaseState::Denied);
    assert!(leases[0].1.denial.is_some());
    world.suspend("acme").await;
    let refused = world.service.reprove_tenant(&root(), &tenant("acme")).await.map(drop).unwrap_err();
    assert!(matches!(refused, ServiceError::TenantSuspended));
}

#[tokio::test]
async fn p7_a_reprove_that_nobody_waits_for_is_decided_and_recorded_before_it_begins() {
    let world = World::with_acme().await;
    let (proofs, records) = (world.cloud.calls("assume"), world.audit.records().len());
    let reproof = world.service.request_reprove(&root(), &tenant("acme")).await.unwrap();
    assert_eq!((world.cloud.calls("assume"), world.audit.records().len()), (proofs, records + 1));
    world.cloud.deny_trust(true);
    let leases = reproof.prove().await.unwrap();
    assert_eq!(leases[0].1.state, leasehold_lease::LeaseState::Denied);
    assert_eq!((world.cloud.calls("assume"), world.audit.records().len()), (proofs + 1, records + 1));
    for id in ["acme", "absent"] {
        let refused = world.service.request_reprove(&caller(NOBODY), &tenant(id)).await.map(drop);
        assert!(matches!(refused, Err(ServiceError::PermissionDenied)), "{id}");
    }
    let unknown = world.service.request_reprove(&root(), &tenant("absent")).await.map(drop);
    assert!(matches!(unknown, Err(ServiceError::UnknownTenant(_))));
    world.suspend("acme").await;
    assert!(matches!(reproof.prove().await, Err(ServiceError::TenantSuspended)), "it is looked at anew");
    world.audit.break_down();
    let unrecorded = world.service.request_reprove(&root(), &tenant("acme")).await.map(drop);
    assert!(unrecorded.is_err());
}

#[tokio::test]
async fn p6_no_tenant_takes_an_id_of_the_operators_own() {
    let world = World::empty();
    let id = tenant("leasehold-sentinel");
    for mode in [Mode::Apply, Mode::ValidateOnly] {
        let refused = world.service.create_tenant(&root(), &id, NewTenant::default(), mode).await;
        assert!(
            matches!(refused, Err(ServiceError::InvalidArgument { field: "tenant_id", .. })),
            "{refused:?}"
        );
    }
}
