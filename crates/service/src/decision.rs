//! One decision from the request to its record.

use std::borrow::Cow;
use std::sync::Arc;

use leasehold_audit::{AnswerSource, Outcome, Record, Sink};
use leasehold_authz::Operation;
use leasehold_clock::{Moment, TimeSource};
use leasehold_envelope::EncryptionContext;
use leasehold_ids::{BindingId, TenantId};
use leasehold_lease::{Held, Source};
use leasehold_provider::ProviderError;
use leasehold_tenant::Binding;

use crate::{Caller, Mode, OnAuditFailure, ServiceError};

/// Keeps records, or says what happens without them.
pub(crate) struct Recorder {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) on_failure: OnAuditFailure,
}

/// A request that is being decided. Every way out of it leaves a record, being dropped included.
pub(crate) struct Decision {
    recorder: Arc<Recorder>,
    record: Record,
    started: Moment,
    progress: Progress,
}

/// What was recorded so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Served,
    Closed,
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
            source: None,
            cloud_request_id: None,
            cloud_code: None,
            proof_age_ms: None,
            acknowledged: None,
            lease_epoch: None,
            latency_us: 0,
        };
        let started = recorder.clock.now();
        Self { recorder: Arc::clone(recorder), record, started, progress: Progress::Open }
    }

    // === What becomes known on the way ===

    pub(crate) fn allowed_by(&mut self, rule: Box<str>) {
        self.record.rule = Some(rule);
    }

    pub(crate) fn in_mode(&mut self, mode: Mode) {
        self.record.validate_only = mode == Mode::ValidateOnly;
    }

    pub(crate) fn about(&mut self, binding: &Binding) {
        self.record.binding = Some(binding.name.binding().clone());
        self.record.key_id = Some(binding.key.as_str().into());
    }

    /// Keeps a digest, because the values of a context may say more than an auditor should read.
    pub(crate) fn with_context(&mut self, context: &EncryptionContext) {
        self.record.context_digest = Some(context.commitment().to_string().into());
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
        self.progress = Progress::Served;
        let result = self.write(Outcome::Served, None).await;
        if result.is_err() {
            self.progress = Progress::Closed;
        }
        result
    }

    /// Records how it ended, and returns that.
    pub(crate) async fn conclude<T>(mut self, result: Result<T, ServiceError>) -> Result<T, ServiceError> {
        match result {
            Ok(value) => {
                self.serve().await?;
                Ok(value)
            }
            Err(error) => Err(self.refuse(error).await),
        }
    }

    /// Records that it was not served after all, and why. A refusal stands whether or not it could be recorded.
    pub(crate) async fn refuse(mut self, error: ServiceError) -> ServiceError {
        let outcome = match self.progress {
            Progress::Open => error.outcome(),
            Progress::Served => Outcome::Withheld,
            Progress::Closed => return error,
        };
        self.progress = Progress::Closed;
        self.told(error.cloud());
        // Whoever writes has logged the failure; there is nothing left to refuse.
        let _ = self.write(outcome, Some(error.reason())).await;
        error
    }

    async fn write(&mut self, outcome: Outcome, reason: Option<&'static str>) -> Result<(), ServiceError> {
        let record = self.finished(outcome, reason);
        self.recorder.keep(record).await
    }

    fn finished(&self, outcome: Outcome, reason: Option<&'static str>) -> Record {
        let clock = &self.recorder.clock;
        Record {
            time: clock.wall(),
            outcome,
            reason: reason.map(Cow::Borrowed),
            latency_us: Record::micros(clock.now().since(self.started)),
            ..self.record.clone()
        }
    }
}

/// The caller went away, or the transport gave up.
impl Drop for Decision {
    fn drop(&mut self) {
        if self.progress != Progress::Open {
            return;
        }
        // Without a runtime the process is ending, and nobody was answered.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (recorder, record) = (Arc::clone(&self.recorder), self.finished(Outcome::Abandoned, None));
        runtime.spawn(async move {
            let _ = recorder.keep(record).await;
        });
    }
}

// === impl Recorder ===

impl Recorder {
    async fn keep(&self, record: Record) -> Result<(), ServiceError> {
        let Err(error) = self.sink.write(record).await else { return Ok(()) };
        tracing::error!(error = &error as &dyn std::error::Error, "a decision could not be recorded");
        match self.on_failure {
            OnAuditFailure::Refuse => Err(ServiceError::AuditUnavailable(error)),
            OnAuditFailure::DangerServeUnrecorded => Ok(()),
        }
    }
}
