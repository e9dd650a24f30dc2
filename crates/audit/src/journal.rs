//! The journal, as those who write records see it.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_clock::TimeSource;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::losses::Losses;
use crate::refusals::Counters;
use crate::resume::{Resumed, resume};
use crate::signing::SigningKey;
use crate::target::{Handle, Target};
use crate::writer::{Beginning, MOST_AT_ONCE, Message, Writer};
use crate::{AuditError, Record, Sink, Stranger};

/// How often the thread is woken to see what time has made due. A checkpoint, a window of refusals or a file is late by no
/// more than this.
const TICK: Duration = Duration::from_secs(1);

/// When a record counts as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Once the operating system has it: it survives our own end, not the machine's. The default.
    #[default]
    Written,
    /// Once the disk has it (`fdatasync`); one per group.
    Synced,
}

/// What happens to a decision that cannot be recorded. Whoever decides acts on it; the journal says so in its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It is refused (promise P7). The default.
    #[default]
    Refuse,
    /// It stands, unrecorded: availability over auditability. What was lost is counted, and recorded later.
    DangerServeUnrecorded,
}

/// When another file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Once a file has so many bytes. Default 256 MiB: some 400,000 records, which are verified in a second.
    pub bytes: u64,
    /// Once a file is so old. Default 24 h.
    pub age: Duration,
}

/// When the chain is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoints {
    /// After so many records. Default 1,000: a signature takes some 20 µs, and so costs each record some 20 ns.
    pub records: u64,
    /// So long after a record that is not signed yet. Default 60 s: this much of the end of a chain rests on its hashes alone.
    pub age: Duration,
}

impl Checkpoints {
    /// Within how many lines after a checkpoint the next one comes: these records, and one write's worth of anything else.
    pub(crate) fn within(&self) -> u64 {
        self.records.saturating_add(MOST_AT_ONCE)
    }
}

/// How records are written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalSettings {
    /// Records that may wait; beyond it writes fail at once. Default 4,096: as many as the requests that a server has in
    /// flight, below 8 MiB.
    pub queue: usize,
    /// How long one write may be waited for, queue included. Default 2 s: far beyond a busy disk, and below what callers
    /// give a request.
    pub deadline: Duration,
    /// When a record counts as kept.
    pub durability: Durability,
    /// What whoever decides makes of a failure.
    pub on_failure: OnFailure,
    /// When another file is begun.
    pub rotation: Rotation,
    /// When the chain is signed.
    pub checkpoints: Checkpoints,
    /// For how long strangers are counted before they are recorded. Default 60 s.
    pub refusal_window: Duration,
    /// Which deployment this is, for the record.
    pub deployment: Box<str>,
    /// Which version of Leasehold this is, for the record.
    pub version: Box<str>,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            queue: 4096,
            deadline: Duration::from_secs(2),
            durability: Durability::default(),
            on_failure: OnFailure::default(),
            rotation: Rotation { bytes: 256 * 1024 * 1024, age: Duration::from_secs(24 * 3600) },
            checkpoints: Checkpoints { records: 1000, age: Duration::from_secs(60) },
            refusal_window: Duration::from_secs(60),
            deployment: Box::default(),
            version: Box::default(),
        }
    }
}

/// Keeps records in a chain of JSON Lines. One thread does the writing; whoever waits for a record waits for the group that
/// has it. Dropping the journal lets the thread write what is queued and a last checkpoint; [`Sink::close`] waits for that.
#[derive(Debug)]
pub struct Journal {
    queue: mpsc::Sender<Message>,
    clock: Arc<dyn TimeSource>,
    deadline: Duration,
    shared: Arc<Shared>,
}

/// What is counted on one side and written on the other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) losses: Losses,
    pub(crate) strangers: Counters,
}

impl Journal {
    /// Goes on with the journal in `directory`, or begins it there. Checkpoints are signed with `key`, if there is one. Must be
    /// called on a tokio runtime.
    ///
    /// # Errors
    /// [`AuditError::Open`]; [`AuditError::Locked`]; [`AuditError::Damaged`]; [`AuditError::Write`] if nothing can be written
    /// there now, unless that is not to matter.
    pub fn open(
        directory: &Path,
        key: Option<SigningKey>,
        clock: Arc<dyn TimeSource>,
        settings: JournalSettings,
    ) -> Result<Self, AuditError> {
        let most = settings.checkpoints.within();
        let Resumed { target, beginning } =
            resume(directory, key.as_ref(), most, settings.rotation, clock.wall())?;
        Self::start(target, beginning, key, clock, settings)
    }

    /// Writes a chain of its own to a handle such as the standard error stream. There are no files to rotate, and
    /// [`Durability`] has no meaning. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn to_handle(
        handle: impl Write + Send + 'static,
        key: Option<SigningKey>,
        clock: Arc<dyn TimeSource>,
        settings: JournalSettings,
    ) -> Result<Self, AuditError> {
        Self::start(Handle::new(handle), Beginning::default(), key, clock, settings)
    }

    fn start(
        target: impl Target,
        beginning: Beginning,
        key: Option<SigningKey>,
        clock: Arc<dyn TimeSource>,
        settings: JournalSettings,
    ) -> Result<Self, AuditError> {
        let (queue, messages) = mpsc::channel(settings.queue.max(1));
        let (shared, deadline) = (Arc::<Shared>::default(), settings.deadline);
        let mut writer =
            Writer::new(target, beginning, key, Arc::clone(&clock), settings, Arc::clone(&shared))?;
        writer.begin()?;
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(messages));
        thread.map_err(|error| AuditError::Write(Arc::new(error)))?;
        tokio::spawn(tick(Arc::clone(&clock), queue.downgrade()));
        Ok(Self { queue, clock, deadline, shared })
    }

    async fn keep(&self, record: Record) -> Result<(), AuditError> {
        let (kept, waiting) = oneshot::channel();
        let message = Message::Keep { record: record.within_bounds(), kept };
        if let Err(refused) = self.queue.try_send(message) {
            let (message, error) = match refused {
                mpsc::error::TrySendError::Full(message) => {
                    (message, AuditError::QueueFull { capacity: self.queue.max_capacity() })
                }
                mpsc::error::TrySendError::Closed(message) => (message, AuditError::Closed),
            };
            if let Message::Keep { record, .. } = message {
                self.shared.losses.count(&record, &error, self.clock.wall());
            }
            return Err(error);
        }
        tokio::select! {
            biased;
            result = waiting => result.unwrap_or(Err(AuditError::Closed)),
            () = self.clock.sleep(self.deadline) => Err(AuditError::Late { after: self.deadline }),
        }
    }
}

#[async_trait]
impl Sink for Journal {
    async fn write(&self, record: Record) -> Result<(), AuditError> {
        self.keep(record).await
    }

    fn turned_away(&self, stranger: Stranger) {
        self.shared.strangers.count(stranger, self.clock.wall());
    }

    async fn close(&self) {
        let (closed, waiting) = oneshot::channel();
        let close = async {
            if self.queue.send(Message::Close { closed }).await.is_ok() {
                // Err means that the thread has ended, and so has the journal.
                let _ = waiting.await;
            }
        };
        tokio::select! {
            () = close => {}
            () = self.clock.sleep(self.deadline) => {
                tracing::error!("the audit journal did not close in time; its end is not signed");
            }
        }
    }
}

/// Wakes the thread now and then, for as long as somebody else may give it work.
async fn tick(clock: Arc<dyn TimeSource>, queue: mpsc::WeakSender<Message>) {
    loop {
        clock.sleep(TICK).await;
        let Some(queue) = queue.upgrade() else { return };
        if let Err(mpsc::error::TrySendError::Closed(_)) = queue.try_send(Message::Tick) {
            return;
        }
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
