//! The story: what the tenant does in their cloud, and what an engine sees of it.

use std::sync::Arc;
use std::time::Duration;

use leasehold_client::api::v1::{ErrorReason, LeaseState, WatchAction, WatchMode};
use leasehold_client::{
    Client, ClientError, EncryptionContext, KeyLength, LeaseStream, Moment, PlaintextKey, Refusal,
    RetryPolicy, Settings, TenantId, TimeSource, WrappedKey,
};
use leasehold_cloudsim::aws::edits::Edit;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::{CallMatch, CallQuery};
use leasehold_cloudsim::tenants::{Cloud, Lever, Tenant};

use super::BOUND;
use super::report::Report;
use crate::cli::Failure;
use crate::cli::sandbox::Sandbox;

/// How often the engine asks while it waits for something to change.
const PACE: Duration = Duration::from_millis(50);

/// Within this, service resumes after the tenant lets us in again: retries of a denied binding come every 10 s, and a
/// proof takes a moment.
const RESUMES: Duration = Duration::from_secs(11);

/// What the engine gives up waiting after, so that a story that went wrong ends too.
const PATIENCE: Duration = Duration::from_secs(40);

/// How many keys the engine has.
const KEYS: usize = 5;

/// An engine, its keys, and the tenant whose keys they are.
pub(super) struct Story<'a> {
    sandbox: &'a Sandbox,
    tenant: Tenant,
    id: TenantId,
    client: Client,
    clock: Arc<dyn TimeSource>,
    watch: LeaseStream,
    keys: Vec<(PlaintextKey, WrappedKey)>,
}

impl<'a> Story<'a> {
    /// Onboards the tenant, and lets the engine watch its lease.
    pub(super) async fn begin(
        sandbox: &'a Sandbox,
        tenant: &str,
        report: &mut Report,
    ) -> Result<Self, Failure> {
        let tenant = sandbox.tenants().get(tenant)?;
        // Every refusal is to be seen, so nothing is tried again behind the engine's back.
        let client = sandbox.client(Settings { retry: RetryPolicy::never(), ..Settings::default() })?;
        let clock = Arc::clone(client.clock());
        report.act(match tenant.cloud {
            Cloud::Aws => {
                "The tenant hands over a key ARN and a role that trusts us with the external id we issued."
            }
            Cloud::Azure => {
                "The tenant hands over a key URL, tags the key with the challenge we issued, and consents to our application."
            }
            Cloud::Gcp => {
                "The tenant hands over a key, labels it with the challenge we issued, and lets us become a service account."
            }
        })?;
        let began = clock.now();
        sandbox.onboard(&tenant, BOUND).await?;
        let took = clock.now().since(began);
        report.step(
            "onboard",
            &format!("ACTIVE after {:.2} s, verified end to end", took.as_secs_f64()),
            true,
        )?;
        let id: TenantId =
            tenant.name.parse().map_err(|e: leasehold_ids::IdError| Failure::from_error(&e))?;
        // On a connection of its own: the one that carries keys is closed when their lease ends.
        let mut watch = sandbox.client(Settings::default())?.leases().await?;
        watch.watch(std::slice::from_ref(&id), WatchMode::Hold).await?;
        Ok(Self { sandbox, tenant, id, client, clock, watch, keys: Vec::new() })
    }

    pub(super) async fn tell(mut self, report: &mut Report) -> Result<(), Failure> {
        report.act("The engine makes and wraps keys, and reads them back.")?;
        self.make_keys(report).await?;
        self.read_keys(report).await?;
        report.act(match self.tenant.cloud {
            Cloud::Aws => {
                "The tenant takes us out of the role's trust policy. The session that we have is still valid."
            }
            Cloud::Azure => {
                "The tenant disables our service principal in their directory. The token that we have is still valid."
            }
            Cloud::Gcp => {
                "The tenant takes our right to become their service account. The token that we have is still valid."
            }
        })?;
        self.revoke_trust(report).await?;
        report.act(match self.tenant.cloud {
            Cloud::Aws => "The tenant denies the role in the key policy instead.",
            Cloud::Azure => "The tenant removes our role assignment at the key instead.",
            Cloud::Gcp => "The tenant takes the service account's role at the key instead.",
        })?;
        self.deny_key(report).await?;
        if self.tenant.cloud == Cloud::Aws {
            report.act("The tenant forbids one encryption context: branch=secret.")?;
            self.deny_context(report).await?;
        }
        report.act("The cloud has an outage. Nobody said no.")?;
        self.outage(report).await
    }

    // === The acts ===

    async fn make_keys(&mut self, report: &mut Report) -> Result<(), Failure> {
        for _ in 0..KEYS - 2 {
            let made = self.client.generate_data_key(&self.id, KeyLength::B32, &main_branch()?).await?.value;
            self.keys.push((made.key, made.wrapped));
        }
        let arena = crate::cli::args::arena()?;
        for _ in 0..2 {
            let key = PlaintextKey::generate(&arena, KeyLength::B32)?;
            let copy = PlaintextKey::take(&arena, &mut key.expose().to_vec())?;
            let wrapped = self.client.wrap_key(&self.id, copy, &main_branch()?).await?.value;
            self.keys.push((key, wrapped));
        }
        let seen = format!("{} generated by the tenant's key, 2 of the engine's own wrapped", KEYS - 2);
        report.step("generate and wrap", &seen, self.keys.len() == KEYS)
    }

    async fn read_keys(&mut self, report: &mut Report) -> Result<(), Failure> {
        // The lease was proven a moment ago: no other unwraps, of proofs, fall in between.
        for (what, expected) in [("unwrap, cold", KEYS), ("unwrap, cached", 0)] {
            let before = self.unwraps()?;
            let mut same = true;
            for (key, wrapped) in &self.keys {
                same &= self.client.unwrap_key(&self.id, wrapped, &main_branch()?).await?.value.matches(key);
            }
            let calls = self.unwraps()? - before;
            let seen = format!("{KEYS} keys, {calls} calls to the tenant's KMS");
            report.step(what, &seen, same && calls == expected)?;
        }
        Ok(())
    }

    async fn revoke_trust(&mut self, report: &mut Report) -> Result<(), Failure> {
        let (fresh, fresh_key) = self.fresh(&main_branch()?).await?;
        self.sandbox.tenants().pull(&self.tenant.name, Lever::Trust)?;
        let edited = self.clock.now();
        let still = self.client.unwrap_key(&self.id, &fresh, &main_branch()?).await;
        let still = still.is_ok_and(|key| key.value.matches(&fresh_key));
        let seen = "the key still honours it, so only a fresh assume can tell";
        report.step("the old session", seen, still)?;
        self.until_denied(report, "trust edit to refusal", edited).await?;
        self.sandbox.tenants().restore(&self.tenant.name, None)?;
        self.until_served(report, "trust restored to service").await
    }

    async fn deny_key(&mut self, report: &mut Report) -> Result<(), Failure> {
        self.sandbox.tenants().pull(&self.tenant.name, Lever::KeyUse)?;
        let edited = self.clock.now();
        self.until_denied(report, "key edit to refusal", edited).await?;
        self.sandbox.tenants().restore(&self.tenant.name, None)?;
        self.until_served(report, "key restored to service").await
    }

    async fn deny_context(&mut self, report: &mut Report) -> Result<(), Failure> {
        let aws = self.sandbox.simulator.control().aws();
        let secret = EncryptionContext::try_from_iter([("branch", "secret")])?;
        let (wrapped, _) = self.fresh(&secret).await?;
        let edit = aws.edit(Edit::KeyDeny {
            key: self.tenant.key.parse()?,
            principal: self.tenant.principal.clone(),
            actions: Vec::new(),
            encryption_context: [("branch".to_owned(), "secret".to_owned())].into(),
        })?;
        let refused = refusal(self.client.unwrap_key(&self.id, &wrapped, &secret).await);
        let alone = refused.as_ref().and_then(Refusal::reason) == Some(ErrorReason::RequestDenied);
        report.step("branch=secret", &named(refused.as_ref()), alone)?;
        let (_, main) = &self.keys[0];
        let served = self.client.unwrap_key(&self.id, main, &main_branch()?).await.is_ok();
        report.step("branch=main", if served { "served" } else { "refused" }, served)?;
        aws.undo(edit)?;
        Ok(())
    }

    async fn outage(&mut self, report: &mut Report) -> Result<(), Failure> {
        let control = self.sandbox.simulator.control();
        let effect =
            FaultEffect::Error { status: 503, code: "ServiceUnavailable".into(), message: String::new() };
        let matching = self.sandbox.tenants().calls_about(&self.tenant.name)?;
        let fault = control.inject(FaultSpec { matching, effect, count: None });
        let began = self.clock.now();
        report.waiting("served from the cache until the bound");
        let (refused, served) = self.until_refused().await?;
        let lapsed = refused.reason() == Some(ErrorReason::LeaseLapsed) && !refused.is_denial();
        report.step("after the bound", &named(Some(&refused)), lapsed)?;
        report.timed(
            "start of the outage to last key served",
            "served",
            lapsed,
            served.since(began),
            BOUND,
        )?;
        let told = self.told(LeaseState::Lapsed).await;
        report.step("the watcher", if told { "told LAPSED" } else { "not told" }, told)?;
        control.clear_fault(fault)?;
        self.until_served(report, "end of the outage to service").await
    }

    // === What the engine does ===

    /// A new key that was never unwrapped.
    async fn fresh(&self, context: &EncryptionContext) -> Result<(WrappedKey, PlaintextKey), Failure> {
        let made = self.client.generate_data_key(&self.id, KeyLength::B32, context).await?.value;
        Ok((made.wrapped, made.key))
    }

    /// Reads a cached key over and over until it is refused as denied.
    async fn until_denied(
        &mut self,
        report: &mut Report,
        what: &'static str,
        edited: Moment,
    ) -> Result<(), Failure> {
        report.waiting("served from the cache until the next proof");
        let (refused, _) = self.until_refused().await?;
        let took = self.clock.now().since(edited);
        report.timed(what, &named(Some(&refused)), refused.is_denial(), took, BOUND)?;
        let told = self.told(LeaseState::Denied).await;
        report.step("the watcher", if told { "told DENIED, and wiped its copies" } else { "not told" }, told)
    }

    /// The first refusal, and when the last read before it was asked for.
    async fn until_refused(&mut self) -> Result<(Refusal, Moment), Failure> {
        let mut served = self.clock.now();
        let deadline = served + PATIENCE;
        while self.clock.now() < deadline {
            let asked = self.clock.now();
            if let Some(refused) = refusal(self.read().await) {
                return Ok((refused, served));
            }
            served = asked;
            self.clock.sleep(PACE).await;
        }
        Err(Failure::new("the key is still served, long after the bound"))
    }

    /// Reads a key over and over until it is served again, with nobody acting.
    async fn until_served(&mut self, report: &mut Report, what: &'static str) -> Result<(), Failure> {
        report.waiting("waiting for the service to resume by itself");
        let began = self.clock.now();
        while self.clock.now().since(began) < PATIENCE {
            if self.read().await.is_ok() {
                let took = self.clock.now().since(began);
                return report.timed(what, "served again", true, took, RESUMES);
            }
            self.clock.sleep(PACE).await;
        }
        Err(Failure::new("the key is not served again"))
    }

    async fn read(&self) -> Result<leasehold_client::Leased<PlaintextKey>, ClientError> {
        let (_, wrapped) = &self.keys[0];
        let context = main_branch().map_err(|_| ClientError::Answer("the context is valid"))?;
        self.client.unwrap_key(&self.id, wrapped, &context).await
    }

    /// Whether the watcher is told this state within a second; acknowledges it.
    async fn told(&mut self, state: LeaseState) -> bool {
        let deadline = self.clock.now() + Duration::from_secs(1);
        loop {
            let updates = tokio::select! {
                updates = self.watch.next() => updates,
                () = self.clock.sleep_until(deadline) => return false,
            };
            let Ok(Some(updates)) = updates else { return false };
            if let Some(update) = updates.iter().find(|update| update.state == state) {
                let wiped = [(update.binding.clone(), update.status.epoch)];
                return self.watch.acknowledge(&wiped, WatchAction::Wiped).await.is_ok();
            }
        }
    }

    /// How often the tenant's key was asked to unwrap, by the tenant's own log.
    fn unwraps(&self) -> Result<usize, Failure> {
        let matching = CallMatch {
            operation: self.tenant.cloud.unwraps().operation,
            ..self.sandbox.tenants().calls_about(&self.tenant.name)?
        };
        Ok(self.sandbox.simulator.control().count_calls(&CallQuery { matching, ..CallQuery::default() }))
    }
}

fn main_branch() -> Result<EncryptionContext, Failure> {
    Ok(EncryptionContext::try_from_iter([("branch", "main")])?)
}

fn refusal<T>(result: Result<T, ClientError>) -> Option<Refusal> {
    match result {
        Err(ClientError::Refused(refusal)) => Some(*refusal),
        _ => None,
    }
}

fn named(refusal: Option<&Refusal>) -> String {
    match refusal {
        Some(refusal) => {
            let reason = refusal.reason().map_or("no reason", |reason| reason.wire_name());
            format!("{:?} ({reason})", refusal.code())
        }
        None => "served".to_owned(),
    }
}
