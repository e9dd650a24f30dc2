//! A binding tried step by step, for people who want to know why it does not work.
//!
//! Reading order: [`Leases::examine`], [`Examiner::examine`] (the steps and what builds on what), the steps, and `report`,
//! which says what came of them.

mod report;

use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};
use leasehold_envelope::{EncryptionContext, HeaderDigest, KeyVersion, Purpose};
use leasehold_provider::{
    Answer, Ciphertext, Depth, Edge, Fault, Finding, KeyDescription, KeyProvider, OwnIdentity, ProviderError,
    Session, Stage, Throttler, Verdict, WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey};
use leasehold_tenant::Binding;

use crate::budget::Budget;
use crate::canary::{Canary, header};
use crate::flights::Urgency;
use crate::prover::Prover;
use crate::sentinel::Sentinel;
use crate::{LeaseError, Leases, Subject};

/// What the steps of a verification found.
#[derive(Debug, Clone)]
pub struct Examination {
    /// What each step found, in the order in which they were taken.
    pub findings: Vec<Finding>,
    /// The first failure of a step as a lease would see it; one that may pass by itself only if there is no other. None if
    /// no step failed.
    pub failure: Option<LeaseError>,
}

impl Examination {
    /// FAILED if any finding is, else WARNING if any is, else PASSED.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let any = |verdict| self.findings.iter().any(|finding| finding.verdict == verdict);
        [Verdict::Failed, Verdict::Warning].into_iter().find(|v| any(*v)).unwrap_or(Verdict::Passed)
    }
}

impl Leases {
    /// Takes every step of an activation and of a proof, one after the other, and says what each found. Changes nothing,
    /// holds nothing, ends no lease and never fails as a whole; what takes too long is skipped. Takes a turn in the budget
    /// of proofs, behind the renewals of live leases that are due before this one's would be.
    pub async fn examine(&self, subject: &Subject, depth: Depth) -> Examination {
        let hub = self.hub();
        let until = hub.clock.now() + hub.settings.proof_wait;
        let prover = match hub.prover(&subject.binding.provider) {
            Ok(prover) => prover,
            Err(error) => return report::without_provider(&subject.binding, error),
        };
        let urgency = Urgency::Needed { by: hub.clock.now() + subject.terms.revocation_bound().get() };
        let mut examiner = Examiner::new(prover, &subject.binding, urgency, until);
        examiner.examine(depth).await;
        if let Some((family, cells)) = hub.known(subject.name()) {
            examiner.rotation(family.unnamed());
            if examiner.denied {
                // What a proof would hear too, it is to hear now. That alone ends what is held.
                cells.iter().for_each(|cell| cell.be_proven());
            }
        }
        Examination { findings: examiner.findings, failure: examiner.failure }
    }
}

/// One verification.
struct Examiner<'a> {
    provider: &'a dyn KeyProvider,
    sentinel: Option<&'a Sentinel>,
    budget: &'a Budget,
    urgency: Urgency,
    clock: &'a dyn TimeSource,
    arena: &'a Arena,
    binding: &'a Binding,
    until: Moment,
    own: Option<OwnIdentity>,
    findings: Vec<Finding>,
    failure: Option<LeaseError>,
    /// The tenant's cloud said no to what every proof does.
    denied: bool,
}

/// What was wrapped, for the steps that unwrap it.
struct Wrapped {
    value: PlaintextKey,
    header: HeaderDigest,
    ciphertext: Ciphertext,
}

impl<'a> Examiner<'a> {
    fn new(prover: &'a Prover, binding: &'a Binding, urgency: Urgency, until: Moment) -> Self {
        Self {
            provider: prover.provider.as_ref(),
            sentinel: prover.sentinel.as_ref(),
            budget: &prover.budget,
            urgency,
            clock: prover.clock.as_ref(),
            arena: &prover.arena,
            binding,
            until,
            own: None,
            findings: Vec::new(),
            failure: None,
            denied: false,
        }
    }

    /// The steps in order. A step whose foundation is missing is skipped and says so.
    async fn examine(&mut self, depth: Depth) {
        let own = self.own_identity().await;
        let settings = self.settings().await;
        let session = match (own, settings) {
            (_, false) => Err("the binding's settings cannot work"),
            (false, true) => Err("our own identity failed, and with it whatever we would become"),
            (true, true) => self.assume().await.ok_or("we could not become the principal"),
        };
        let session = match session {
            Ok(session) => session,
            Err(why) => return self.skip_without_session(why),
        };
        let described = match self.deputy(&session).await {
            // It may be somebody else's key, of which whoever bound it is to learn nothing.
            Err(told) if self.binding.canary.is_none() => {
                let why = "nobody made sure that the key is the tenant's own";
                let later = report::WITH_SESSION.into_iter().skip_while(|stage| *stage != told).skip(1);
                return later.for_each(|stage| self.skip(stage, why));
            }
            Err(Stage::Describe) => None,
            _ => self.describe(&session).await,
        };
        match described {
            Some(key) => self.round_trip(&session, &key.current_version).await,
            None => {
                let why = "the look at the key failed";
                [Stage::Wrap, Stage::Unwrap, Stage::ContextBinding]
                    .into_iter()
                    .for_each(|s| self.skip(s, why));
            }
        }
        self.canary(&session).await;
        self.latency();
        self.inspect(&session, depth).await;
    }

    /// Whether we can become anybody, as far as is known: no answer says nothing about that.
    async fn own_identity(&mut self) -> bool {
        let (answer, took) = self.timed(self.provider.own_identity()).await;
        match answer {
            Ok(own) => {
                let detail = format!("we are {}, of {}", own.principal, own.account);
                self.pass(Stage::OwnIdentity, detail, Some(took), None);
                self.own = Some(own);
                true
            }
            Err(error) => {
                let ours = *error.fault() == Fault::OwnIdentity;
                self.fail(Stage::OwnIdentity, error, Some(took)).await;
                !ours
            }
        }
    }

    async fn settings(&mut self) -> bool {
        match self.provider.check(self.binding) {
            Ok(()) => {
                self.pass(Stage::Settings, "they can work", None, None);
                true
            }
            Err(error) => {
                self.fail(Stage::Settings, error, None).await;
                false
            }
        }
    }

    async fn assume(&mut self) -> Option<Session> {
        let turn = async {
            self.budget.turn(self.urgency, self.binding.name.tenant()).await;
            Ok(())
        };
        let answer = match self.in_time(turn).await {
            Ok(()) => self.timed(self.provider.assume(self.binding)).await,
            Err(error) => (Err(error), Duration::ZERO),
        };
        match answer {
            (Ok(Answer { value, request_id }), took) => {
                self.hops_passed(took, request_id);
                Some(value)
            }
            (Err(error), took) => {
                self.hop_failed(error, took).await;
                None
            }
        }
    }

    /// Makes sure that others are kept out. Some clouds look at the key for that, and that it cannot be looked at is told by
    /// the step that is about the key, once. The step that told of the failure, if it failed.
    async fn deputy(&mut self, session: &Session) -> Result<(), Stage> {
        let (answer, took) = self.timed(self.provider.check_deputy(self.binding, session)).await;
        let (stage, error) = match answer {
            Ok(()) => {
                self.pass(Stage::Deputy, "others are kept out", Some(took), None);
                return Ok(());
            }
            Err(error) if is_of_the_key(&error) => {
                self.skip(Stage::Deputy, "the key cannot be looked at");
                (Stage::Describe, error)
            }
            Err(error) => (Stage::Deputy, error),
        };
        self.fail(stage, error, Some(took)).await;
        Err(stage)
    }

    async fn describe(&mut self, session: &Session) -> Option<KeyDescription> {
        let (answer, took) = self.timed(self.provider.describe(session)).await;
        match answer {
            Ok(Answer { value: key, request_id }) => {
                let detail = match key.current_version.is_none() {
                    true => "it is usable".to_owned(),
                    false => format!("it is usable, and version {} wraps", key.current_version),
                };
                self.pass(Stage::Describe, detail, Some(took), request_id);
                self.findings.extend(key.warnings.iter().map(report::warning));
                Some(key)
            }
            Err(error) => {
                self.fail(Stage::Describe, error, Some(took)).await;
                None
            }
        }
    }

    /// Wraps a value, unwraps it, and makes sure that it does not unwrap under another encryption context.
    async fn round_trip(&mut self, session: &Session, version: &KeyVersion) {
        let why = match self.wrap(session, version).await {
            None => "there is nothing to unwrap",
            Some(wrapped) => match self.unwrap(session, &wrapped).await {
                true => return self.context_binding(session, &wrapped).await,
                false => return self.skip(Stage::ContextBinding, "nothing can be unwrapped at all"),
            },
        };
        [Stage::Unwrap, Stage::ContextBinding].into_iter().for_each(|stage| self.skip(stage, why));
    }

    async fn wrap(&mut self, session: &Session, version: &KeyVersion) -> Option<Wrapped> {
        let header = header(self.binding, version, &self.binding.canary_context).digest();
        let context = canary_context(&header, &self.binding.canary_context);
        let asked = async {
            let value = PlaintextKey::generate(self.arena, KeyLength::B32).map_err(|_| no_memory())?;
            let wrapped = self.provider.wrap(session, &value, version, context).await?;
            Ok((value, wrapped))
        };
        let (answer, took) = self.timed(asked).await;
        match answer {
            Ok((value, Answer { value: ciphertext, request_id })) => {
                self.pass(Stage::Wrap, "done", Some(took), request_id);
                Some(Wrapped { value, header, ciphertext })
            }
            Err(error) => {
                self.fail(Stage::Wrap, error, Some(took)).await;
                None
            }
        }
    }

    async fn unwrap(&mut self, session: &Session, wrapped: &Wrapped) -> bool {
        let context = canary_context(&wrapped.header, &self.binding.canary_context);
        let (answer, took) = self.timed(self.provider.unwrap(session, &wrapped.ciphertext, context)).await;
        let other =
            || ProviderError::new(Fault::Rejected, "the key gave back another value than it was given");
        match answer
            .and_then(|opened| if opened.value.matches(&wrapped.value) { Ok(opened) } else { Err(other()) })
        {
            Ok(Answer { request_id, .. }) => {
                self.pass(Stage::Unwrap, "it is the value that was wrapped", Some(took), request_id);
                true
            }
            Err(error) => {
                self.fail(Stage::Unwrap, error, Some(took)).await;
                false
            }
        }
    }

    async fn context_binding(&mut self, session: &Session, wrapped: &Wrapped) {
        let own = &self.binding.canary_context;
        let other = other_than(own);
        let other_header = header(self.binding, &wrapped.ciphertext.key_version, &other).digest();
        let both = canary_context(&other_header, &other);
        let (mut answer, mut took) =
            self.timed(self.provider.unwrap(session, &wrapped.ciphertext, both)).await;
        if answer.as_ref().is_err_and(ProviderError::is_denial) {
            // The tenant's own policy forbids the other context, which says nothing about the ciphertext. The header
            // alone is one that it cannot know.
            let header_alone = canary_context(&other_header, own);
            (answer, took) =
                self.timed(self.provider.unwrap(session, &wrapped.ciphertext, header_alone)).await;
        }
        match answer {
            Err(error) if *error.fault() == Fault::Rejected => {
                let request_id = error.request_id().map(Into::into);
                self.pass(Stage::ContextBinding, "refused, as it must be", Some(took), request_id);
            }
            Err(error) => self.fail(Stage::ContextBinding, error, Some(took)).await,
            Ok(_) => {
                let what = "it opened: keys would not be bound to their encryption context";
                let error = ProviderError::new(Fault::Misconfigured, what);
                self.fail(Stage::ContextBinding, error, Some(took)).await;
            }
        }
    }

    /// What no step shows.
    async fn inspect(&mut self, session: &Session, depth: Depth) {
        let looked = self.provider.inspect(self.binding, self.own.as_ref(), session, depth);
        let findings = self.in_time(async { Ok(looked.await) }).await;
        let findings = findings.unwrap_or_else(|error| {
            vec![Finding::new("INSPECTION", "look more closely", Verdict::Skipped, error.detail())]
        });
        // What a closer look says too it says better, with what mends it.
        let causes = || findings.iter().flat_map(|finding| &finding.causes);
        self.findings.retain(|earlier| {
            earlier.verdict != Verdict::Warning || causes().all(|cause| cause.reason != earlier.check)
        });
        self.findings.extend(findings);
    }

    /// What every proof does, and so what decides whether the lease lives.
    async fn canary(&mut self, session: &Session) {
        let canary = match Canary::of(self.binding) {
            Ok(canary) => canary,
            Err(LeaseError::NotActivated) => {
                return self.skip(Stage::Canary, "there is none yet: activation leaves one");
            }
            Err(unreadable) => {
                let error = ProviderError::new(Fault::Rejected, unreadable.to_string());
                return self.fail(Stage::Canary, error, None).await;
            }
        };
        let opened = self.provider.unwrap(session, canary.ciphertext(), canary.bound());
        let (answer, took) = self.timed(opened).await;
        match answer {
            Ok(Answer { request_id, .. }) => {
                self.pass(Stage::Canary, "it opens: a proof would succeed", Some(took), request_id);
            }
            Err(error) => self.fail(Stage::Canary, error, Some(took)).await,
        }
    }
}

/// Whether the key edge said no.
fn is_of_the_key(error: &ProviderError) -> bool {
    matches!(error.fault(), Fault::Denied { edge: Edge::Key | Edge::Version } | Fault::KeyUnusable(_))
}

/// A context that is like `context` save for one entry, so that it satisfies most conditions of a key policy too.
fn other_than(context: &EncryptionContext) -> EncryptionContext {
    const NAME: &str = "verification";
    let value = if context.get(NAME) == Some("one") { "another" } else { "one" };
    let kept = context.iter().filter(|(name, _)| *name != NAME);
    // One entry less than there may be: there is room for ours.
    let entries = kept.take(7).chain([(NAME, value)]);
    EncryptionContext::try_from_iter(entries).expect("at most eight entries, each of a context and once")
}

fn canary_context<'a>(header: &'a HeaderDigest, context: &'a EncryptionContext) -> WrapContext<'a> {
    WrapContext { purpose: Purpose::Canary, header, context }
}

fn no_memory() -> ProviderError {
    let by = Throttler::OwnBudget;
    ProviderError::new(Fault::Throttled { by, retry_after: None }, "locked memory for keys is exhausted")
}
