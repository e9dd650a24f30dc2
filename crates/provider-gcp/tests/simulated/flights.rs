//! Tokens of our own: who waits for one, who shares one, and what a source that is slow means to them.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_clock::{ManualClock, TimeSource};
use leasehold_provider::{Fault, Guarded, KeyProvider, Limits};
use leasehold_provider_gcp::{BaseIdentity, Endpoints, GcpConfig, GcpProvider};
use leasehold_secret::{Arena, ArenaConfig};
use leasehold_tenant::Binding;
use serde_json::json;

use crate::binding::binding;
use crate::wire::Wire;

const KEY: &str = "projects/acme-prod/locations/europe-west3/keyRings/ring/cryptoKeys/key";
const ACCOUNT: &str = "leasehold@acme-prod.iam.gserviceaccount.com";

/// A provider whose metadata server and IAM Credentials answer as told.
struct Bench {
    metadata: Wire,
    iam: Wire,
    provider: Arc<GcpProvider>,
    binding: Binding,
}

fn arena() -> Arena {
    Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap()
}

fn config(metadata: &Wire, iam: &Wire) -> GcpConfig {
    let endpoints = Endpoints {
        metadata: Some(metadata.url.clone()),
        iam_credentials: Some(iam.url.clone()),
        ..Endpoints::default()
    };
    GcpConfig { identity: BaseIdentity::Metadata, endpoints, ..GcpConfig::default() }
}

fn token(lasts: u64) -> String {
    json!({ "access_token": "ya29.own", "expires_in": lasts, "token_type": "Bearer" }).to_string()
}

impl Bench {
    async fn start() -> Self {
        let (metadata, iam) = (Wire::start().await, Wire::start().await);
        let provider = GcpProvider::build(config(&metadata, &iam), arena()).await.unwrap();
        let binding = binding("acme", KEY, &json!({ "service_account": ACCOUNT }));
        Self { metadata, iam, provider: Arc::new(provider), binding }
    }

    /// Begins to become the tenant's service account.
    fn assume(&self) -> tokio::task::JoinHandle<Result<(), Fault>> {
        self.iam.answer_session();
        let (provider, binding) = (Arc::clone(&self.provider), self.binding.clone());
        tokio::spawn(async move {
            provider.assume(&binding).await.map(drop).map_err(|error| error.fault().clone())
        })
    }
}

#[tokio::test]
async fn p9_an_identity_that_is_slower_than_its_callers_serves_the_next_one() {
    let bench = Bench::start().await;
    let held = bench.metadata.answer_held(200, token(3600));
    let caller = bench.assume();
    held.arrived().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled(), "its deadline came first");
    let next = bench.assume();
    held.release();
    assert_eq!(next.await.unwrap(), Ok(()));
    assert_eq!(bench.metadata.requests().len(), 1, "the token that nobody waited for any more");
}

#[tokio::test]
async fn p9_calls_that_come_together_share_one_token_and_one_failure() {
    let bench = Bench::start().await;
    for (status, outcome) in [(503, Err(Fault::Unavailable)), (200, Ok(()))] {
        let before = bench.metadata.requests().len();
        let held = bench.metadata.answer_held(status, token(3600));
        let callers: Vec<_> = (0..20).map(|_| bench.assume()).collect();
        // There is one thread, and so all of them were polled, and wait, before the first one's request could leave.
        held.arrived().await;
        held.release();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), outcome);
        }
        assert_eq!(bench.metadata.requests().len(), before + 1, "{status}");
    }
}

#[tokio::test]
async fn p1_a_proof_never_takes_a_token_that_was_asked_for_before_it_began() {
    let (metadata, iam) = (Wire::start().await, Wire::start().await);
    let keys = vec![KEY.parse().unwrap()];
    let provider = GcpProvider::build_operator(config(&metadata, &iam), keys, arena()).await.unwrap();
    let binding = binding("acme", KEY, &json!({}));
    let (first, second) = (metadata.answer_held(200, token(3600)), metadata.answer_held(200, token(3600)));
    let later = async {
        first.arrived().await;
        let both = async { tokio::join!(provider.assume(&binding), provider.assume(&binding)) };
        let releases = async {
            second.arrived().await;
            second.release();
        };
        let (both, ()) = tokio::join!(both, releases);
        first.release();
        both
    };
    let (one, (two, three)) = tokio::join!(provider.assume(&binding), later);
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(
        metadata.requests().len(),
        2,
        "one for the first, and one that the later share and that waits for nobody"
    );
}

#[tokio::test]
async fn p9_proofs_as_ourselves_that_come_together_share_one_token() {
    let (metadata, iam) = (Wire::start().await, Wire::start().await);
    let keys = vec![KEY.parse().unwrap()];
    let provider = GcpProvider::build_operator(config(&metadata, &iam), keys, arena()).await.unwrap();
    let binding = binding("acme", KEY, &json!({}));
    metadata.answer_flavored(200, token(3600));
    // Each is polled once before any request could leave.
    let assume = || provider.assume(&binding);
    let (one, two, three) = tokio::join!(assume(), assume(), assume());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(metadata.requests().len(), 1);
}

#[tokio::test]
async fn p9_a_source_that_takes_longer_than_an_attempt_serves_the_next_one_of_the_same_call() {
    let (metadata, iam) = (Wire::start().await, Wire::start().await);
    let keys = vec![KEY.parse().unwrap()];
    let provider = GcpProvider::build_operator(config(&metadata, &iam), keys, arena()).await.unwrap();
    let clock = ManualClock::new();
    let time: Arc<dyn TimeSource> = Arc::new(clock.clone());
    let guarded = Arc::new(Guarded::new(Arc::new(provider), time, Limits::default()));
    let held = metadata.answer_held(200, token(3600));
    let proof = {
        let guarded = Arc::clone(&guarded);
        tokio::spawn(async move { guarded.assume(&binding("acme", KEY, &json!({}))).await.map(drop) })
    };
    held.arrived().await;
    // The end of the first attempt, and the pause before the second.
    clock.advance(Limits::default().attempt + Limits::default().pause).await;
    held.release();
    proof.await.unwrap().unwrap();
    assert_eq!(metadata.requests().len(), 1, "it was asked for within this call");
    metadata.answer_flavored(200, token(3600));
    guarded.assume(&binding("acme", KEY, &json!({}))).await.unwrap();
    assert_eq!(metadata.requests().len(), 2, "and before the next began");
}

#[tokio::test]
async fn a_token_that_is_said_to_last_for_ever_makes_no_session_that_does() {
    let (metadata, iam) = (Wire::start().await, Wire::start().await);
    let keys = vec![KEY.parse().unwrap()];
    let provider = GcpProvider::build_operator(config(&metadata, &iam), keys, arena()).await.unwrap();
    metadata.answer_flavored(200, token(u64::MAX));
    let session = provider.assume(&binding("acme", KEY, &json!({}))).await.unwrap().value;
    #[expect(clippy::disallowed_methods, reason = "the expiry of a session is by the wall clock")]
    let left = session.expires_at().duration_since(SystemTime::now()).unwrap();
    assert!(left.as_secs() <= 12 * 3600, "{left:?}");
}

#[tokio::test]
async fn a_session_as_ourselves_lasts_as_long_as_its_token() {
    let (metadata, iam) = (Wire::start().await, Wire::start().await);
    let keys = vec![KEY.parse().unwrap()];
    let provider = GcpProvider::build_operator(config(&metadata, &iam), keys, arena()).await.unwrap();
    for lasts in [200, 3600] {
        metadata.answer_flavored(200, token(lasts));
        let session = provider.assume(&binding("acme", KEY, &json!({}))).await.unwrap().value;
        #[expect(clippy::disallowed_methods, reason = "the expiry of a session is by the wall clock")]
        let left = session.expires_at().duration_since(SystemTime::now()).unwrap().as_secs();
        assert!((lasts - 60..=lasts).contains(&left), "{left} of {lasts}");
    }
}
