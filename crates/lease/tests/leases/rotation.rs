//! A key that is rotated is adopted by itself, and a version that does not work stops none that does.

use leasehold_envelope::{EncryptionContext, Envelope, WrappedKey};
use leasehold_lease::{LeaseError, LeaseEvent, LeaseState, planned_leases};
use leasehold_secret::KeyLength;

use crate::bench::{Bench, S, sentinel};
use crate::cloud::{Call, Mood};

fn version_of(wrapped: &WrappedKey) -> String {
    Envelope::parse(wrapped.as_bytes()).unwrap().header().key_version.to_string()
}

/// The version that wraps.
async fn wraps(bench: &Bench) -> String {
    version_of(&bench.wrapped().await)
}

/// The key was rotated from 1 to 2, and both versions are live; a key wrapped under each.
async fn both_live(bench: &Bench) -> (WrappedKey, WrappedKey) {
    let old = bench.wrapped().await;
    assert_eq!(version_of(&old), "1");
    bench.cloud.rotate("2");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    let new = bench.wrapped().await;
    assert_eq!(version_of(&new), "2");
    for wrapped in [&old, &new] {
        bench.unwrap(wrapped).await.unwrap();
    }
    assert_eq!(bench.arena.in_use(), 2, "a lease key for each");
    (old, new)
}

fn epoch(bench: &Bench) -> u64 {
    bench.leases.view(bench.subject().name()).epoch.unwrap().get()
}

fn denials(bench: &mut Bench) -> Vec<LeaseEvent> {
    let events = std::iter::from_fn(|| bench.events.try_recv().ok());
    events.filter(|event| event.state == LeaseState::Denied).collect()
}

// === Adoption ===

#[tokio::test]
async fn a_rotated_key_is_adopted_while_in_use_and_what_was_wrapped_before_still_unwraps() {
    let bench = Bench::versioned().await;
    let old = bench.wrapped().await;
    bench.cloud.rotate("2");
    assert_eq!(wraps(&bench).await, "1", "until it is looked at again");
    for _ in 0..45 {
        bench.clock.advance(S(10)).await;
        bench.wrapped().await;
    }
    assert_eq!(wraps(&bench).await, "2", "with the first proof after 5 min");
    bench.unwrap(&old).await.unwrap();
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn a_reprove_looks_at_once_which_version_wraps() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    assert_eq!(wraps(&bench).await, "2");
}

#[tokio::test]
async fn p1_a_new_version_wraps_only_after_a_wrap_and_an_unwrap_under_it() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    let mut look = bench.cloud.hold(Call::Describe);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    look.reached().await;
    let (assumes, wrapped) = (bench.cloud.count(Call::Assume), bench.cloud.count(Call::Wrap));
    let mut unwrap = bench.cloud.hold(Call::Canary);
    look.go_on();
    unwrap.reached().await;
    assert_eq!(bench.cloud.count(Call::Assume), assumes + 1, "a fresh assume of its own");
    assert_eq!(bench.cloud.count(Call::Wrap), wrapped + 1);
    assert_eq!(wraps(&bench).await, "1", "a wrap alone proves nothing");
    unwrap.go_on();
    bench.clock.settle().await;
    assert_eq!(wraps(&bench).await, "2");
}

#[tokio::test]
async fn a_version_that_is_named_and_does_not_work_stops_nothing_and_is_told_to_nobody() {
    for mood in [Mood::Disabled, Mood::Deny, Mood::Outage, Mood::BlackHole] {
        let mut bench = Bench::versioned().await;
        bench.wrapped().await;
        bench.states();
        bench.cloud.rotate("2");
        bench.cloud.set_version("2", mood);
        for _ in 0..120 {
            bench.clock.advance(S(10)).await;
            assert_eq!(wraps(&bench).await, "1", "{mood:?}");
            let view = bench.leases.view(bench.subject().name());
            assert_eq!((view.state, view.denial.is_some()), (LeaseState::Live, false), "{mood:?}");
        }
        assert_eq!(bench.states(), [], "{mood:?}");
        bench.cloud.set_version("2", Mood::Allow);
        for _ in 0..45 {
            bench.clock.advance(S(10)).await;
            bench.wrapped().await;
        }
        assert_eq!(wraps(&bench).await, "2", "{mood:?}: it is tried again");
    }
}

#[tokio::test]
async fn p3_a_cloud_that_does_not_say_which_version_wraps_ends_no_lease_and_delays_no_proof() {
    for mood in [Mood::Deny, Mood::Disabled, Mood::Outage, Mood::BlackHole] {
        let mut bench = Bench::versioned().await;
        bench.cloud.describe(mood);
        bench.wrapped().await;
        bench.states();
        bench.leases.reprove(&bench.subject()).await.unwrap();
        for _ in 0..60 {
            bench.clock.advance(S(10)).await;
            bench.wrapped().await;
        }
        assert_eq!(bench.states(), [], "{mood:?}");
    }
}

/// Counts warnings.
#[derive(Clone, Default)]
struct Warnings(std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl Warnings {
    fn take(&self) -> usize {
        self.0.swap(0, std::sync::atomic::Ordering::SeqCst)
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn that_rotations_are_not_followed_is_told_once_and_seen_until_it_passes() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let bench = Bench::versioned().await;
    let unknown = || bench.leases.view(bench.subject().name()).rotation_unknown;
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.settle().await;
    assert!(unknown().is_none());
    for mood in [Mood::Deny, Mood::BlackHole] {
        bench.cloud.describe(mood);
        bench.clock.advance(S(3600)).await;
        let error = unknown().unwrap();
        assert_eq!(error.is_denial(), mood == Mood::Deny, "{error}");
        assert_eq!(bench.state(), LeaseState::Live, "{mood:?}");
        assert_eq!(warnings.take(), 1, "{mood:?}: once in an hour");
        bench.cloud.describe(Mood::Allow);
        bench.clock.advance(S(600)).await;
        assert!(unknown().is_none(), "{mood:?}");
    }
    assert_eq!(warnings.take(), 0);
}

#[tokio::test]
async fn a_cloud_without_versions_is_never_asked_which_one_wraps() {
    let bench = Bench::new().await;
    let activation = bench.cloud.count(Call::Describe);
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.advance(S(3600)).await;
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.cloud.key(Mood::Disabled);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    bench.clock.advance(S(60)).await;
    assert_eq!(bench.cloud.count(Call::Describe), activation);
    assert_eq!(planned_leases(&bench.subject().binding), 1);
}

#[tokio::test]
async fn p9_which_version_wraps_is_asked_no_more_than_every_5_min() {
    let bench = Bench::versioned().await;
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.advance(S(1)).await;
    let before = bench.cloud.count(Call::Describe);
    bench.clock.advance(S(3600)).await;
    let asked = bench.cloud.count(Call::Describe) - before;
    assert!((8..=12).contains(&asked), "{asked} times in an hour");
    assert_eq!(planned_leases(&bench.subject().binding), 2);
}

#[tokio::test]
async fn a_version_that_was_adopted_is_proven_with_no_more_calls_than_the_first_one() {
    let bench = Bench::versioned().await;
    both_live(&bench).await;
    let wrapped = bench.cloud.count(Call::Wrap);
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.cloud.count(Call::Wrap), wrapped, "its canary is made once");
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn a_cloud_that_wraps_under_another_version_than_it_names_is_not_followed() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.cloud.answer_as("1");
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    assert_eq!(wraps(&bench).await, "1");
}

// === When a version is denied ===

#[tokio::test]
async fn a_request_that_finds_the_old_version_disabled_is_served_under_the_new_one() {
    let mut bench = Bench::versioned().await;
    let old = bench.wrapped().await;
    bench.unwrap(&old).await.unwrap();
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Disabled);
    bench.states();
    assert_eq!(wraps(&bench).await, "2", "nobody acted, and no time passed");
    assert!(matches!(bench.unwrap(&old).await, Err(LeaseError::Denied(_))));
    assert_eq!(bench.arena.in_use(), 1, "what was held under the old version is gone");
    assert_eq!(bench.states(), [LeaseState::Denied, LeaseState::Live], "told, and that the binding lives on");
}

#[tokio::test]
async fn many_requests_that_find_the_old_version_disabled_share_the_way_to_the_new_one() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Disabled);
    let before = (bench.cloud.count(Call::Assume), bench.cloud.count(Call::Describe));
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let (leases, subject) = (bench.leases.clone(), bench.subject());
            tokio::spawn(async move {
                let made = leases.generate(&subject, KeyLength::B32, &EncryptionContext::empty()).await?;
                made.release().map(|made| version_of(&made.value.wrapped))
            })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap(), "2");
    }
    assert_eq!(bench.cloud.count(Call::Assume), before.0 + 2, "one proof of each version");
    assert_eq!(bench.cloud.count(Call::Describe), before.1 + 1);
}

#[tokio::test]
async fn a_proof_that_finds_the_old_version_denied_moves_on_to_the_new_one() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Disabled);
    let view = bench.leases.reprove(&bench.subject()).await.unwrap();
    assert_eq!(view.state, LeaseState::Live, "of the version that wraps now");
    assert_eq!(wraps(&bench).await, "2");
}

#[tokio::test]
async fn p2_what_is_held_is_wiped_before_another_version_is_looked_for() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Disabled);
    let mut look = bench.cloud.hold(Call::Describe);
    let proof = bench.reproving();
    look.reached().await;
    assert_eq!(bench.arena.in_use(), 0);
    assert_eq!(bench.state(), LeaseState::Denied);
    look.go_on();
    proof.await.unwrap().unwrap();
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn a_process_that_knows_nothing_wraps_although_the_stored_version_is_disabled() {
    let bench = Bench::versioned().await;
    bench.cloud.rotate("2");
    bench.cloud.set_version("1", Mood::Disabled);
    let mut bench = bench.restarted();
    assert_eq!(wraps(&bench).await, "2", "with the very first request");
    assert_eq!(bench.state(), LeaseState::Live);
    assert_eq!(denials(&mut bench), [], "nobody is told to wipe, for nothing was held");
    let mut bench = bench.restarted();
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    bench.clock.settle().await;
    assert_eq!(bench.state(), LeaseState::Live, "nor does an engine need to ask");
    assert_eq!(denials(&mut bench), []);
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.state(), LeaseState::Live, "and the version that wraps is the one that is held");
}

#[tokio::test]
async fn p10_a_process_that_finds_no_version_working_recovers_with_whichever_works_first() {
    for restored in ["1", "2"] {
        let bench = Bench::versioned().await;
        bench.cloud.rotate("2");
        bench.cloud.set_version("1", Mood::Disabled);
        bench.cloud.set_version("2", Mood::Disabled);
        let bench = bench.restarted();
        let context = EncryptionContext::empty();
        let denied = bench.leases.generate(&bench.subject(), KeyLength::B32, &context).await;
        assert!(matches!(denied, Err(LeaseError::Denied(_))));
        assert_eq!(bench.state(), LeaseState::Denied);
        bench.cloud.set_version(restored, Mood::Allow);
        bench.clock.advance(S(10)).await;
        bench.clock.settle().await;
        assert_eq!(wraps(&bench).await, restored);
        assert_eq!(bench.state(), LeaseState::Live);
    }
}

#[tokio::test]
async fn when_the_new_version_is_disabled_the_one_before_wraps_again_until_it_comes_back() {
    let bench = Bench::versioned().await;
    both_live(&bench).await;
    bench.cloud.set_version("2", Mood::Disabled);
    assert_eq!(wraps(&bench).await, "1");
    assert_eq!(bench.state(), LeaseState::Live);
    bench.cloud.set_version("2", Mood::Allow);
    bench.clock.advance(S(10)).await;
    bench.clock.settle().await;
    assert_eq!(wraps(&bench).await, "2", "the cloud still names it");
}

#[tokio::test]
async fn p9_requests_never_probe_a_version_that_is_denied() {
    let bench = Bench::versioned().await;
    bench.wrapped().await;
    bench.cloud.set_version("1", Mood::Disabled);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    let before = (bench.cloud.count(Call::Assume), bench.cloud.count(Call::Describe));
    for _ in 0..1_000 {
        let context = EncryptionContext::empty();
        let denied = bench.leases.generate(&bench.subject(), KeyLength::B32, &context).await;
        assert!(matches!(denied, Err(LeaseError::Denied(_))));
    }
    bench.clock.settle().await;
    assert_eq!((bench.cloud.count(Call::Assume), bench.cloud.count(Call::Describe)), before);
}

// === What versions owe each other ===

#[tokio::test]
async fn p2_losing_the_principal_ends_every_version_with_the_first_proof_that_hears_it() {
    let mut bench = Bench::versioned().await;
    let (old, new) = both_live(&bench).await;
    let before = bench.cloud.count(Call::Assume);
    bench.states();
    bench.cloud.trust(Mood::Deny);
    while bench.cloud.count(Call::Assume) == before {
        bench.clock.advance(S(1)).await;
    }
    assert_eq!(bench.cloud.count(Call::Assume), before + 1, "one proof");
    assert_eq!(bench.arena.in_use(), 0, "and everything is gone");
    assert_eq!(bench.state(), LeaseState::Denied);
    assert_eq!(denials(&mut bench).iter().filter(|event| event.first_denial).count(), 1, "told once");
    for wrapped in [&old, &new] {
        assert!(matches!(bench.unwrap(wrapped).await, Err(LeaseError::Denied(_))));
    }
    bench.cloud.trust(Mood::Allow);
    bench.clock.advance(S(10)).await;
    for wrapped in [&old, &new] {
        bench.unwrap(wrapped).await.unwrap();
    }
}

#[tokio::test]
async fn p2_losing_the_key_ends_every_version_with_the_first_proof_that_hears_it() {
    let mut bench = Bench::versioned().await;
    let (old, new) = both_live(&bench).await;
    let before = bench.cloud.count(Call::Canary);
    bench.states();
    bench.cloud.key(Mood::Deny);
    while bench.cloud.count(Call::Canary) == before {
        bench.clock.advance(S(1)).await;
    }
    assert_eq!(
        bench.cloud.count(Call::Canary),
        before + 1,
        "one proof: the principal has the key as a whole"
    );
    assert_eq!((bench.arena.in_use(), bench.state()), (0, LeaseState::Denied));
    assert_eq!(denials(&mut bench).iter().filter(|event| event.first_denial).count(), 1, "told once");
    bench.cloud.key(Mood::Allow);
    bench.clock.advance(S(10)).await;
    for wrapped in [&old, &new] {
        bench.unwrap(wrapped).await.unwrap();
    }
}

#[tokio::test]
async fn p2_a_new_version_that_may_not_be_wrapped_under_ends_nothing_that_is_held() {
    let mut bench = Bench::versioned().await;
    let wrapped = bench.wrapped().await;
    bench.states();
    bench.cloud.rotate("2");
    bench.cloud.set_version("2", Mood::Deny);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    bench.unwrap(&wrapped).await.unwrap();
    assert_eq!((bench.arena.in_use(), bench.states()), (1, vec![]));
}

#[tokio::test]
async fn p2_a_success_of_another_version_that_began_before_the_principal_was_lost_does_not_count() {
    let bench = Bench::versioned().await;
    let (old, _) = both_live(&bench).await;
    bench.clock.advance(S(900)).await;
    assert_eq!(bench.arena.in_use(), 0, "both are idle");
    let mut early = bench.cloud.hold(Call::Canary);
    let reader = bench.unwrapping(&old);
    early.reached().await;
    bench.cloud.trust(Mood::Deny);
    assert!(bench.leases.reprove(&bench.subject()).await.is_err());
    early.go_on();
    assert!(reader.await.unwrap().is_err());
    assert_eq!(bench.arena.in_use(), 0);
}

#[tokio::test]
async fn p2_a_denied_version_touches_only_its_own_and_has_the_others_proven_at_once() {
    let bench = Bench::versioned().await;
    let (old, new) = both_live(&bench).await;
    let canaries = bench.cloud.count(Call::Canary);
    bench.cloud.set_version("1", Mood::Disabled);
    let unknown = bench.forged(&old, "1");
    assert!(bench.unwrap(&unknown).await.is_err());
    assert_eq!(bench.arena.in_use(), 1);
    bench.clock.settle().await;
    assert_eq!(bench.cloud.count(Call::Canary), canaries + 1, "the other version's");
    bench.unwrap(&new).await.unwrap();
    assert_eq!(bench.state(), LeaseState::Live);
}

#[tokio::test]
async fn p2_a_version_that_its_keeper_withholds_touches_only_its_own() {
    let bench = Bench::versioned().await;
    let (old, new) = both_live(&bench).await;
    bench.cloud.set_version("1", Mood::Withheld);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.unwrap(&new).await.unwrap();
    assert!(matches!(bench.unwrap(&old).await, Err(LeaseError::Denied(_))));
    assert_eq!((bench.arena.in_use(), bench.state()), (1, LeaseState::Live));
    bench.cloud.set_version("1", Mood::Allow);
    bench.clock.advance(S(10)).await;
    bench.unwrap(&old).await.unwrap();
}

#[tokio::test]
async fn p10_the_version_that_wraps_and_is_withheld_makes_way_for_another() {
    let bench = Bench::versioned().await;
    both_live(&bench).await;
    bench.cloud.set_version("2", Mood::Withheld);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    assert_eq!(wraps(&bench).await, "1");
}

#[tokio::test]
async fn p2_when_one_version_hears_that_the_whole_key_is_disabled_all_are_wiped_without_a_tick() {
    let bench = Bench::versioned().await;
    let (old, _) = both_live(&bench).await;
    bench.cloud.key(Mood::Disabled);
    let unknown = bench.forged(&old, "1");
    assert!(bench.unwrap(&unknown).await.is_err());
    bench.clock.settle().await;
    assert_eq!(bench.arena.in_use(), 0);
    assert_eq!(bench.state(), LeaseState::Denied);
}

#[tokio::test]
async fn nothing_is_served_under_any_version_while_the_verdict_on_the_principal_is_awaited() {
    let bench = Bench::versioned_with(sentinel).await;
    let (old, new) = both_live(&bench).await;
    let context = EncryptionContext::empty();
    let ready = [
        bench.leases.unwrap(&bench.subject(), &old, &context).await.unwrap(),
        bench.leases.unwrap(&bench.subject(), &new, &context).await.unwrap(),
    ];
    bench.cloud.trust(Mood::Deny);
    bench.cloud.sentinel(Mood::BlackHole);
    while bench.cloud.sentinel_calls() == 0 {
        bench.clock.advance(S(1) / 10).await;
    }
    assert_eq!(ready.iter().filter(|answer| answer.peek().is_ok()).count(), 0);
    let waiting = [bench.unwrapping(&old), bench.unwrapping(&new)];
    bench.clock.settle().await;
    assert!(waiting.iter().all(|request| !request.is_finished()));
    bench.clock.advance(S(2)).await;
    for request in waiting {
        assert!(matches!(request.await.unwrap(), Err(LeaseError::Denied(_))));
    }
}

#[tokio::test]
async fn after_a_masked_denial_the_other_versions_are_served_again() {
    let bench = Bench::versioned_with(sentinel).await;
    let (old, new) = both_live(&bench).await;
    bench.cloud.trust(Mood::Deny);
    bench.cloud.sentinel(Mood::Deny);
    while bench.cloud.sentinel_calls() == 0 {
        bench.clock.advance(S(1) / 10).await;
    }
    for wrapped in [&old, &new] {
        bench.unwrap(wrapped).await.unwrap();
    }
    assert!(bench.leases.view(bench.subject().name()).masked);
}

// === What is told, and what is held ===

#[tokio::test]
async fn watchers_learn_of_each_version_that_ends_and_that_the_binding_lives_on() {
    let mut bench = Bench::versioned().await;
    bench.wrapped().await;
    let first = epoch(&bench);
    let _ = both_live(&bench).await;
    assert_eq!(epoch(&bench), first, "one more live version ends nothing");
    bench.states();
    bench.cloud.set_version("1", Mood::Disabled);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    assert_eq!(bench.states(), [LeaseState::Denied, LeaseState::Live]);
    assert_eq!(bench.state(), LeaseState::Live);
    assert!(epoch(&bench) > first, "who missed the events sees that something ended");
    bench.clock.advance(S(60)).await;
    assert_eq!(bench.states(), [], "its retries are nobody's affair");
}

#[tokio::test]
async fn p1_of_several_live_versions_the_shortest_time_is_told() {
    let bench = Bench::versioned().await;
    let (old, new) = both_live(&bench).await;
    bench.clock.advance(S(100)).await;
    bench.cloud.set_version("1", Mood::Outage);
    bench.clock.advance(S(100)).await;
    let left = |released: leasehold_lease::Released<_>| released.lease_ttl;
    let (old, new) = (left(bench.unwrap(&old).await.unwrap()), left(bench.unwrap(&new).await.unwrap()));
    assert!(old < new, "{old:?} and {new:?}");
    assert_eq!(bench.leases.view(bench.subject().name()).ttl, old);
}

#[tokio::test]
async fn p1_a_hold_keeps_each_version_proving_that_keys_were_given_out_under() {
    let bench = Bench::versioned().await;
    let hold = bench.leases.hold(&bench.subject()).unwrap();
    both_live(&bench).await;
    bench.clock.advance(S(3600)).await;
    assert_eq!((bench.arena.in_use(), bench.state()), (2, LeaseState::Live));
    drop(hold);
    bench.clock.advance(S(900)).await;
    assert_eq!((bench.arena.in_use(), bench.state()), (0, LeaseState::Idle));
}

#[tokio::test]
async fn p9_a_hold_does_not_keep_asking_for_an_old_version_that_was_denied() {
    let bench = Bench::versioned().await;
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    let (old, _) = both_live(&bench).await;
    bench.cloud.set_version("1", Mood::Disabled);
    bench.clock.advance(S(1800)).await;
    let before = bench.cloud.count(Call::Assume);
    bench.clock.advance(S(3600)).await;
    let proofs = bench.cloud.count(Call::Assume) - before;
    assert!((24..=30).contains(&proofs), "{proofs}: those of the version that wraps");
    bench.cloud.set_version("1", Mood::Allow);
    bench.unwrap(&old).await.unwrap();
}

#[tokio::test]
async fn a_reprove_proves_every_version_in_use() {
    let bench = Bench::versioned().await;
    both_live(&bench).await;
    let before = bench.cloud.count(Call::Canary);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    assert_eq!(bench.cloud.count(Call::Canary), before + 2);
    bench.clock.advance(S(3600)).await;
    assert_eq!(bench.state(), LeaseState::Idle);
    let before = bench.cloud.count(Call::Canary);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    assert_eq!(bench.cloud.count(Call::Canary), before + 1, "and of those that are not, the one that wraps");
}

#[tokio::test]
async fn suspending_ends_every_version_and_resuming_brings_the_one_back_that_wraps() {
    let mut bench = Bench::versioned().await;
    let _hold = bench.leases.hold(&bench.subject()).unwrap();
    both_live(&bench).await;
    let now = std::time::SystemTime::UNIX_EPOCH;
    bench.change(|tenant| tenant.suspended(now).unwrap());
    assert_eq!((bench.arena.in_use(), bench.state()), (0, LeaseState::Suspended));
    bench.change(|tenant| tenant.resumed(now).unwrap());
    bench.clock.settle().await;
    assert_eq!(bench.state(), LeaseState::Live);
    assert_eq!(wraps(&bench).await, "2");
}
