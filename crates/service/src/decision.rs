//! One decision from the request to its record.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_audit::{AnswerSource, OnFailure, Origin, Outcome, Record, Sink, Stranger};
use leasehold_authz::Operation;
use leasehold_clock::{Moment, TimeSource};
use leasehold_envelope::EncryptionContext;
use leasehold_ids::{BindingId, ProviderKind, TenantId};
use leasehold_lease::{Held, Source};
use leasehold_provider::ProviderError;
use leasehold_tenant::{Binding, LoggableContext};
use tokio::sync::oneshot;

use crate::meter::{self, LastFailure};
use crate::room::Place;
use crate::{Caller, Mode, ServiceError};

/// Keeps records, or says what happens without them.
pub(crate) struct Recorder {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) on_failure: OnFailure,
    pub(crate) last_failure: LastFailure,
}

/// A request that is being decided. Every way out of it leaves a record, being dropped included.
pub(crate) struct Decision {
    recorder: Arc<Recorder>,
    record: Record,
    /// Whose key it is about, once that is known.
    cloud: Option<ProviderKind>,
    started: Moment,
    progress: Progress,
    /// Its room, once it has to wait.
    places: Option<Places>,
    /// What becomes of a change that is being made.
    change: Option<oneshot::Receiver<Result<(), ServiceError>>>,
}

/// A place among its tenant's operations, and one among its cloud's.
pub(crate) type Places = (Place<TenantId>, Place<ProviderKind>);

/// What was recorded so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Nothing.
    Open,
    /// That it is served, or that is being recorded. Nothing was given or changed yet.
    Recorded,
    /// How it ended; or it is no longer ours to record.
    Settled,
}

impl Decision {
    pub(crate) fn begin(
        recorder: &Arc<Recorder>,
        caller: &Caller,
        what: Operation,
        tenant: Option<&TenantId>,
    ) -> Self {
        let record = Record {
            time: recorder.clock.wall(),
            request_id: caller.request_id.clone(),
            caller: caller.identity.to_string().into(),
            operation: what.as_str().into(),
            outcome: Outcome::Abandoned,
            reason: None,
            rule: None,
            validate_only: false,
            tenant: tenant.cloned(),
            binding: None,
            key_id: None,
            context_digest: None,
            context: BTreeMap::new(),
            origin: None,
            source: None,
            cloud_request_id: None,
            cloud_code: None,
            proof_age_ms: None,
            acknowledged: None,
            lease_epoch: None,
            latency_us: 0,
        };
        let started = recorder.clock.now();
        let recorder = Arc::clone(recorder);
        Self { recorder, record, cloud: None, started, progress: Progress::Open, places: None, change: None }
    }

    // === What becomes known on the way ===

    pub(crate) fn allowed_by(&mut self, rule: Box<str>) {
        self.record.rule = Some(rule);
    }

    pub(crate) fn in_mode(&mut self, mode: Mode) {
        self.record.validate_only = mode == Mode::ValidateOnly;
    }

    pub(crate) fn about(&mut self, binding: &Binding) {
        self.cloud = Some(binding.provider.clone());
        self.record.binding = Some(binding.name.binding().clone());
        self.record.key_id = Some(binding.key.as_str().into());
    }

    /// Takes room to wait for the cloud whose key it is about, unless it has some.
    pub(crate) fn has_room(
        &mut self,
        take: impl FnOnce(&ProviderKind) -> Result<Places, ServiceError>,
    ) -> Result<(), ServiceError> {
        if let (None, Some(cloud)) = (&self.places, &self.cloud) {
            self.places = Some(take(cloud)?);
        }
        Ok(())
    }

    /// Keeps a digest, because the values of a context may say more than an auditor should read.
    pub(crate) fn with_context(&mut self, context: &EncryptionContext) {
        self.record.context_digest = Some(context.commitment().to_string().into());
        self.record.context.clear();
    }

    /// Keeps the entries that the tenant wants to read.
    pub(crate) fn with_entries(&mut self, loggable: &LoggableContext, context: &EncryptionContext) {
        let marked = context.iter().filter(|(name, _)| loggable.contains(name));
        self.record.context = marked.map(|(name, value)| (name.into(), value.into())).collect();
    }

    /// What was found out so far is about what a rewrap unwrapped.
    pub(crate) fn rewraps<T>(&mut self, opened: &Held<T>) {
        self.answered_with(opened);
        let record = &mut self.record;
        record.origin = Some(Box::new(Origin {
            binding: record.binding.take(),
            key_id: record.key_id.take(),
            context_digest: record.context_digest.take(),
            source: record.source.take(),
            cloud_request_id: record.cloud_request_id.take(),
            proof_age_ms: record.proof_age_ms.take(),
        }));
    }

    pub(crate) fn answered_with<T>(&mut self, held: &Held<T>) {
        self.record.source = Some(match held.source() {
            Source::Cache => AnswerSource::Cache,
            Source::Cloud => AnswerSource::Cloud,
        });
        self.record.cloud_request_id = held.request_id().map(Into::into);
        self.record.proof_age_ms = Some(Record::millis(held.proof_age()));
    }

    /// Keeps what the cloud said when it refused, if it did.
    pub(crate) fn told(&mut self, cloud: Option<&ProviderError>) {
        if let Some(cloud) = cloud {
            self.record.cloud_code = cloud.code().map(Into::into);
            self.record.cloud_request_id = cloud.request_id().map(Into::into);
        }
    }

    pub(crate) fn acknowledging(&mut self, binding: &BindingId, epoch: u64, action: &'static str) {
        self.record.binding = Some(binding.clone());
        self.record.lease_epoch = Some(epoch);
        self.record.acknowledged = Some(Cow::Borrowed(action));
    }

    // === How it ends ===

    /// Records that it is being served, once; what follows may still take it back by an error.
    pub(crate) async fn serve(&mut self) -> Result<(), ServiceError> {
        if self.progress != Progress::Open {
            return Ok(());
        }
        self.progress = Progress::Recorded;
        let result = self.write(Outcome::Served, None).await;
        if let Err(ServiceError::AuditUnavailable(error)) = &result
            && !error.is_uncertain()
        {
            self.progress = Progress::Settled;
        }
        result
    }

    /// It was served, and nothing takes it back.
    pub(crate) fn settle(&mut self) {
        self.progress = Progress::Settled;
    }

    /// Makes a change that was recorded, to its end even if the caller goes away meanwhile: then nobody else would know
    /// whether the record is true.
    pub(crate) async fn carry_out(
        &mut self,
        change: impl Future<Output = Result<(), ServiceError>> + Send + 'static,
    ) -> Result<(), ServiceError> {
        let (told, ended) = oneshot::channel();
        let mut witness = self.successor();
        self.progress = Progress::Settled;
        tokio::spawn(async move {
            match told.send(change.await) {
                // Nobody waits any more.
                Err(Err(error)) => drop(witness.refuse(error).await),
                Err(Ok(())) | Ok(()) => witness.settle(),
            }
        });
        let ended = self.change.insert(ended).await;
        self.change = None;
        // Without a word the task is gone, and what it knew.
        let ended = ended.unwrap_or(Err(ServiceError::RegistryUnavailable));
        if ended.is_err() {
            self.progress = Progress::Recorded;
        }
        ended
    }

    /// Records how it ended, and returns that.
    pub(crate) async fn conclude<T>(mut self, result: Result<T, ServiceError>) -> Result<T, ServiceError> {
        match result {
            Ok(value) => {
                self.serve().await?;
                self.settle();
                Ok(value)
            }
            Err(error) => Err(self.refuse(error).await),
        }
    }

    /// Records that it was not served after all, and why. A refusal stands whether or not it could be recorded.
    pub(crate) async fn refuse(mut self, error: ServiceError) -> ServiceError {
        let outcome = match (self.progress, &error) {
            (Progress::Open, _) => error.outcome(),
            // The record may be kept yet. Being dropped takes it back, and nobody has to wait for that.
            (Progress::Settled, _) | (Progress::Recorded, ServiceError::AuditUnavailable(_)) => return error,
            (Progress::Recorded, ServiceError::RegistryUnavailable) => Outcome::Unknown,
            (Progress::Recorded, _) => Outcome::Withheld,
        };
        self.settle();
        self.told(error.cloud());
        // Whoever writes has logged the failure; there is nothing left to refuse.
        let _ = self.write(outcome, Some(error.reason())).await;
        error
    }

    /// Records a request that there was nothing to decide about.
    pub(crate) async fn refused_unread(mut self, outcome: Outcome, reason: &'static str) {
        self.settle();
        // As with every refusal.
        let _ = self.write(outcome, Some(reason)).await;
    }

    /// Somebody else to record how this ends.
    fn successor(&self) -> Self {
        let (recorder, record) = (Arc::clone(&self.recorder), self.record.clone());
        let cloud = self.cloud.clone();
        let (started, progress) = (self.started, self.progress);
        Self { recorder, record, cloud, started, progress, places: None, change: None }
    }

    async fn write(&mut self, outcome: Outcome, reason: Option<&'static str>) -> Result<(), ServiceError> {
        let record = self.finished(outcome, reason);
        self.recorder.keep(record).await
    }

    fn finished(&self, outcome: Outcome, reason: Option<&'static str>) -> Record {
        let clock = &self.recorder.clock;
        let record = Record {
            time: clock.wall(),
            outcome,
            reason: reason.map(Cow::Borrowed),
            latency_us: Record::micros(clock.now().since(self.started)),
            ..self.record.clone()
        };
        meter::count(&record, self.cloud.as_ref());
        record
    }
}

/// The caller went away, or the transport gave up.
impl Drop for Decision {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and nobody was answered.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if let Some(mut change) = self.change.take() {
            // The change ended before anybody could look. From now on its task finds nobody to tell, and records by itself.
            change.close();
            if let Ok(Err(error)) = change.try_recv() {
                let mut successor = self.successor();
                successor.progress = Progress::Recorded;
                runtime.spawn(async move { drop(successor.refuse(error).await) });
            }
        } else if self.progress != Progress::Settled {
            let (recorder, record) = (Arc::clone(&self.recorder), self.finished(Outcome::Abandoned, None));
            runtime.spawn(async move {
                let _ = recorder.keep(record).await;
            });
        }
    }
}

// === impl Recorder ===

impl Recorder {
    pub(crate) fn turned_away(&self, stranger: Stranger) {
        self.sink.turned_away(stranger);
    }

    /// Whether decisions can be recorded, as far as is known, or need not be.
    pub(crate) fn works(&self) -> bool {
        self.on_failure == OnFailure::DangerServeUnrecorded || !self.last_failure.is_recent(self.clock.now())
    }

    async fn keep(&self, record: Record) -> Result<(), ServiceError> {
        let Err(error) = self.sink.write(record).await else { return Ok(()) };
        // Said once while it lasts: there may be thousands of them a second, for want of room on the very disk that logs use.
        let now = self.clock.now();
        if !self.last_failure.is_recent(now) {
            tracing::error!(error = &error as &dyn std::error::Error, "decisions cannot be recorded");
        }
        self.last_failure.note(now);
        match self.on_failure {
            OnFailure::Refuse => Err(ServiceError::AuditUnavailable(error)),
            OnFailure::DangerServeUnrecorded => Ok(()),
        }
    }
}
