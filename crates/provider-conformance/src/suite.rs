//! Running all checks.

use std::fmt;

use leasehold_provider::KeyProvider;

use crate::bench::Bench;
use crate::checks::{assuming, diagnosis, edges, faults, input, keys, kit, versions, wrapping};
use crate::fixture::Fixture;

/// A check that a provider did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which check.
    pub check: &'static str,
    /// What was expected, and what came instead.
    pub reason: String,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    passed: Vec<&'static str>,
    failures: Vec<Failure>,
}

impl Report {
    /// The checks that were passed, in the order in which they ran.
    #[must_use]
    pub fn passed(&self) -> &[&'static str] {
        &self.passed
    }

    /// The checks that were not.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} checks passed, {} failed", self.passed.len(), self.failures.len())?;
        self.failures.iter().try_for_each(|failure| write!(f, "\n  {}: {}", failure.check, failure.reason))
    }
}

/// Runs every check of `provider` against the cloud of `fixture`, one after another, healing the cloud after each.
pub async fn run(provider: &dyn KeyProvider, fixture: &dyn Fixture) -> Report {
    let bench = Bench { provider, fixture };
    let mut report = Report::default();
    macro_rules! run {
        ($($module:ident::$check:ident),+ $(,)?) => {$(
            match $module::$check(&bench).await {
                Ok(()) => report.passed.push(stringify!($check)),
                Err(reason) => report.failures.push(Failure { check: stringify!($check), reason }),
            }
            fixture.heal().await;
        )+};
    }
    run!(
        assuming::every_assume_asks_the_cloud_anew,
        assuming::a_session_expires_when_it_says,
        assuming::an_expired_session_is_told_from_a_denial,
        assuming::a_foreign_session_is_refused,
        assuming::we_know_who_we_are,
        wrapping::every_length_survives_a_round_trip,
        wrapping::a_ciphertext_opens_in_its_own_context_only,
        wrapping::a_ciphertext_opens_under_its_own_header_only,
        wrapping::a_ciphertext_opens_for_its_own_purpose_only,
        wrapping::another_tenants_ciphertext_is_rejected,
        edges::a_revoked_trust_is_a_denial_at_the_trust_edge,
        edges::a_forbidden_key_is_a_denial_at_the_key_edge,
        edges::our_own_broken_identity_is_never_a_denial,
        edges::a_protected_principal_passes_the_deputy_check,
        edges::an_unprotected_principal_fails_the_deputy_check,
        edges::a_principal_of_our_own_account_is_refused,
        edges::the_deputy_check_takes_no_outage_for_protection,
        keys::a_usable_key_is_described,
        keys::an_unusable_key_is_told_from_one_that_is_away,
        keys::a_missing_key_is_unusable,
        keys::an_unfit_key_is_refused_with_advice,
        faults::throttling_is_throttling,
        faults::an_outage_is_never_a_denial,
        input::garbage_is_rejected,
        input::a_cut_or_changed_ciphertext_is_rejected,
        input::what_cannot_work_is_refused_without_asking,
        versions::a_rotated_key_wraps_under_its_new_version,
        versions::what_an_older_version_wrapped_still_unwraps,
        versions::a_disabled_version_is_unusable_and_the_new_one_is_not,
        kit::the_kit_names_us_and_what_we_issued,
        kit::the_kit_has_policies_commands_and_terraform,
        kit::every_lever_can_be_pulled_and_put_back,
        kit::the_costs_add_up,
        diagnosis::every_hop_is_named,
        diagnosis::a_trust_denial_is_explained,
        diagnosis::a_key_denial_is_explained,
        diagnosis::a_disabled_key_is_explained,
        diagnosis::a_good_binding_fails_no_inspection,
    );
    report
}
