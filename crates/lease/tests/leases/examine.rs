//! Verification: every step tried, each failure told where it is, and nothing held or changed.

use std::sync::Arc;
use std::time::Duration;

use leasehold_envelope::EncryptionContext;
use leasehold_ids::ProviderKind;
use leasehold_lease::{Examination, LeaseError, LeaseState, Subject};
use leasehold_provider::{Depth, Edge, Fault, Finding, Throttler, Verdict};
use leasehold_tenant::Binding;

use crate::bench::{Bench, S};
use crate::cloud::{Call, Mood};

const STEPS: [&str; 9] = [
    "OWN_IDENTITY",
    "SETTINGS",
    "ASSUME",
    "DEPUTY",
    "DESCRIBE",
    "WRAP",
    "UNWRAP",
    "CONTEXT_BINDING",
    "CANARY",
];

/// What is told of a binding that works, the canary besides.
const TOLD: [&str; 10] = {
    let [a, b, c, d, e, f, g, h, i] = STEPS;
    [a, b, c, d, e, f, g, h, i, "LATENCY"]
};

async fn examine(bench: &Bench) -> Examination {
    bench.leases.examine(&bench.subject(), Depth::Access).await
}

/// The checks with this verdict.
fn with(examination: &Examination, verdict: Verdict) -> Vec<&'static str> {
    examination.findings.iter().filter(|f| f.verdict == verdict).map(|f| f.check).collect()
}

/// The only failure, which must be `check`.
#[track_caller]
fn only_failure<'a>(examination: &'a Examination, check: &str) -> &'a Finding {
    assert_eq!(with(examination, Verdict::Failed), [check]);
    assert_eq!(examination.verdict(), Verdict::Failed);
    examination.findings.iter().find(|f| f.verdict == Verdict::Failed).unwrap()
}

fn pending(subject: Subject, change: impl FnOnce(&mut Binding)) -> Subject {
    let mut binding = Binding::clone(&subject.binding);
    change(&mut binding);
    Subject { binding: Arc::new(binding), ..subject }
}

#[tokio::test]
async fn a_binding_that_works_passes_every_step_in_order() {
    let bench = Bench::new().await;
    let examination = examine(&bench).await;
    assert_eq!(with(&examination, Verdict::Passed), TOLD);
    assert_eq!(examination.verdict(), Verdict::Passed);
    assert!(examination.failure.is_none());
    let asked = |check| examination.findings.iter().find(|f| f.check == check).unwrap();
    for check in ["ASSUME", "DESCRIBE", "WRAP", "UNWRAP", "CANARY"] {
        assert_eq!(
            asked(check).request_id.as_deref(),
            Some("request-1"),
            "{check} is found in the audit log"
        );
        assert!(asked(check).took.is_some(), "{check} was timed");
    }
    assert!(asked("SETTINGS").took.is_none(), "nobody was asked");
}

#[tokio::test]
async fn p1_a_verification_makes_no_lease_and_keeps_none_alive() {
    let mut bench = Bench::new().await;
    bench.states();
    examine(&bench).await;
    assert_eq!((bench.state(), bench.states()), (LeaseState::Idle, vec![]));
    let wrapped = bench.wrapped().await;
    bench.cloud.both(Mood::Outage);
    bench.clock.advance(S(200)).await;
    bench.cloud.both(Mood::Allow);
    assert_eq!(examine(&bench).await.verdict(), Verdict::Passed);
    bench.cloud.both(Mood::Outage);
    bench.clock.advance(S(101)).await;
    assert!(bench.unwrap(&wrapped).await.is_err(), "the bound counts from the last proof");
}

#[tokio::test]
async fn a_verification_that_is_denied_ends_no_lease() {
    let bench = Bench::new().await;
    let wrapped = bench.wrapped().await;
    bench.cloud.key(Mood::Deny);
    examine(&bench).await;
    bench.cloud.key(Mood::Allow);
    assert_eq!(bench.state(), LeaseState::Live, "only a proof says what a lease does");
    bench.unwrap(&wrapped).await.unwrap();
}

#[tokio::test]
async fn p2_a_verification_that_is_denied_what_every_proof_does_has_the_lease_proven() {
    for cut in [Call::Assume, Call::Canary] {
        let mut bench = Bench::new().await;
        bench.wrapped().await;
        bench.states();
        match cut {
            Call::Assume => bench.cloud.trust(Mood::Deny),
            _ => bench.cloud.key(Mood::Deny),
        }
        examine(&bench).await;
        bench.clock.settle().await;
        assert_eq!(bench.states(), [LeaseState::Denied], "{cut:?}: by a proof, without a tick of the clock");
    }
}

#[tokio::test]
async fn p3_a_verification_that_gets_no_answer_starts_no_proof() {
    let bench = Bench::new().await;
    bench.wrapped().await;
    bench.cloud.key(Mood::Outage);
    let before = bench.cloud.count(Call::Assume);
    examine(&bench).await;
    bench.clock.settle().await;
    assert_eq!(bench.cloud.count(Call::Assume), before + 1, "its own");
}

#[tokio::test]
async fn p6_who_binds_anothers_key_learns_nothing_of_it_from_a_verification() {
    let by = Throttler::Cloud;
    for fault in [Fault::Misconfigured, Fault::Unavailable, Fault::Throttled { by, retry_after: None }] {
        let bench = Bench::new().await;
        let subject = pending(bench.subject(), |binding| binding.canary = None);
        bench.cloud.odd(|odd| {
            odd.deputy = Some(fault.clone());
            odd.warns = true;
        });
        let uses = [Call::Describe, Call::Wrap, Call::Unwrap, Call::Canary];
        let before = uses.map(|call| bench.cloud.count(call));
        let examination = bench.leases.examine(&subject, Depth::ExcessPermissions).await;
        assert_eq!(uses.map(|call| bench.cloud.count(call)), before, "{fault:?}");
        only_failure(&examination, "DEPUTY");
        assert_eq!(with(&examination, Verdict::Skipped), STEPS[4..], "{fault:?}");
        assert_eq!(with(&examination, Verdict::Warning), [""; 0], "{fault:?}: nor does a closer look tell");
    }
}

#[tokio::test]
async fn a_verification_tells_that_rotations_are_not_followed() {
    let bench = Bench::versioned().await;
    bench.cloud.describe(Mood::Deny);
    bench.wrapped().await;
    bench.clock.settle().await;
    assert_eq!(
        with(&examine(&bench).await, Verdict::Warning),
        [""; 0],
        "that the key cannot be described says it"
    );
    bench.cloud.describe(Mood::Allow);
    let examination = examine(&bench).await;
    assert_eq!(with(&examination, Verdict::Warning), ["ROTATION_NOT_FOLLOWED"]);
    bench.leases.reprove(&bench.subject()).await.unwrap();
    bench.clock.settle().await;
    assert_eq!(examine(&bench).await.verdict(), Verdict::Passed);
}

#[tokio::test]
async fn a_denied_hop_marks_the_ones_before_it_passed_and_the_rest_skipped() {
    let bench = Bench::new().await;
    bench.cloud.odd(|odd| {
        odd.hops = vec!["first", "second", "third"];
        odd.denied_hop = 1;
    });
    bench.cloud.trust(Mood::Deny);
    let examination = examine(&bench).await;
    let hops: Vec<_> = examination.findings.iter().filter(|f| f.check == "ASSUME").collect();
    let told: Vec<_> = hops.iter().map(|f| (f.title.as_str(), f.verdict)).collect();
    assert_eq!(
        told,
        [
            ("become first", Verdict::Passed),
            ("become second", Verdict::Failed),
            ("become third", Verdict::Skipped)
        ]
    );
    assert_eq!(hops[1].edge, Some(Edge::Trust { hop: 1 }));
    assert_eq!(hops[1].causes[0].text, "Assume failed", "the provider explains");
    assert_eq!(with(&examination, Verdict::Skipped)[1..], STEPS[3..]);
    assert!(matches!(examination.failure, Some(LeaseError::Denied(_))));
}

#[tokio::test]
async fn an_outage_on_the_way_blames_no_hop_and_is_no_denial() {
    let moods = [(Mood::Outage, "not a denial"), (Mood::Throttle, "not a denial"), (Mood::BlackHole, "time")];
    for (mood, says) in moods {
        let bench = Bench::new().await;
        bench.cloud.odd(|odd| odd.hops = vec!["first", "second"]);
        bench.cloud.trust(mood);
        let (leases, subject) = (bench.leases.clone(), bench.subject());
        let examining = tokio::spawn(async move { leases.examine(&subject, Depth::Access).await });
        bench.clock.advance(S(13)).await;
        let examination = examining.await.unwrap();
        let failed = only_failure(&examination, "ASSUME");
        assert_eq!((failed.title.as_str(), failed.edge), ("become second", None));
        assert!(failed.detail.contains(says) && !failed.causes.is_empty(), "{mood:?}: {}", failed.detail);
        let failure = examination.failure.as_ref().unwrap();
        assert!(matches!(failure, LeaseError::Unavailable(_) | LeaseError::Throttled { .. }), "{failure:?}");
        assert_eq!(with(&examination, Verdict::Skipped), STEPS[3..]);
    }
}

#[tokio::test]
async fn a_denied_key_fails_what_uses_it_and_skips_what_builds_on_that() {
    let bench = Bench::new().await;
    bench.cloud.key(Mood::Deny);
    let examination = examine(&bench).await;
    assert_eq!(with(&examination, Verdict::Failed), ["WRAP", "CANARY"]);
    assert_eq!(with(&examination, Verdict::Skipped)[..2], ["UNWRAP", "CONTEXT_BINDING"]);
    let canary = examination.findings.iter().find(|f| f.check == "CANARY").unwrap();
    assert_eq!(canary.edge, Some(Edge::Key));
}

#[tokio::test]
async fn each_step_that_fails_alone_is_told_alone() {
    type Break = fn(&Bench);
    let cases: [(Break, &str, &[&str]); 5] = [
        (|b| b.cloud.odd(|o| o.own_identity = Some(Fault::OwnIdentity)), "OWN_IDENTITY", &STEPS[2..]),
        (|b| b.cloud.odd(|o| o.settings = Some(Fault::Misconfigured)), "SETTINGS", &STEPS[2..]),
        (|b| b.cloud.odd(|o| o.deputy = Some(Fault::Misconfigured)), "DEPUTY", &[]),
        (|b| b.cloud.odd(|o| o.describe = Some(Fault::Unavailable)), "DESCRIBE", &STEPS[5..8]),
        (|b| b.cloud.odd(|o| o.own_identity = Some(Fault::Unavailable)), "OWN_IDENTITY", &[]),
    ];
    for (break_it, check, skipped) in cases {
        let bench = Bench::new().await;
        break_it(&bench);
        let examination = examine(&bench).await;
        only_failure(&examination, check);
        let told: Vec<_> =
            with(&examination, Verdict::Skipped).into_iter().filter(|check| STEPS.contains(check)).collect();
        assert_eq!(told, skipped, "{check}");
    }
}

#[tokio::test]
async fn p6_a_key_that_opens_under_another_context_fails_the_verification() {
    let bench = Bench::new().await;
    bench.cloud.odd(|odd| odd.loose = true);
    let examination = examine(&bench).await;
    let failed = only_failure(&examination, "CONTEXT_BINDING");
    assert!(failed.detail.contains("encryption context"), "{}", failed.detail);
    assert!(matches!(examination.failure, Some(LeaseError::Misconfigured(_))));
}

#[tokio::test]
async fn a_policy_that_forbids_other_contexts_does_not_hide_whether_they_are_bound() {
    for loose in [false, true] {
        let bench = Bench::new().await;
        let entries = [("purpose", "proof"), ("verification", "one")];
        bench.cloud.forbid(Some(EncryptionContext::try_from_iter(entries).unwrap()));
        bench.cloud.odd(|odd| odd.loose = loose);
        let examination = examine(&bench).await;
        let expected = if loose { Verdict::Failed } else { Verdict::Passed };
        assert_eq!(examination.verdict(), expected);
    }
}

#[tokio::test]
async fn the_context_that_must_be_refused_is_never_the_bindings_own() {
    let full: Vec<_> = (0..7).map(|n| (format!("n{n}"), "v".to_owned())).collect();
    for value in ["one", "another"] {
        let bench = Bench::new().await;
        let entries = full.iter().cloned().chain([("verification".to_owned(), value.to_owned())]);
        let context = EncryptionContext::try_from_iter(entries).unwrap();
        let subject = pending(bench.subject(), |binding| {
            binding.canary_context = context;
            binding.canary = None;
        });
        let examination = bench.leases.examine(&subject, Depth::Access).await;
        assert_eq!(examination.verdict(), Verdict::Passed, "{:?}", examination.findings);
    }
}

#[tokio::test]
async fn a_binding_that_was_never_activated_has_no_canary_to_try() {
    let bench = Bench::new().await;
    let subject = pending(bench.subject(), |binding| binding.canary = None);
    let examination = bench.leases.examine(&subject, Depth::Access).await;
    let told: Vec<_> = TOLD.into_iter().filter(|check| *check != "CANARY").collect();
    assert_eq!(with(&examination, Verdict::Passed), told);
    assert_eq!(with(&examination, Verdict::Skipped)[0], "CANARY");
    assert_eq!(examination.verdict(), Verdict::Passed);
}

#[tokio::test]
async fn warnings_and_a_closer_look_join_the_report() {
    let bench = Bench::new().await;
    bench.cloud.odd(|odd| odd.warns = true);
    let examination = bench.leases.examine(&bench.subject(), Depth::ExcessPermissions).await;
    let warned = ["EXPIRES_SOON", "ROTATION", "EXCESS_PERMISSIONS"];
    assert_eq!(with(&examination, Verdict::Warning), warned, "and nothing is said twice");
    assert_eq!(examination.verdict(), Verdict::Warning);
    assert_eq!(examination.findings.last().unwrap().detail, "us", "the look knows who we are");
}

#[tokio::test]
async fn p9_a_verification_ends_in_time_with_what_it_knows() {
    let bench = Bench::new().await;
    bench.cloud.odd(|odd| odd.endless = true);
    let (leases, subject) = (bench.leases.clone(), bench.subject());
    let examining = tokio::spawn(async move { leases.examine(&subject, Depth::Access).await });
    bench.clock.advance(S(12)).await;
    assert!(examining.is_finished());
    let examination = examining.await.unwrap();
    assert_eq!(with(&examination, Verdict::Passed), TOLD);
    assert_eq!(with(&examination, Verdict::Skipped), ["INSPECTION"]);
}

#[tokio::test]
async fn p9_a_verification_takes_its_turn_in_the_budget_of_proofs() {
    let mut settings = leasehold_lease::Settings::default();
    settings.proofs_per_second = 1.0;
    let bench = Bench::with(settings, |providers| providers).await;
    let before = bench.cloud.count(Call::Assume);
    let (leases, subject) = (bench.leases.clone(), bench.subject());
    let examining = tokio::spawn(async move { leases.examine(&subject, Depth::Access).await });
    bench.clock.settle().await;
    assert_eq!(bench.cloud.count(Call::Assume), before, "the activation used up this second");
    bench.clock.advance(S(2)).await;
    assert_eq!(examining.await.unwrap().verdict(), Verdict::Passed);
}

#[tokio::test]
async fn a_sentinel_that_is_denied_too_says_that_it_is_our_own_fault() {
    let bench = Bench::with_sentinel().await;
    bench.cloud.trust(Mood::Deny);
    let tenants = examine(&bench).await;
    assert_eq!(only_failure(&tenants, "ASSUME").causes[0].reason, "AS_THE_TEST_SAID");
    bench.cloud.sentinel(Mood::Deny);
    let ours = examine(&bench).await;
    let failed = only_failure(&ours, "ASSUME");
    assert_eq!(failed.causes.iter().map(|c| c.reason).collect::<Vec<_>>(), ["OWN_IDENTITY_BROKEN"]);
    assert!(matches!(ours.failure, Some(LeaseError::Masked(_))));
}

#[tokio::test]
async fn a_failure_that_may_pass_never_hides_one_that_does_not() {
    let bench = Bench::new().await;
    let by = Throttler::Cloud;
    bench.cloud.odd(|odd| odd.deputy = Some(Fault::Throttled { by, retry_after: Some(Duration::ZERO) }));
    bench.cloud.key(Mood::Disabled);
    let examination = examine(&bench).await;
    assert_eq!(with(&examination, Verdict::Failed), ["DEPUTY", "WRAP", "CANARY"]);
    assert!(matches!(examination.failure, Some(LeaseError::Denied(_))), "{:?}", examination.failure);
}

#[tokio::test]
async fn a_key_that_cannot_be_looked_at_is_told_by_the_step_that_is_about_it() {
    let denied = || Some(Fault::Denied { edge: Edge::Key });
    let bench = Bench::new().await;
    bench.cloud.odd(|odd| (odd.deputy, odd.describe) = (denied(), denied()));
    let examination = examine(&bench).await;
    only_failure(&examination, "DESCRIBE");
    assert_eq!(with(&examination, Verdict::Skipped)[..4], ["DEPUTY", "WRAP", "UNWRAP", "CONTEXT_BINDING"]);

    let uses = [Call::Describe, Call::Wrap, Call::Unwrap, Call::Canary];
    let before = uses.map(|call| bench.cloud.count(call));
    let never_activated = pending(bench.subject(), |binding| binding.canary = None);
    let examination = bench.leases.examine(&never_activated, Depth::Access).await;
    only_failure(&examination, "DESCRIBE");
    let rest = ["DEPUTY", "WRAP", "UNWRAP", "CONTEXT_BINDING", "CANARY"];
    assert_eq!(with(&examination, Verdict::Skipped), rest);
    assert_eq!(uses.map(|call| bench.cloud.count(call)), before, "it may be somebody else's key");
}

#[tokio::test]
async fn a_key_that_is_far_away_is_warned_of() {
    let bench = Bench::new().await;
    let leases = bench.leases.clone();
    let subject = pending(bench.subject(), |binding| binding.canary = None);
    // What is wrapped on trial is a canary too.
    let mut held = bench.cloud.hold(Call::Canary);
    let examining = tokio::spawn(async move { leases.examine(&subject, Depth::Access).await });
    held.reached().await;
    bench.clock.advance(Duration::from_millis(251)).await;
    held.go_on();
    let examination = examining.await.unwrap();
    assert_eq!(with(&examination, Verdict::Warning), ["LATENCY"]);
    let far = examination.findings.iter().find(|finding| finding.check == "LATENCY").unwrap();
    assert_eq!(far.causes[0].reason, "KEY_FAR_AWAY");
}

#[tokio::test]
async fn a_cloud_that_is_not_enabled_is_said_so() {
    let bench = Bench::new().await;
    let mars: ProviderKind = "mars".parse().unwrap();
    let subject = pending(bench.subject(), |binding| binding.provider = mars);
    let examination = bench.leases.examine(&subject, Depth::Access).await;
    let failed = only_failure(&examination, "SETTINGS");
    assert!(failed.causes[0].mend.contains("[providers.mars]"), "{}", failed.causes[0].mend);
    assert!(matches!(examination.failure, Some(LeaseError::UnknownProvider(_))));
}
