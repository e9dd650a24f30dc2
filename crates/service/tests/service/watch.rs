//! `WatchLeases` without its transport.

use std::time::Duration;

use leasehold_audit::Outcome;
use leasehold_lease::LeaseState;
use leasehold_service::{
    Acknowledgement, MAX_WATCHED, ServiceError, Watch, WatchAction, WatchMessage, WatchMode, WatchUpdate,
};
use leasehold_tenant::RevocationBound;

use crate::world::{ENGINE, NOBODY, World, caller, name, root, seconds, tenant};

pub(crate) fn message(sequence: u64, of: &[(&str, WatchMode)]) -> WatchMessage {
    let subscriptions = of.iter().map(|(id, mode)| (tenant(id), *mode)).collect();
    WatchMessage { sequence, subscriptions, ..WatchMessage::default() }
}

pub(crate) async fn watching(world: &World, mode: WatchMode) -> Watch {
    let mut watch = world.service.watch(&caller(ENGINE)).await.unwrap();
    watch.receive(message(1, &[("acme", mode)])).await.unwrap();
    watch
}

/// The next unasked update, if there is one without time passing.
pub(crate) async fn next(world: &World, watch: &mut Watch) -> Option<WatchUpdate> {
    tokio::select! {
        biased;
        update = watch.changed() => Some(update.unwrap()),
        () = world.clock.settle() => None,
    }
}

/// Every state that the watcher is told of now, oldest first.
pub(crate) async fn told(world: &World, watch: &mut Watch) -> Vec<(String, LeaseState)> {
    let mut told = Vec::new();
    while let Some(update) = next(world, watch).await {
        told.extend(update.leases.iter().map(|l| (l.binding.binding().to_string(), l.view.state)));
    }
    told
}

pub(crate) fn main_is(state: LeaseState) -> (String, LeaseState) {
    ("main".to_owned(), state)
}

#[tokio::test]
async fn p6_a_forbidden_tenant_ends_the_watch_alike_whether_or_not_it_exists() {
    let world = World::with_acme().await;
    world.create_tenant("globex").await;
    assert!(matches!(world.service.watch(&caller(NOBODY)).await, Err(ServiceError::PermissionDenied)));
    let reads = world.registry.calls();
    for id in ["globex", "absent"] {
        let mut watch = world.service.watch(&caller(ENGINE)).await.unwrap();
        let error = watch.receive(message(1, &[(id, WatchMode::Observe)])).await.unwrap_err();
        assert!(matches!(error, ServiceError::PermissionDenied), "{id}: {error:?}");
    }
    assert_eq!(world.registry.calls(), reads, "nothing was looked up");
    let mut watch = world.service.watch(&caller(ENGINE)).await.unwrap();
    let error = watch.receive(message(1, &[("acme-9", WatchMode::Observe)])).await.unwrap_err();
    assert!(matches!(error, ServiceError::UnknownTenant(_)), "inside of the rules it is told: {error:?}");
}

#[tokio::test]
async fn p1_an_answer_renews_ttls_no_further_than_the_lease() {
    let world = World::with_acme().await;
    world.wrap("acme", &[7; 32]).await;
    let mut watch = watching(&world, WatchMode::Observe).await;
    world.clock.advance(seconds(50)).await;
    let answer = watch.receive(message(2, &[])).await.unwrap();
    assert_eq!(answer.sequence, 2);
    let [lease] = &answer.leases[..] else { panic!("one lease") };
    assert_eq!((lease.binding.clone(), lease.view.state), (name("acme", "main"), LeaseState::Live));
    assert_eq!(lease.view.ttl, RevocationBound::DEFAULT.get() - seconds(50));
}

#[tokio::test]
async fn observe_never_keeps_a_lease_proving_and_hold_does() {
    for (mode, kept) in [(WatchMode::Observe, false), (WatchMode::Hold, true)] {
        let world = World::with_acme().await;
        world.wrap("acme", &[7; 32]).await;
        let mut watch = watching(&world, mode).await;
        // Longer than `idle_after`; messages are no use of the lease.
        for sequence in 2..22 {
            world.clock.advance(seconds(60)).await;
            watch.receive(message(sequence, &[])).await.unwrap();
        }
        let state = if kept { LeaseState::Live } else { LeaseState::Idle };
        assert_eq!(world.lease("acme", "main"), state, "{mode:?}");
        let told = told(&world, &mut watch).await;
        assert_eq!(told.contains(&main_is(LeaseState::Idle)), !kept, "{mode:?}: {told:?}");
        let proofs = world.cloud.calls("assume");
        world.clock.advance(seconds(3600)).await;
        assert_eq!(world.cloud.calls("assume") > proofs, kept, "{mode:?}");
    }
}

#[tokio::test]
async fn hold_keeps_the_lease_proving_until_it_is_forgotten_or_observe_or_gone() {
    for next in [Some(WatchMode::Forget), Some(WatchMode::Observe), None] {
        let world = World::with_acme().await;
        let mut watch = watching(&world, WatchMode::Hold).await;
        world.clock.advance(seconds(3600)).await;
        assert_eq!(world.lease("acme", "main"), LeaseState::Live, "without a single request");
        if let Some(mode) = next {
            watch.receive(message(2, &[("acme", mode)])).await.unwrap();
        }
        let watch = next.map(|_| watch);
        world.clock.advance(seconds(3600)).await;
        assert_eq!(world.lease("acme", "main"), LeaseState::Idle, "{next:?}");
        if let Some(mut watch) = watch.filter(|_| next == Some(WatchMode::Forget)) {
            assert!(watch.receive(message(3, &[])).await.unwrap().leases.is_empty());
        }
    }
}

#[tokio::test]
async fn p2_watchers_are_told_of_a_denial_at_once_and_p10_of_the_return() {
    let world = World::with_acme().await;
    let mut watch = watching(&world, WatchMode::Hold).await;
    assert_eq!(told(&world, &mut watch).await.last(), Some(&main_is(LeaseState::Live)));
    world.cloud.deny_trust(true);
    world.service.reprove_tenant(&root(), &tenant("acme")).await.unwrap();
    let update = next(&world, &mut watch).await.unwrap();
    assert_eq!(update.sequence, 1);
    let lease = &update.leases[0].view;
    assert_eq!((lease.state, lease.ttl), (LeaseState::Denied, Duration::ZERO));
    assert_eq!(lease.denial.as_ref().unwrap().code(), Some(crate::cloud::DENIED_CODE));
    world.cloud.deny_trust(false);
    world.clock.advance(seconds(10)).await;
    assert_eq!(told(&world, &mut watch).await, [main_is(LeaseState::Live)]);
}

#[tokio::test]
async fn p2_a_denial_that_is_over_already_is_told_all_the_same() {
    let world = World::with_acme().await;
    let mut watch = watching(&world, WatchMode::Hold).await;
    told(&world, &mut watch).await;
    world.cloud.deny_trust(true);
    world.service.reprove_tenant(&root(), &tenant("acme")).await.unwrap();
    world.cloud.deny_trust(false);
    world.clock.advance(seconds(10)).await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Live);
    assert_eq!(told(&world, &mut watch).await, [main_is(LeaseState::Denied), main_is(LeaseState::Live)]);
}

#[tokio::test]
async fn p1_watchers_are_told_of_a_suspension_and_a_hold_resumes_with_the_tenant() {
    let world = World::with_acme().await;
    let mut watch = watching(&world, WatchMode::Hold).await;
    told(&world, &mut watch).await;
    world.suspend("acme").await;
    assert!(told(&world, &mut watch).await.contains(&main_is(LeaseState::Suspended)));
    let answer = watch.receive(message(2, &[])).await.unwrap();
    assert_eq!(
        (answer.leases[0].view.state, answer.leases[0].view.ttl),
        (LeaseState::Suspended, Duration::ZERO)
    );
    world.resume("acme").await;
    world.clock.settle().await;
    assert_eq!(told(&world, &mut watch).await.last(), Some(&main_is(LeaseState::Live)), "without a request");
}

#[tokio::test]
async fn a_tenant_suspended_from_the_start_is_told_as_suspended_and_held_once_resumed() {
    let world = World::with_acme().await;
    world.suspend("acme").await;
    let mut watch = world.service.watch(&caller(ENGINE)).await.unwrap();
    let answer = watch.receive(message(1, &[("acme", WatchMode::Hold)])).await.unwrap();
    assert_eq!(answer.leases[0].view.state, LeaseState::Suspended);
    world.resume("acme").await;
    told(&world, &mut watch).await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Live);
}

#[tokio::test]
async fn a_hold_follows_rotations() {
    let world = World::with_acme().await;
    let mut watch = watching(&world, WatchMode::Hold).await;
    world.activate("acme", "next").await;
    told(&world, &mut watch).await;
    world.clock.advance(seconds(3600)).await;
    told(&world, &mut watch).await;
    let answer = watch.receive(message(2, &[])).await.unwrap();
    assert_eq!(answer.leases.len(), 2);
    assert!(answer.leases.iter().all(|l| l.view.state == LeaseState::Live), "{:?}", answer.leases);
    world.retire("acme", "main").await;
    assert!(told(&world, &mut watch).await.contains(&main_is(LeaseState::Suspended)), "wipe its keys");
    let answer = watch.receive(message(3, &[])).await.unwrap();
    assert_eq!(answer.leases.len(), 1);
    assert_eq!(answer.leases[0].binding, name("acme", "next"));
}

#[tokio::test]
async fn a_retired_binding_is_told_even_if_its_lease_was_idle() {
    let world = World::with_acme().await;
    let mut watch = watching(&world, WatchMode::Observe).await;
    world.activate("acme", "next").await;
    told(&world, &mut watch).await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Idle);
    world.retire("acme", "main").await;
    assert!(told(&world, &mut watch).await.contains(&main_is(LeaseState::Suspended)));
}

#[tokio::test]
async fn others_changes_are_not_told() {
    let world = World::with_acme().await;
    let mut watch = watching(&world, WatchMode::Observe).await;
    told(&world, &mut watch).await;
    world.create_tenant("globex").await;
    world.activate("globex", "main").await;
    world.wrap("globex", &[7; 32]).await;
    world.suspend("globex").await;
    assert_eq!(told(&world, &mut watch).await, []);
}

#[tokio::test]
async fn p7_subscriptions_and_acknowledgements_are_recorded() {
    let world = World::with_acme().await;
    let skip = world.audit.records().len();
    let mut watch = watching(&world, WatchMode::Hold).await;
    let acknowledgement =
        Acknowledgement { binding: name("acme", "main"), epoch: 0, action: WatchAction::ComputeStopped };
    let acknowledge = |sequence| WatchMessage {
        sequence,
        acknowledgements: vec![acknowledgement.clone()],
        ..Default::default()
    };
    watch.receive(acknowledge(2)).await.unwrap();
    let records = world.audit.records();
    let [opened, subscribed, acknowledged] = &records[skip..] else { panic!("three records") };
    assert_eq!((opened.tenant.as_ref(), subscribed.tenant.as_ref()), (None, Some(&tenant("acme"))));
    assert_eq!(subscribed.outcome, Outcome::Served);
    assert_eq!(acknowledged.acknowledged.as_deref(), Some("compute_stopped"));
    assert_eq!(
        (acknowledged.lease_epoch, acknowledged.binding.as_ref().unwrap().as_str()),
        (Some(0), "main")
    );

    watch.receive(message(3, &[("acme", WatchMode::Observe)])).await.unwrap();
    watch.receive(message(4, &[("acme", WatchMode::Observe)])).await.unwrap();
    assert_eq!(world.audit.records().len(), skip + 4, "the same again is no new decision");
    world.audit.break_down();
    let error = watch.receive(acknowledge(5)).await.unwrap_err();
    assert!(matches!(error, ServiceError::AuditUnavailable(_)), "{error:?}");
}

#[tokio::test]
async fn p7_a_malformed_message_ends_the_watch_and_is_recorded() {
    let world = World::with_acme().await;
    let stranger = Acknowledgement { binding: name("acme-2", "main"), epoch: 0, action: WatchAction::Wiped };
    let unasked = WatchMessage { sequence: 2, acknowledgements: vec![stranger], ..WatchMessage::default() };
    let many = WatchMessage {
        sequence: 2,
        subscriptions: vec![(tenant("acme"), WatchMode::Observe); MAX_WATCHED + 1],
        ..WatchMessage::default()
    };
    let cases = [
        (message(0, &[]), "sequence"),
        (message(1, &[]), "sequence"),
        (unasked, "acknowledgements"),
        (many, "subscriptions"),
    ];
    for (malformed, wrong) in cases {
        let mut watch = watching(&world, WatchMode::Hold).await;
        let skip = world.audit.records().len();
        let error = watch.receive(malformed).await.unwrap_err();
        assert!(matches!(error, ServiceError::InvalidArgument { field, .. } if field == wrong), "{error:?}");
        let refused = ("WatchLeases".to_owned(), Outcome::Refused, Some("INVALID_FIELD".to_owned()));
        assert_eq!(world.outcomes(skip), [refused]);
        for again in [watch.receive(message(9, &[])).await, watch.changed().await] {
            assert_eq!(again.unwrap_err().reason(), "INVALID_FIELD", "the watch is over");
        }
    }
}

#[tokio::test]
async fn p2_what_a_message_says_is_recorded_together_so_that_denials_are_told_soon_after() {
    let world = World::with(|_| {});
    let ids: Vec<_> = (0..100).map(|n| format!("t{n}")).collect();
    for id in &ids {
        world.create_tenant(id).await;
    }
    let mut watch = world.service.watch(&root()).await.unwrap();
    // As the journal does, which writes in groups: whoever gives it one record at a time waits for as many writes.
    world.audit.take_together(ids.len());
    let hold = WatchMessage {
        sequence: 1,
        subscriptions: ids.iter().map(|id| (tenant(id), WatchMode::Hold)).collect(),
        ..WatchMessage::default()
    };
    let word =
        |id: &String| Acknowledgement { binding: name(id, "main"), epoch: 9, action: WatchAction::Wiped };
    let wiped = WatchMessage {
        sequence: 2,
        acknowledgements: ids.iter().map(word).collect(),
        ..WatchMessage::default()
    };
    for message in [hold, wiped] {
        let skip = world.audit.records().len();
        let obeyed = tokio::select! {
            biased;
            obeyed = watch.receive(message) => Some(obeyed.unwrap()),
            () = world.clock.settle() => None,
        };
        assert!(obeyed.is_some(), "one waits for the other");
        assert_eq!(world.audit.records().len(), skip + ids.len(), "and each is recorded");
    }
}

#[tokio::test]
async fn of_several_subscriptions_for_one_tenant_the_last_counts() {
    let world = World::with_acme().await;
    let mut watch = world.service.watch(&caller(ENGINE)).await.unwrap();
    let both = [("acme", WatchMode::Hold), ("acme", WatchMode::Forget)];
    assert!(watch.receive(message(1, &both)).await.unwrap().leases.is_empty());
    let both = [("acme", WatchMode::Forget), ("acme", WatchMode::Observe)];
    assert_eq!(watch.receive(message(2, &both)).await.unwrap().leases.len(), 1);
}

#[tokio::test]
async fn p9_watches_and_their_tenants_are_bounded() {
    let world = World::with(|s| s.watches = 1);
    let ids: Vec<_> = (0..=MAX_WATCHED).map(|n| format!("t{n}")).collect();
    for id in &ids {
        world.create_tenant(id).await;
    }
    let mut watch = world.service.watch(&root()).await.unwrap();
    let second = world.service.watch(&root()).await.map(drop).unwrap_err();
    assert!(matches!(second, ServiceError::OverLimit(_)), "{second:?}");
    let subscribe = |ids: &[String]| ids.iter().map(|id| (tenant(id), WatchMode::Observe)).collect();
    let first = WatchMessage {
        sequence: 1,
        subscriptions: subscribe(&ids[..MAX_WATCHED]),
        ..WatchMessage::default()
    };
    watch.receive(first).await.unwrap();
    let more = WatchMessage {
        sequence: 2,
        subscriptions: subscribe(&ids[MAX_WATCHED..]),
        ..WatchMessage::default()
    };
    let error = watch.receive(more).await.unwrap_err();
    assert!(matches!(error, ServiceError::OverLimit(_)), "{error:?}");
    drop(watch);
    assert!(world.service.watch(&root()).await.is_ok(), "a place is free again");
}
