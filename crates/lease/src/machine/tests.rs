use std::time::SystemTime;

use leasehold_envelope::{EncryptionContext, Hierarchy};
use leasehold_tenant::{CloudSettings, LeaseTerms, NewBinding, Tenant};
use tokio::sync::watch;

use super::*;

fn machine() -> Machine {
    let new = NewBinding {
        provider: "test".parse().unwrap(),
        key: "key-1".parse().unwrap(),
        settings: CloudSettings::default(),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    let (epoch, terms) = (SystemTime::UNIX_EPOCH, LeaseTerms::default());
    let tenant = Tenant::new("acme".parse().unwrap(), String::new(), terms, epoch)
        .with_binding("main".parse().unwrap(), new, &"test".parse().unwrap(), epoch)
        .unwrap();
    Machine::new(Subject::of(&tenant, tenant.bindings.values().next().unwrap()), Moment::START, 0)
}

const NOW: Now = Now { at: Moment::START, generation: Generation(0) };

/// The latest expiry of a lease that lives now.
fn latest_expiry() -> Moment {
    NOW.at + LeaseTerms::default().revocation_bound().get()
}

#[test]
fn p9_a_lapsed_lease_waits_behind_renewals_of_the_live() {
    let mut machine = machine();
    machine.phase = Phase::Lapsed;
    assert_eq!(machine.urgency(NOW), Urgency::Needed { by: latest_expiry() });
}

#[test]
fn p9_a_first_proof_after_one_that_failed_waits_behind_renewals_of_the_live() {
    let mut machine = machine();
    let version = machine.subject.binding.version;
    let urgency = |step| match step {
        Step::Wait(_, Some(start)) => start.urgency,
        other => panic!("{other:?}"),
    };
    assert_eq!(urgency(machine.step(version, NOW)), Urgency::Needed { by: NOW.at }, "somebody waits");
    machine.flights = Flights::default();
    machine.failures = 1;
    assert_eq!(urgency(machine.step(version, NOW)), Urgency::Needed { by: latest_expiry() });
}

#[test]
fn p9_a_proof_that_is_wanted_now_goes_behind_the_renewals_of_the_next_seconds() {
    let Step::Wait(_, Some(start)) = machine().reprove(NOW) else { panic!("it begins") };
    assert_eq!(start.urgency, Urgency::Needed { by: NOW.at + Duration::from_secs(5) });
}

#[test]
fn p9_a_proof_that_waited_for_a_place_is_as_urgent_as_it_was_wanted() {
    let mut machine = machine();
    for _ in 0..2 {
        assert!(matches!(machine.reprove(NOW), Step::Wait(_, Some(_))));
    }
    assert!(matches!(machine.reprove(NOW), Step::Wait(_, None)), "the places are taken");
    machine.flights.remove(0);
    let start = machine.tick(NOW).unwrap();
    assert_eq!(start.urgency, Urgency::Needed { by: NOW.at + Duration::from_secs(5) });
}

#[test]
fn p1_of_several_verdicts_that_are_awaited_each_keeps_what_is_held_from_being_served() {
    let mut machine = machine();
    let (first, second) = (watch::Sender::new(None), watch::Sender::new(None));
    machine.doubt(first.subscribe());
    machine.doubt(second.subscribe());
    for verdict in [second, first] {
        assert!(machine.under_verdict().is_some());
        verdict.send_replace(Some(Ok(())));
    }
    assert!(machine.under_verdict().is_none());
}
