//! What came of the steps, in the words that people read.

use std::sync::Arc;
use std::time::Duration;

use leasehold_provider::{
    Cause, Edge, FailedStage, Fault, Finding, ProviderError, Stage, Throttler, Verdict, Warning,
};
use leasehold_tenant::Binding;

use super::{Examination, Examiner};
use crate::{LeaseError, sentinel};

/// Within a region a call takes some 10 ms, and around the world 150 to 300 ms: a longer unwrap is felt.
const NEAR: Duration = Duration::from_millis(250);

/// What needs a session, in order.
pub(super) const WITH_SESSION: [Stage; 6] =
    [Stage::Deputy, Stage::Describe, Stage::Wrap, Stage::Unwrap, Stage::ContextBinding, Stage::Canary];

impl Examiner<'_> {
    // === What a step came to ===

    pub(super) fn pass(
        &mut self,
        stage: Stage,
        detail: impl Into<String>,
        took: Option<Duration>,
        request_id: Option<Box<str>>,
    ) {
        let finding = Finding::new(check(stage), self.title(stage), Verdict::Passed, detail);
        self.findings.push(Finding { took, request_id, ..finding });
    }

    pub(super) async fn fail(&mut self, stage: Stage, error: ProviderError, took: Option<Duration>) {
        self.fail_as(stage, self.title(stage), error, took).await;
    }

    pub(super) fn skip(&mut self, stage: Stage, why: &str) {
        self.findings.push(Finding::new(check(stage), self.title(stage), Verdict::Skipped, why));
    }

    pub(super) fn skip_without_session(&mut self, why: &str) {
        if !self.findings.iter().any(|finding| finding.check == check(Stage::Assume)) {
            self.skip(Stage::Assume, why);
        }
        WITH_SESSION.into_iter().for_each(|stage| self.skip(stage, why));
    }

    /// One call becomes all principals, so its time is told once, with the last.
    pub(super) fn hops_passed(&mut self, took: Duration, request_id: Option<Box<str>>) {
        let hops = self.hops();
        let last = hops.len() - 1;
        for (hop, title) in hops.into_iter().enumerate() {
            let finding = Finding::new(check(Stage::Assume), title, Verdict::Passed, "let in");
            self.findings.push(match hop == last {
                true => Finding { took: Some(took), request_id: request_id.clone(), ..finding },
                false => finding,
            });
        }
    }

    /// The hops before the one that failed have succeeded. Where it is not known which one failed, none is told apart.
    pub(super) async fn hop_failed(&mut self, error: ProviderError, took: Duration) {
        let mut hops = self.hops();
        let Fault::Denied { edge: Edge::Trust { hop } } = *error.fault() else {
            let last = hops.pop().unwrap_or_default();
            return self.fail_as(Stage::Assume, last, error, Some(took)).await;
        };
        let hop = hop.min(hops.len() - 1);
        let later = hops.split_off(hop + 1);
        let failed = hops.pop().unwrap_or_default();
        let finding = |title, verdict, detail| Finding::new(check(Stage::Assume), title, verdict, detail);
        self.findings.extend(hops.into_iter().map(|title| finding(title, Verdict::Passed, "let in")));
        self.fail_as(Stage::Assume, failed, error, Some(took)).await;
        let skipped = |title| finding(title, Verdict::Skipped, "the hop before it failed");
        self.findings.extend(later.into_iter().map(skipped));
    }

    /// How long what every proof does took, if it was done.
    pub(super) fn latency(&mut self) {
        let took = |stage: Stage| {
            let mut of_it = self.findings.iter().rev().filter(|finding| finding.check == check(stage));
            of_it.find_map(|finding| finding.took.filter(|_| finding.verdict == Verdict::Passed))
        };
        let unwrapped = took(Stage::Canary).or_else(|| took(Stage::Unwrap));
        let (Some(assumed), Some(unwrapped)) = (took(Stage::Assume), unwrapped) else { return };
        let (title, key) = ("how far the key is", &self.binding.key);
        let detail = format!(
            "a proof takes {} ms, {} ms of it to unwrap",
            (assumed + unwrapped).as_millis(),
            unwrapped.as_millis()
        );
        self.findings.push(if unwrapped <= NEAR {
            Finding::new("LATENCY", title, Verdict::Passed, detail)
        } else {
            Finding::new("LATENCY", title, Verdict::Warning, detail).because(Cause {
                reason: "KEY_FAR_AWAY",
                text: "Whoever asks for a key that is not cached waits for an unwrap, and this one took long.".to_owned(),
                mend: format!(
                    "# Verify again, in case it was a moment's delay. If it was not, have Leasehold run nearer to {key}, or \
                     make another binding with a key that is nearer."
                ),
            })
        });
    }

    /// How a step is called by people.
    fn title(&self, stage: Stage) -> String {
        match stage {
            Stage::Deputy => self.provider.deputy(self.binding),
            _ => title(stage, self.binding),
        }
    }

    /// Titles of the hops; at least one.
    fn hops(&self) -> Vec<String> {
        let hops = self.provider.hops(self.binding);
        match hops.is_empty() {
            true => vec![self.title(Stage::Assume)],
            false => hops.into_iter().map(|principal| format!("become {principal}")).collect(),
        }
    }

    async fn fail_as(&mut self, stage: Stage, title: String, error: ProviderError, took: Option<Duration>) {
        let ours = self.is_our_own_fault(&error).await;
        // The sentinel's word is a proof: nothing that the tenant could change would help.
        let causes = if ours { vec![sentinel_denied()] } else { self.causes(stage, &error).await };
        let finding = Finding { took, ..Finding::failed(check(stage), title, &error, causes) };
        self.findings.push(match unanswered(&error) {
            Some(what) => Finding { detail: format!("{what}: {}", error.detail()), ..finding },
            None => finding,
        });
        let error = Arc::new(error);
        let failure = if ours { LeaseError::Masked(error) } else { LeaseError::from_proof(error) };
        self.denied |= matches!((stage, &failure), (Stage::Assume | Stage::Canary, LeaseError::Denied(_)));
        if self.failure.as_ref().is_none_or(|first| may_pass(first) && !may_pass(&failure)) {
            self.failure = Some(failure);
        }
    }

    /// Whether rotations are followed, as far as the lease knows; unless this verification has just told of the same.
    pub(super) fn rotation(&mut self, unknown: Option<Arc<ProviderError>>) {
        let described = check(Stage::Describe);
        let told = |finding: &Finding| finding.check == described && finding.verdict == Verdict::Failed;
        if let Some(error) = unknown.filter(|_| !self.findings.iter().any(told)) {
            let title = "follow rotations of the key";
            let finding = Finding::new("ROTATION_NOT_FOLLOWED", title, Verdict::Warning, error.to_string());
            self.findings.push(finding.because(Cause {
                reason: "ROTATION_NOT_FOLLOWED",
                text: "When the cloud was last asked which version of the key wraps, it did not say; the version before goes \
                       on wrapping."
                    .to_owned(),
                mend: format!(
                    "# Nothing, if it has passed by now: it is asked again within minutes. Operator, to have it asked at \
                     once:\nleasehold tenant reprove {}",
                    self.binding.name.tenant()
                ),
            }));
        }
    }

    async fn causes(&self, stage: Stage, error: &ProviderError) -> Vec<Cause> {
        let failed = FailedStage { binding: self.binding, own: self.own.as_ref(), stage, error };
        let explained = self.provider.explain(&failed);
        let mut causes = self.in_time(async { Ok(explained.await) }).await.unwrap_or_default();
        if causes.is_empty() {
            causes.extend(passing(error));
        }
        causes
    }

    async fn is_our_own_fault(&self, error: &ProviderError) -> bool {
        let first_hop = matches!(error.fault(), Fault::Denied { edge: Edge::Trust { hop: 0 } });
        match self.sentinel.filter(|_| first_hop) {
            Some(sentinel) => sentinel.ask().await == sentinel::Verdict::OurFault,
            None => false,
        }
    }

    // === Time ===

    /// What `asked` answers before the verification's time is used up.
    pub(super) async fn in_time<T>(
        &self,
        asked: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        tokio::select! {
            biased;
            answer = asked => answer,
            () = self.clock.sleep_until(self.until) => Err(
                ProviderError::new(Fault::Unavailable, "the time for the whole verification was used up")
                    .with_code(Some("DEADLINE")),
            ),
        }
    }

    /// The same, with how long it took.
    pub(super) async fn timed<T>(
        &self,
        asked: impl Future<Output = Result<T, ProviderError>>,
    ) -> (Result<T, ProviderError>, Duration) {
        let started = self.clock.now();
        let answer = self.in_time(asked).await;
        (answer, self.clock.now().since(started))
    }
}

/// The report on a binding of a cloud that is not enabled.
pub(super) fn without_provider(binding: &Binding, error: LeaseError) -> Examination {
    let detail = error.to_string();
    let kind = &binding.provider;
    let cause = Cause {
        reason: "PROVIDER_NOT_ENABLED",
        text: format!("The service's configuration has no section for {kind}."),
        mend: format!(
            "# Operator: add this section to the service's configuration, and restart it:\n# [providers.{kind}]"
        ),
    };
    let settings =
        Finding::new(check(Stage::Settings), title(Stage::Settings, binding), Verdict::Failed, detail);
    let rest = [Stage::Assume].into_iter().chain(WITH_SESSION);
    let skipped =
        |stage| Finding::new(check(stage), title(stage, binding), Verdict::Skipped, "there is no provider");
    let findings = [settings.because(cause)].into_iter().chain(rest.map(skipped)).collect();
    Examination { findings, failure: Some(error) }
}

pub(super) fn warning(warning: &Warning) -> Finding {
    Finding::new(warning.reason, "about the key", Verdict::Warning, warning.text.clone())
}

/// How a step is called by programs.
fn check(stage: Stage) -> &'static str {
    match stage {
        Stage::OwnIdentity => "OWN_IDENTITY",
        Stage::Settings => "SETTINGS",
        Stage::Assume => "ASSUME",
        Stage::Deputy => "DEPUTY",
        Stage::Describe => "DESCRIBE",
        Stage::Wrap => "WRAP",
        Stage::Unwrap => "UNWRAP",
        Stage::ContextBinding => "CONTEXT_BINDING",
        Stage::Canary => "CANARY",
    }
}

/// How it is called by people, whichever cloud it is.
fn title(stage: Stage, binding: &Binding) -> String {
    match stage {
        Stage::OwnIdentity => "find out who we are".to_owned(),
        Stage::Settings => "read the binding's settings".to_owned(),
        Stage::Assume => "become the principal".to_owned(),
        Stage::Deputy => "make sure that nobody else gets in through us".to_owned(),
        Stage::Describe => format!("look at the key {}", binding.key),
        Stage::Wrap => "wrap a random value".to_owned(),
        Stage::Unwrap => "unwrap it again".to_owned(),
        Stage::ContextBinding => {
            "unwrap it under another encryption context, which must be refused".to_owned()
        }
        Stage::Canary => "unwrap the canary, as every proof does".to_owned(),
    }
}

/// What a failure is that says nothing about the binding.
fn unanswered(error: &ProviderError) -> Option<&'static str> {
    match error.fault() {
        Fault::Unavailable => Some("no answer, which is not a denial"),
        Fault::Throttled { by: Throttler::Cloud, .. } => {
            Some("throttled by the cloud, which is not a denial")
        }
        Fault::Throttled { by: Throttler::OwnBudget, .. } => Some("our own limit, not a denial"),
        _ => None,
    }
}

/// Whether a failure says nothing about the binding.
fn may_pass(failure: &LeaseError) -> bool {
    matches!(
        failure,
        LeaseError::Unavailable(_) | LeaseError::Throttled { .. } | LeaseError::SessionExpired(_)
    )
}

/// The cause of a failure that may pass, where the provider knows no better.
fn passing(error: &ProviderError) -> Option<Cause> {
    let (reason, text) = match error.fault() {
        Fault::Unavailable => ("CLOUD_UNAVAILABLE", "The cloud is down, slow, or out of our reach."),
        Fault::Throttled { by: Throttler::Cloud, .. } => {
            ("CLOUD_THROTTLES", "More calls are made than the cloud's quota for the account allows.")
        }
        Fault::Throttled { by: Throttler::OwnBudget, .. } => {
            ("OVER_OWN_LIMIT", "Too much is being asked of us for this tenant at the same time.")
        }
        _ => return None,
    };
    let mend = "# Nothing in the binding has to change for this. Wait a moment and verify again.";
    Some(Cause { reason, text: text.to_owned(), mend: mend.to_owned() })
}

fn sentinel_denied() -> Cause {
    Cause {
        reason: "OWN_IDENTITY_BROKEN",
        text: "The operator's own sentinel is refused as well, so it is our identity that broke, and not what the \
               tenant set up."
            .to_owned(),
        mend: "# Operator: restore the service's own identity. The tenant has nothing to change.".to_owned(),
    }
}
