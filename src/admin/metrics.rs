//! The metrics: what the crates count as they go, and what is measured when it is asked for.

use std::time::Duration;

use leasehold_lease::{LeaseState, Leases};
use leasehold_secret::Arena;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the buckets of durations, in seconds: from a hit of the cache to the longest that a call may take.
const SECONDS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0];

/// The same for ages of proofs: up to the longest bound.
const AGES: [f64; 10] = [1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 150.0, 300.0, 900.0, 3600.0];

/// How often what was counted is put together, scraped or not: until then samples pile up.
pub(super) const UPKEEP: Duration = Duration::from_secs(5);

/// What is measured, and where it is kept.
#[derive(Clone)]
pub(crate) struct Metrics {
    kept: PrometheusHandle,
    leases: Leases,
    arena: Arena,
}

impl Metrics {
    /// Begins to count. A process counts once, whatever it serves: a second server's metrics are in the first one's too.
    pub(super) fn start(leases: Leases, arena: Arena) -> Result<Self, BuildError> {
        Ok(Self { kept: recorder()?, leases, arena })
    }

    /// In the text format of Prometheus.
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
    pub(super) fn render(&self) -> String {
        self.measure();
        self.kept.render()
    }

    /// Puts together what was counted.
    pub(super) fn keep_up(&self) {
        self.kept.run_upkeep();
    }

    fn measure(&self) {
        for (cloud, census) in self.leases.census() {
            let cloud = cloud.to_string();
            for state in LeaseState::ALL {
                let leases = census.states.get(&state).copied().unwrap_or_default();
                gauge!("leasehold_leases", "cloud" => cloud.clone(), "state" => state.as_str())
                    .set(count(leases));
            }
            gauge!("leasehold_leases_masked", "cloud" => cloud.clone()).set(count(census.masked));
            let oldest = census.oldest_proof.unwrap_or_default();
            gauge!("leasehold_oldest_proof_seconds", "cloud" => cloud).set(oldest.as_secs_f64());
        }
        let cached = self.leases.cached();
        gauge!("leasehold_cache_entries").set(count(usize::try_from(cached.entries).unwrap_or(usize::MAX)));
        gauge!("leasehold_cache_bytes").set(count(usize::try_from(cached.bytes).unwrap_or(usize::MAX)));
        gauge!("leasehold_arena_keys").set(count(self.arena.in_use()));
        gauge!("leasehold_arena_capacity_keys").set(count(self.arena.capacity()));
    }
}

/// A figure of Prometheus's, which counts exactly up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "no figure here comes near 2^53")]
fn count(figure: usize) -> f64 {
    figure as f64
}

/// What keeps the process's metrics.
fn recorder() -> Result<PrometheusHandle, BuildError> {
    static KEPT: std::sync::Mutex<Option<PrometheusHandle>> = std::sync::Mutex::new(None);
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(kept) = &*kept {
        return Ok(kept.clone());
    }
    let ages = metrics_exporter_prometheus::Matcher::Full("leasehold_proof_age_seconds".to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .set_buckets_for_metric(ages, &AGES)?
        .install_recorder()?;
    describe();
    gauge!("leasehold_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(kept.insert(handle).clone())
}

/// What each metric means. The one list of them.
fn describe() {
    describe_gauge!("leasehold_build_info", "1, labelled with the version that runs.");
    // === requests ===
    describe_counter!(
        "leasehold_operations_total",
        "Decided requests, by operation, cloud (none if it was not known yet), outcome, reason of a refusal, and whether the \
         answer came from the cache or the cloud."
    );
    describe_histogram!(
        "leasehold_operation_duration_seconds",
        Unit::Seconds,
        "From a request to its decision, by operation and cloud."
    );
    describe_histogram!(
        "leasehold_proof_age_seconds",
        Unit::Seconds,
        "How old the proof was that an answer with a key was given under, by cloud: never above the bound."
    );
    describe_counter!(
        "leasehold_audit_failures_total",
        "Decisions that could not be recorded, and so were refused unless the configuration says otherwise."
    );
    describe_counter!(
        "leasehold_reloads_total",
        "Files that changed, by outcome: taken_over, or refused because they cannot be used."
    );
    // === leases ===
    describe_gauge!(
        "leasehold_leases",
        "Leases by cloud and state; one for each version of a key in use. live: served. idle: not in use. denied: the cloud \
         said no. lapsed: the bound passed without an answer."
    );
    describe_gauge!(
        "leasehold_leases_masked",
        "Leases whose denial is taken to be our own identity's fault, because the sentinel was denied as well."
    );
    describe_gauge!(
        "leasehold_oldest_proof_seconds",
        Unit::Seconds,
        "Age of the oldest proof that a live lease lives on, by cloud."
    );
    describe_counter!(
        "leasehold_lease_changes_total",
        "Changes of leases' states, by cloud and the state entered."
    );
    describe_counter!(
        "leasehold_proofs_total",
        "Proofs by cloud and outcome: proven, denied, masked, refused (what a caller lent was rejected) or failed (no answer)."
    );
    describe_histogram!(
        "leasehold_proof_queue_seconds",
        Unit::Seconds,
        "How long proofs waited for their turn in the budget, by cloud."
    );
    describe_histogram!(
        "leasehold_proof_duration_seconds",
        Unit::Seconds,
        "How long proofs took from their turn on, the sentinel included, by cloud."
    );
    // === clouds ===
    describe_counter!(
        "leasehold_cloud_calls_total",
        "Attempts of calls to clouds, by cloud, call, outcome, and the cloud's code of a failure."
    );
    describe_histogram!(
        "leasehold_cloud_call_duration_seconds",
        Unit::Seconds,
        "How long an attempt took, by cloud and call."
    );
    describe_memory();
}

fn describe_memory() {
    describe_gauge!("leasehold_cache_entries", "Entries of the sealed cache.");
    describe_gauge!(
        "leasehold_cache_bytes",
        Unit::Bytes,
        "Their size, as counted against lease.cache_bytes."
    );
    describe_gauge!(
        "leasehold_arena_keys",
        "Keys in the clear in locked memory, one for each live lease among them."
    );
    describe_gauge!("leasehold_arena_capacity_keys", "How many there is room for.");
}
