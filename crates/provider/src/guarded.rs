//! The same deadlines, retries and budgets around every cloud.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use leasehold_clock::{Moment, TimeSource};
use leasehold_envelope::{KeyVersion, Purpose};
use leasehold_ids::{ProviderKind, TenantId};
use leasehold_secret::{KeyLength, PlaintextKey};
use leasehold_tenant::Binding;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::attempt::of_one_call;
use crate::budget::{Budget, Budgets, Lane};
use crate::meter::Meter;
use crate::retry::pause;
use crate::{
    Answer, Cause, Ciphertext, Depth, FailedStage, Fault, Finding, Generated, KeyDescription, KeyProvider,
    KitRequest, Limits, OnboardingKit, OwnIdentity, ProviderError, Session, Verdict, WrapContext,
};

/// The code of an attempt that got no answer in time.
const DEADLINE: &str = "DEADLINE";

/// A provider behind deadlines, retries and per-tenant budgets.
///
/// - An attempt without an answer ends at its deadline as [`Fault::Unavailable`], code `DEADLINE`; a call as a whole,
///   waiting and pauses included, ends within the total deadline.
/// - Unavailability and the cloud's throttling are repeated, with full jitter, as often as [`Limits::retries`] says, if
///   the pause fits before the total deadline and the tenant has a retry left. Nothing else is repeated.
/// - A tenant has a bounded number of calls under way and waiting. Beyond that it gets [`Fault::Throttled`] by
///   [`crate::Throttler::OwnBudget`], and nobody else notices.
///
/// The inner provider's future is dropped at its deadline: it must not leave anything half-done, which holds for all
/// that ask a cloud and nothing else.
pub struct Guarded {
    inner: Arc<dyn KeyProvider>,
    clock: Arc<dyn TimeSource>,
    limits: Limits,
    budgets: Budgets,
    meter: Meter,
    jitter: Mutex<StdRng>,
}

impl Guarded {
    /// `inner` within `limits`, with jitter from the operating system's randomness.
    #[must_use]
    pub fn new(inner: Arc<dyn KeyProvider>, clock: Arc<dyn TimeSource>, limits: Limits) -> Self {
        Self::with_seed(inner, clock, limits, rand::random())
    }

    /// The same with jitter that repeats for equal seeds, so that a simulation can be replayed.
    #[must_use]
    pub fn with_seed(
        inner: Arc<dyn KeyProvider>,
        clock: Arc<dyn TimeSource>,
        limits: Limits,
        seed: u64,
    ) -> Self {
        let budgets = Budgets::new(limits, clock.now());
        let meter = Meter::new(inner.kind().to_string());
        Self { inner, clock, limits, budgets, meter, jitter: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    /// One call: a place in the tenant's lane, then attempts until one is final.
    async fn call<T, F>(
        &self,
        name: &'static str,
        tenant: Option<&TenantId>,
        lane: Lane,
        attempt: impl Fn() -> F + Send + Sync,
    ) -> Result<T, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>> + Send,
    {
        let start = self.clock.now();
        let budget = self.budgets.of(tenant, start)?;
        let _place = budget.enter(lane, &*self.clock, start + self.limits.longest_wait()).await?;
        of_one_call(self.attempts(name, &budget, start + self.limits.total, attempt)).await
    }

    async fn attempts<T, F>(
        &self,
        name: &'static str,
        budget: &Budget,
        deadline: Moment,
        attempt: impl Fn() -> F + Send + Sync,
    ) -> Result<T, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>> + Send,
    {
        let mut retry = 0;
        loop {
            let began = self.clock.now();
            let ended = self.attempt(deadline, attempt()).await;
            self.meter.count(name, began, &*self.clock, &ended);
            let error = match ended {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(again) = self.next_attempt(budget, &error, retry, deadline) else { return Err(error) };
            self.clock.sleep_until(again).await;
            retry += 1;
        }
    }

    /// Several questions to the cloud as one call, without retries: within the total deadline, and at a place of the tenant's.
    async fn in_time<T>(
        &self,
        tenant: &TenantId,
        asked: impl Future<Output = T>,
    ) -> Result<T, ProviderError> {
        let start = self.clock.now();
        let budget = self.budgets.of(Some(tenant), start)?;
        let _place = budget.enter(Lane::Proof, &*self.clock, start + self.limits.longest_wait()).await?;
        tokio::select! {
            biased;
            answer = asked => Ok(answer),
            () = self.clock.sleep_until(start + self.limits.total) => Err(late()),
        }
    }

    async fn attempt<T>(
        &self,
        deadline: Moment,
        answer: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let until = deadline.min(self.clock.now() + self.limits.attempt);
        tokio::select! {
            // The answer first: one that arrived in time counts, even if this task was late to look.
            biased;
            answer = answer => answer,
            () = self.clock.sleep_until(until) => Err(late()),
        }
    }

    /// When to try again after `error`, or `None` if it is final.
    fn next_attempt(
        &self,
        budget: &Budget,
        error: &ProviderError,
        retry: u32,
        deadline: Moment,
    ) -> Option<Moment> {
        let pause = pause(&self.limits, error, retry, self.draw())?;
        let now = self.clock.now();
        let again = now + pause;
        // The retry is taken last: one that would not fit is not charged.
        (again < deadline && budget.take_retry(&self.limits, now)).then_some(again)
    }

    /// Uniform in 0..1.
    fn draw(&self) -> f64 {
        // A generator is valid whatever happened while it was locked.
        self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random()
    }
}

fn late() -> ProviderError {
    ProviderError::new(Fault::Unavailable, "the cloud did not answer in time").with_code(Some(DEADLINE))
}

/// A canary is unwrapped by proofs alone; everything else is a request, unless its session is for a proof.
fn lane(session: &Session, context: &WrapContext<'_>) -> Lane {
    if context.purpose == Purpose::Canary { Lane::Proof } else { session.lane() }
}

#[async_trait]
impl KeyProvider for Guarded {
    fn kind(&self) -> &ProviderKind {
        self.inner.kind()
    }

    fn check(&self, binding: &Binding) -> Result<(), ProviderError> {
        self.inner.check(binding)
    }

    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError> {
        self.call("own_identity", None, Lane::Proof, || self.inner.own_identity()).await
    }

    async fn assume(&self, binding: &Binding) -> Result<Answer<Session>, ProviderError> {
        let tenant = binding.name.tenant();
        let answer = self.call("assume", Some(tenant), Lane::Proof, || self.inner.assume(binding)).await?;
        Ok(Answer { value: answer.value.charged_to(tenant.clone()), request_id: answer.request_id })
    }

    async fn check_deputy(&self, binding: &Binding, session: &Session) -> Result<(), ProviderError> {
        let tenant = Some(binding.name.tenant());
        self.call("check_deputy", tenant, Lane::Proof, || self.inner.check_deputy(binding, session)).await
    }

    async fn generate(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        let attempt = || self.inner.generate(session, length, version, context);
        self.call("generate", session.tenant(), lane(session, &context), attempt).await
    }

    async fn generate_without_plaintext(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        let attempt = || self.inner.generate_without_plaintext(session, length, version, context);
        self.call("generate_without_plaintext", session.tenant(), lane(session, &context), attempt).await
    }

    async fn wrap(
        &self,
        session: &Session,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        let attempt = || self.inner.wrap(session, key, version, context);
        self.call("wrap", session.tenant(), lane(session, &context), attempt).await
    }

    async fn unwrap(
        &self,
        session: &Session,
        ciphertext: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        let attempt = || self.inner.unwrap(session, ciphertext, context);
        self.call("unwrap", session.tenant(), lane(session, &context), attempt).await
    }

    async fn describe(&self, session: &Session) -> Result<Answer<KeyDescription>, ProviderError> {
        self.call("describe", session.tenant(), Lane::Proof, || self.inner.describe(session)).await
    }

    fn onboarding_kit(&self, request: &KitRequest<'_>) -> Result<OnboardingKit, ProviderError> {
        self.inner.onboarding_kit(request)
    }

    fn hops(&self, binding: &Binding) -> Vec<String> {
        self.inner.hops(binding)
    }

    fn deputy(&self, binding: &Binding) -> String {
        self.inner.deputy(binding)
    }

    async fn explain(&self, failed: &FailedStage<'_>) -> Vec<Cause> {
        let explained = self.in_time(failed.binding.name.tenant(), self.inner.explain(failed)).await;
        explained.unwrap_or_default()
    }

    async fn inspect(
        &self,
        binding: &Binding,
        own: Option<&OwnIdentity>,
        session: &Session,
        depth: Depth,
    ) -> Vec<Finding> {
        let looked =
            self.in_time(binding.name.tenant(), self.inner.inspect(binding, own, session, depth)).await;
        looked.unwrap_or_else(|error| {
            vec![Finding {
                verdict: Verdict::Skipped,
                ..Finding::failed("INSPECTION", "look more closely", &error, Vec::new())
            }]
        })
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("inner", &self.inner)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
