//! What recording costs: the time until one record is kept, and records per second from many callers at once. Run it with
//! `cargo bench -p leasehold-audit`.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]
#![expect(clippy::print_stdout, reason = "what it measured is all that it is for")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_audit::{AnswerSource, Journal, JournalSettings, Outcome, Record, SigningKey, Sink};
use leasehold_clock::{SystemClock, TimeSource};

/// Callers that wait for their records at the same time.
const CALLERS: u32 = 64;
/// Records of each caller.
const RECORDS: u32 = 2_000;
/// Records that are written one after another.
const ONE_BY_ONE: u32 = 20_000;
/// The best of so many runs counts: whatever else the machine does only makes a run longer.
const RUNS: usize = 5;

fn record() -> Record {
    Record {
        time: SystemTime::UNIX_EPOCH,
        request_id: "6f1c2a34-6c1e-4a55-9a51-2b6c9d0c7c11".into(),
        caller: "unix:uid=900,gid=900,pid=4711".into(),
        operation: "UnwrapKey".into(),
        outcome: Outcome::Served,
        reason: None,
        rule: Some("engines".into()),
        validate_only: false,
        tenant: Some("acme".parse().unwrap()),
        binding: Some("main".parse().unwrap()),
        key_id: Some("arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".into()),
        context_digest: Some("a".repeat(64).into()),
        context: [("branch".into(), "main".into())].into(),
        origin: None,
        source: Some(AnswerSource::Cache),
        cloud_request_id: Some("0f3c5b1e-7a0c-4f0e-8f43-2b9b6a1f4d55".into()),
        cloud_code: None,
        proof_age_ms: Some(41_000),
        acknowledged: None,
        lease_epoch: None,
        latency_us: 120,
    }
}

fn sink(directory: &Path) -> Arc<dyn Sink> {
    let clock = Arc::new(SystemClock::start());
    let key = SigningKey::open_or_generate(&directory.join("signing.pem")).unwrap();
    Arc::new(Journal::open(directory, Some(key), clock, JournalSettings::default()).unwrap())
}

async fn one_by_one(sink: &Arc<dyn Sink>) {
    for _ in 0..ONE_BY_ONE {
        sink.write(record()).await.unwrap();
    }
}

async fn at_once(sink: &Arc<dyn Sink>) {
    let callers = (0..CALLERS).map(|_| {
        let sink = Arc::clone(sink);
        tokio::spawn(async move {
            for _ in 0..RECORDS {
                sink.write(record()).await.unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

/// The shortest of some runs, for each record.
async fn each(records: u32, run: impl AsyncFn()) -> Duration {
    let clock = SystemClock::start();
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        let start = clock.now();
        run().await;
        best = best.min(clock.now().since(start));
    }
    best / records
}

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let sink = sink(directory.path());
    println!("one by one: {:?} each", each(ONE_BY_ONE, async || one_by_one(&sink).await).await);
    let each = each(CALLERS * RECORDS, async || at_once(&sink).await).await;
    println!("{CALLERS} at once: {each:?} each, {:.0} records/s", 1.0 / each.as_secs_f64());
    sink.close().await;
}
