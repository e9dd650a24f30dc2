//! The budget of proofs: what could not be kept proving is refused before it is there.

use leasehold_audit::Outcome;
use leasehold_service::{ChangeOptions, Mode, NewTenant, ServiceError, TenantChange};
use leasehold_tenant::RevocationBound;

use crate::registry::FakeRegistry;
use crate::world::{World, name, new_binding, root, seconds, tenant};

/// Proofs per second of which 70 % are enough for two bindings at 300 s (2.5 renewals in 300 s each), and not for three.
const ROOM_FOR_TWO: f64 = 0.024;

const APPLY: ChangeOptions = ChangeOptions { etag: String::new(), mode: Mode::Apply };
const CHECK: ChangeOptions = ChangeOptions { etag: String::new(), mode: Mode::ValidateOnly };

/// Tenants `a` and `b` have an ACTIVE binding `main` each, and `c` has a PENDING one: there is room for no more.
async fn full() -> World {
    let world = World::with_budget(ROOM_FOR_TWO, FakeRegistry::new());
    for id in ["a", "b", "c"] {
        world.create_tenant(id).await;
        world.create_binding(id, "main").await;
    }
    for id in ["a", "b"] {
        // So small a budget has a proof every 42 s.
        world.clock.advance(seconds(60)).await;
        world.service.activate_binding(&root(), &name(id, "main"), &APPLY).await.unwrap();
    }
    world.clock.advance(seconds(60)).await;
    world
}

fn assert_over<T: std::fmt::Debug>(result: Result<T, ServiceError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, ServiceError::OverBudget { .. }), "{error:?}");
    let says = error.to_string();
    assert!(
        says.contains("2.5 per bound") && says.contains("proofs_per_second"),
        "the arithmetic is told: {says}"
    );
}

#[tokio::test]
async fn p6_who_is_refused_for_want_of_proofs_learns_nothing_of_other_tenants() {
    let mut told = Vec::new();
    // The same tenant among few others and among more, with as little room left.
    for others in [2_u32, 7] {
        let world = World::with_budget(ROOM_FOR_TWO / 2.0 * f64::from(others), FakeRegistry::new());
        let ids: Vec<_> = (0..others).map(|n| format!("other-{n}")).collect();
        for id in ids.iter().map(String::as_str).chain(["c"]) {
            world.create_tenant(id).await;
            world.create_binding(id, "main").await;
        }
        for id in &ids {
            world.clock.advance(seconds(60)).await;
            world.service.activate_binding(&root(), &name(id, "main"), &APPLY).await.unwrap();
        }
        let refused = world.service.activate_binding(&root(), &name("c", "main"), &APPLY).await.unwrap_err();
        assert!(matches!(refused, ServiceError::OverBudget { leases: 1, .. }), "{refused:?}");
        told.push(format!("{refused} {refused:?}"));
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains("at a bound of 300 s") && told[0].contains("0.0083 proofs"), "{}", told[0]);
}

#[tokio::test]
async fn p9_a_binding_that_could_not_be_kept_proving_is_not_activated_nor_its_cloud_asked() {
    let world = full().await;
    let (before, calls) = (world.registry.record("c").await, world.cloud.calls(""));
    for options in [CHECK, APPLY] {
        let skip = world.audit.records().len();
        assert_over(world.service.activate_binding(&root(), &name("c", "main"), &options).await);
        let refused = Some("PROOF_BUDGET_EXCEEDED".to_owned());
        assert_eq!(world.outcomes(skip), [("ActivateBinding".to_owned(), Outcome::Refused, refused)]);
    }
    assert_eq!(world.registry.record("c").await, before);
    assert_eq!(world.cloud.calls(""), calls);
}

#[tokio::test]
async fn p9_tenants_and_bindings_without_a_chance_are_refused_from_the_start() {
    let world = full().await;
    for options in [CHECK, APPLY] {
        assert_over(world.service.create_binding(&root(), &tenant("c"), None, new_binding(), &options).await);
        let new = NewTenant::default();
        assert_over(world.service.create_tenant(&root(), &tenant("d"), new, options.mode).await);
    }
    assert_eq!(world.registry.record("c").await.bindings.len(), 1);
}

#[tokio::test]
async fn p9_a_bound_is_lowered_only_as_far_as_the_budget_goes() {
    let world = full().await;
    let (service, a) = (&world.service, tenant("a"));
    let strict = [TenantChange::RevocationBound(RevocationBound::STRICT)];
    for options in [CHECK, APPLY] {
        assert_over(service.update_tenant(&root(), &a, &strict, &options).await);
    }
    assert_eq!(world.registry.record("a").await.terms.revocation_bound(), RevocationBound::DEFAULT);
    // Who has nothing that proves needs nothing more.
    service.update_tenant(&root(), &tenant("c"), &strict, &APPLY).await.unwrap();
}

#[tokio::test]
async fn what_needs_no_more_than_before_is_never_refused() {
    let crowded = full().await;
    let world = World::with_budget(ROOM_FOR_TWO / 2.0, crowded.registry.clone());
    let (service, a) = (&world.service, tenant("a"));
    let longer = [TenantChange::RevocationBound(RevocationBound::MOST)];
    let renamed = [TenantChange::DisplayName("x".into())];
    service.update_tenant(&root(), &a, &renamed, &APPLY).await.unwrap();
    service.update_tenant(&root(), &a, &longer, &APPLY).await.unwrap();
    service.suspend_tenant(&root(), &tenant("b"), &APPLY).await.unwrap();
    service.resume_tenant(&root(), &tenant("b"), &APPLY).await.unwrap();
    service.retire_binding(&root(), &name("b", "main"), &APPLY).await.unwrap();
}

#[tokio::test]
async fn room_that_is_given_up_can_be_taken() {
    let world = full().await;
    let (service, c) = (&world.service, name("c", "main"));
    world.suspend("a").await;
    assert_over(service.activate_binding(&root(), &c, &APPLY).await);
    service.delete_tenant(&root(), &tenant("a"), &APPLY).await.unwrap();
    service.activate_binding(&root(), &c, &APPLY).await.unwrap();
    assert_over(service.undelete_tenant(&root(), &tenant("a"), &APPLY).await);
    world.retire("b", "main").await;
    assert_over(service.undelete_tenant(&root(), &tenant("a"), &APPLY).await);
    world.retire("b", "main").await;
    service.undelete_tenant(&root(), &tenant("a"), &APPLY).await.unwrap();
}

#[tokio::test]
async fn tenants_that_this_replica_never_served_count_too() {
    let elsewhere = full().await;
    let world = World::with_budget(ROOM_FOR_TWO, elsewhere.registry.clone());
    assert_over(world.service.activate_binding(&root(), &name("c", "main"), &APPLY).await);
    // What another replica gives up is followed.
    elsewhere.service.delete_tenant(&root(), &tenant("a"), &APPLY).await.unwrap();
    world.clock.settle().await;
    world.service.activate_binding(&root(), &name("c", "main"), &APPLY).await.unwrap();
}

#[tokio::test]
async fn a_check_lists_the_registry_once_and_not_each_time() {
    let world = World::with_acme().await;
    let before = world.registry.listings();
    for n in 0..10 {
        world.create_binding("acme", &format!("b{n}")).await;
    }
    assert_eq!(world.registry.listings(), before);
}
