//! Epochs: how a watcher learns that an earlier life of a lease is over, whatever it missed.

use leasehold_audit::Outcome;
use leasehold_lease::LeaseState;
use leasehold_service::{Acknowledgement, Watch, WatchAction, WatchMessage, WatchMode, WatchUpdate};

use crate::watch::{main_is, message, next, told, watching};
use crate::world::{World, name, root, seconds, tenant};

/// The epoch that an update tells of the one lease that it is about; zero for none.
fn epoch(update: &WatchUpdate) -> u64 {
    let [lease] = &update.leases[..] else { panic!("one lease: {update:?}") };
    lease.view.epoch.map_or(0, leasehold_ids::LeaseEpoch::get)
}

/// A watcher that was told the first epoch of `main`.
async fn holding(world: &World) -> (Watch, u64) {
    let mut watch = watching(world, WatchMode::Hold).await;
    while next(world, &mut watch).await.is_some() {}
    let first = epoch(&watch.receive(message(2, &[])).await.unwrap());
    assert_ne!(first, 0);
    (watch, first)
}

/// Ends the lease by a denial, and lets it begin anew.
async fn blink(world: &World) {
    world.cloud.deny_trust(true);
    world.service.reprove_tenant(&root(), &tenant("acme")).await.unwrap();
    world.cloud.deny_trust(false);
    world.clock.advance(seconds(10)).await;
    assert_eq!(world.lease("acme", "main"), LeaseState::Live);
}

#[tokio::test]
async fn a_renewal_keeps_the_epoch() {
    let world = World::with_acme().await;
    let (mut watch, first) = holding(&world).await;
    world.clock.advance(seconds(3600)).await;
    assert_eq!(epoch(&watch.receive(message(3, &[])).await.unwrap()), first);
}

#[tokio::test]
async fn p2_an_answer_after_a_blink_tells_a_greater_epoch_and_not_just_a_fresh_ttl() {
    let world = World::with_acme().await;
    let (mut watch, first) = holding(&world).await;
    blink(&world).await;
    let answer = watch.receive(message(3, &[])).await.unwrap();
    assert_eq!(answer.leases[0].view.state, LeaseState::Live);
    assert!(epoch(&answer) > first);
    // And what happened is still told.
    assert!(told(&world, &mut watch).await.contains(&main_is(LeaseState::Denied)));
}

#[tokio::test]
async fn p2_a_watcher_that_blinked_is_told_the_denial_and_then_the_new_epoch() {
    let world = World::with_acme().await;
    let (mut watch, first) = holding(&world).await;
    blink(&world).await;
    let over = next(&world, &mut watch).await.unwrap();
    assert_eq!((over.leases[0].view.state, epoch(&over)), (LeaseState::Denied, 0));
    assert!(over.leases[0].view.ttl.is_zero());
    let anew = next(&world, &mut watch).await.unwrap();
    assert_eq!(anew.leases[0].view.state, LeaseState::Live);
    assert!(epoch(&anew) > first);
}

#[tokio::test]
async fn p2_a_watcher_that_lagged_is_told_by_the_epoch_that_the_earlier_life_is_over() {
    let world = World::with_acme().await;
    let (mut watch, first) = holding(&world).await;
    // More events than are kept: two for each.
    for _ in 0..600 {
        blink(&world).await;
    }
    let update = next(&world, &mut watch).await.unwrap();
    assert_eq!(update.leases[0].view.state, LeaseState::Live);
    assert!(epoch(&update) > first);
}

#[tokio::test]
async fn p1_a_life_that_ends_while_a_proof_is_under_way_is_told_at_once() {
    let world = World::with_acme().await;
    let (mut watch, _) = holding(&world).await;
    world.cloud.pause();
    let service = world.service.clone();
    let reproving = tokio::spawn(async move { service.reprove_tenant(&root(), &tenant("acme")).await });
    world.clock.settle().await;
    world.clock.restore_snapshot();
    world.clock.advance(seconds(1)).await;
    assert_eq!(told(&world, &mut watch).await, [main_is(LeaseState::Proving)], "nothing is held");
    world.cloud.resume();
    reproving.await.unwrap().unwrap();
}

#[tokio::test]
async fn p7_an_acknowledgement_of_an_epoch_never_told_is_refused_and_the_watch_goes_on() {
    let world = World::with_acme().await;
    let (mut watch, first) = holding(&world).await;
    let cases = [
        ("main", 0, Outcome::Served),
        ("main", first, Outcome::Served),
        ("main", first + 1, Outcome::Refused),
        ("absent", 0, Outcome::Refused),
    ];
    for (sequence, (binding, epoch, outcome)) in (3..).zip(cases) {
        let acknowledgement =
            Acknowledgement { binding: name("acme", binding), epoch, action: WatchAction::Wiped };
        let acknowledgements = vec![acknowledgement];
        let message = WatchMessage { sequence, acknowledgements, ..WatchMessage::default() };
        assert_eq!(watch.receive(message).await.unwrap().sequence, sequence);
        let records = world.audit.records();
        let record = records.last().unwrap();
        assert_eq!((record.outcome, record.lease_epoch), (outcome, Some(epoch)), "{binding} {epoch}");
    }
    blink(&world).await;
    let second = epoch(&watch.receive(message(10, &[])).await.unwrap());
    for (sequence, epoch) in [(11, first), (12, second)] {
        let acknowledgement =
            Acknowledgement { binding: name("acme", "main"), epoch, action: WatchAction::Wiped };
        let acknowledgements = vec![acknowledgement];
        watch.receive(WatchMessage { sequence, acknowledgements, ..WatchMessage::default() }).await.unwrap();
        assert_eq!(world.audit.records().last().unwrap().outcome, Outcome::Served, "{epoch}");
    }
}
