//! The thread that writes.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use leasehold_clock::{Moment, TimeSource};
use tokio::sync::{mpsc, oneshot};

use crate::chain::Link;
use crate::journal::{JournalSettings, OnFailure, Shared};
use crate::losses::Lost;
use crate::refusals::MAX_KINDS;
use crate::signing::SigningKey;
use crate::target::Target;
use crate::{AuditError, Checkpoint, Checkpoints, Entry, FileBegun, Record, Started, Torn, Why};

/// Records written with one system call at most. A line is mostly below 1 KiB, so that a group is a quarter of a megabyte.
const MAX_GROUP: usize = 256;

/// Lines of one write at most: a group, what was counted of strangers, and what begins a file, a process or tells of a gap.
/// The latter a few times over, for processes that were killed in the middle of their first write.
pub(crate) const MOST_AT_ONCE: u64 = (MAX_GROUP + MAX_KINDS + 128) as u64;

/// What the buffer of lines keeps of its room from one group to the next.
const MAX_BUFFER: usize = 1024 * 1024;

/// The version of the format.
const FORMAT: u32 = 1;

/// How long after a file could not be begun that is tried again. The one before is full or old, and still good.
const BEGIN_AGAIN: Duration = Duration::from_secs(60);

/// The same where the one before is not to be written to any more, so that nothing is recorded meanwhile.
const REPLACE_AGAIN: Duration = Duration::from_secs(1);

/// What the thread is told.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every message is a record")]
pub(crate) enum Message {
    /// Keep a record, and say so.
    Keep { record: Record, kept: oneshot::Sender<Result<(), AuditError>> },
    /// Time has passed.
    Tick,
    /// Keep what came before this, and end.
    Close { closed: oneshot::Sender<()> },
}

/// Where the chain is gone on with.
pub(crate) struct Beginning {
    pub(crate) link: Link,
    pub(crate) chain: Option<Box<str>>,
    pub(crate) clean: bool,
    /// Lines after the last checkpoint.
    pub(crate) unsigned: u64,
    pub(crate) torn: Option<Torn>,
}

/// A chain that has not begun.
impl Default for Beginning {
    fn default() -> Self {
        Self { link: Link::GENESIS, chain: None, clean: true, unsigned: 0, torn: None }
    }
}

/// The thread's part.
pub(crate) struct Writer<T> {
    target: T,
    key: Option<SigningKey>,
    clock: Arc<dyn TimeSource>,
    settings: JournalSettings,
    shared: Arc<Shared>,
    /// What is kept.
    link: Link,
    chain: Box<str>,
    /// The lines of the group that is being written.
    lines: Vec<u8>,
    /// What is to be written before anything else.
    first: Vec<Entry>,
    /// Lines since the last checkpoint, and when the first of them was written.
    unsigned: u64,
    unsigned_since: Option<Moment>,
    begin_after: Moment,
    replace_after: Moment,
    failing: bool,
}

/// A record that waits to be written, and who waits for it.
struct Pending {
    entry: Entry,
    kept: Option<oneshot::Sender<Result<(), AuditError>>>,
}

impl<T: Target> Writer<T> {
    pub(crate) fn new(
        target: T,
        beginning: Beginning,
        key: Option<SigningKey>,
        clock: Arc<dyn TimeSource>,
        settings: JournalSettings,
        shared: Arc<Shared>,
    ) -> Result<Self, AuditError> {
        let Beginning { link, chain, clean, unsigned, torn } = beginning;
        let started = Started {
            time: clock.wall(),
            deployment: settings.deployment.clone(),
            version: settings.version.clone(),
            durability: settings.durability,
            on_failure: settings.on_failure,
            key_id: key.as_ref().map(|key| key.id().clone()),
            clean,
            unsigned,
            torn,
        };
        Ok(Self {
            target,
            key,
            settings,
            shared,
            link,
            chain: chain.map_or_else(new_chain, Ok)?,
            lines: Vec::new(),
            first: vec![Entry::Started(started)],
            unsigned,
            unsigned_since: None,
            begin_after: clock.now(),
            replace_after: clock.now(),
            failing: false,
            clock,
        })
    }

    /// Writes that the process has begun, and so finds out whether anything can be written. It is signed at once, and with it
    /// what a process before left unsigned.
    pub(crate) fn begin(&mut self) -> Result<(), AuditError> {
        match (self.write(&mut [], Some(Why::Start)), self.settings.on_failure) {
            (Err(error), OnFailure::Refuse) => Err(error),
            _ => Ok(()),
        }
    }

    pub(crate) fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut group = Vec::new();
        let mut closing = Vec::new();
        while let Some(message) = messages.blocking_recv() {
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Keep { record, kept } => {
                        group.push(Pending { entry: Entry::Decision(record), kept: Some(kept) });
                    }
                    Message::Tick => {}
                    Message::Close { closed } => {
                        messages.close();
                        closing.push(closed);
                    }
                }
                next = if group.len() < MAX_GROUP { messages.try_recv().ok() } else { None };
            }
            self.turn(&mut group);
        }
        // Every sender is gone, or the journal was closed and this was all.
        self.end();
        for closed in closing {
            // Whoever closed may have gone.
            let _ = closed.send(());
        }
    }

    /// Writes a group and whatever is due, and tells those who wait.
    fn turn(&mut self, group: &mut Vec<Pending>) {
        let why = self.checkpoint_due(group.len());
        let due =
            why.is_some() || !self.first.is_empty() || self.refusals_due() || self.shared.losses.are_there();
        if group.is_empty() && !due && self.target.due(self.clock.wall()).is_none() {
            return;
        }
        let result = self.write(group, why);
        if let Err(error) = &result {
            let now = self.clock.wall();
            for pending in group.iter() {
                if let (Entry::Decision(record), Some(_)) = (&pending.entry, &pending.kept) {
                    self.shared.losses.count(record, error, now);
                }
            }
        }
        for kept in group.drain(..).filter_map(|pending| pending.kept) {
            // Whoever has given up waiting needs no answer.
            let _ = kept.send(result.clone());
        }
    }

    /// The last that is written.
    fn end(&mut self) {
        self.note_refusals();
        // The failure is logged, and there is nobody left to tell.
        let _ = self.write(&mut [], Some(Why::Shutdown));
    }

    // === What is due ===

    fn checkpoint_due(&self, more: usize) -> Option<Why> {
        let Checkpoints { records, age } = &self.settings.checkpoints;
        let old = |since: Moment| self.clock.now().since(since) >= *age;
        if self.unsigned + more as u64 >= *records {
            Some(Why::Records)
        } else {
            self.unsigned_since.is_some_and(old).then_some(Why::Time)
        }
    }

    fn refusals_due(&self) -> bool {
        let now = self.clock.wall();
        let over = |since| now.duration_since(since).unwrap_or_default() >= self.settings.refusal_window;
        self.shared.strangers.since().is_some_and(over)
    }

    /// Takes what strangers were counted so far to be written. Not while former ones still wait, so that a sink that fails
    /// makes us hold no more than two windows.
    fn note_refusals(&mut self) {
        if !self.first.iter().any(|entry| matches!(entry, Entry::Refusals(_))) {
            let refusals = self.shared.strangers.take(self.clock.wall());
            self.first.extend(refusals.into_iter().map(Entry::Refusals));
        }
    }

    // === Writing ===

    /// Writes what waits to be written, `group`, and a checkpoint if there is a reason: all of it or nothing.
    fn write(&mut self, group: &mut [Pending], checkpoint: Option<Why>) -> Result<(), AuditError> {
        if self.refusals_due() {
            self.note_refusals();
        }
        let result = self.rotate().and_then(|()| self.put(group, checkpoint));
        let result = result.map_err(|error| AuditError::Write(Arc::new(error)));
        self.report(result.as_ref().err());
        result
    }

    /// Begins another file if that is due. Where it cannot be begun, the present one goes on.
    fn rotate(&mut self) -> io::Result<()> {
        let now = self.clock.wall();
        let Some(why) = self.target.due(now) else { return Ok(()) };
        if why == Why::Interference {
            if !self.failing {
                tracing::error!("the file of the audit journal is not as it was left; another one is begun");
            }
            if self.clock.now() < self.replace_after {
                return Err(io::Error::other("another file could not be begun"));
            }
            let begun = self.target.begin(why, now);
            if begun.is_err() {
                self.replace_after = self.clock.now() + REPLACE_AGAIN;
            }
            return begun;
        }
        if self.clock.now() < self.begin_after {
            return Ok(());
        }
        self.put(&mut [], Some(Why::Rotation))?;
        if let Err(error) = self.target.begin(why, now) {
            tracing::error!(%error, "another file of the audit journal cannot be begun; the present one goes on");
            self.begin_after = self.clock.now() + BEGIN_AGAIN;
        }
        Ok(())
    }

    /// Why what is written now must end in a checkpoint, even if none is due. Whoever goes on with the chain, or verifies what
    /// is kept of it, looks for the newest one: a file is never without, even if the one before is moved away.
    fn owed(&self) -> Option<Why> {
        let starts = self.first.iter().any(|entry| matches!(entry, Entry::Started(_)));
        if starts { Some(Why::Start) } else { self.target.fresh().map(|(_, why)| why) }
    }

    fn put(&mut self, group: &mut [Pending], checkpoint: Option<Why>) -> io::Result<()> {
        let checkpoint = checkpoint.or_else(|| self.owed());
        let lost = self.shared.losses.take();
        let now = self.clock.wall();
        let link = self.encode(group, checkpoint, lost.as_ref(), now);
        let written = self.target.append(&self.lines, self.settings.durability);
        if let Err(error) = written {
            lost.into_iter().for_each(|lost| self.shared.losses.merge(lost));
            return Err(error);
        }
        self.unsigned += link.sequence - self.link.sequence;
        self.unsigned_since = self.unsigned_since.or(Some(self.clock.now()));
        if checkpoint.is_some() {
            (self.unsigned, self.unsigned_since) = (0, None);
        }
        self.link = link;
        self.first.clear();
        Ok(())
    }

    /// Makes the lines, and says how the chain ends with them. A record that cannot be encoded fails alone.
    fn encode(
        &mut self,
        group: &mut [Pending],
        checkpoint: Option<Why>,
        lost: Option<&Lost>,
        now: SystemTime,
    ) -> Link {
        let mut link = self.link;
        self.lines.clear();
        self.lines.shrink_to(MAX_BUFFER);
        let begun = self.target.fresh().map(|(name, why)| {
            let (chain, file) = (self.chain.clone(), name.number());
            Entry::File(FileBegun { time: now, format: FORMAT, chain, file, why })
        });
        let gap = lost.map(|lost| lost.to_entry(self.settings.on_failure, now));
        for entry in begun.iter().chain(&self.first).chain(&gap) {
            if let Err(error) = link.append(&mut self.lines, entry, None) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an entry of the audit journal is lost"
                );
            }
        }
        for pending in group {
            if let Err(error) = link.append(&mut self.lines, &pending.entry, None) {
                if let Entry::Decision(record) = &pending.entry {
                    self.shared.losses.count(record, &error, now);
                }
                pending.kept.take().into_iter().for_each(|kept| drop(kept.send(Err(error.clone()))));
            }
        }
        if let Some(why) = checkpoint {
            let key_id = self.key.as_ref().map(|key| key.id().clone());
            let within = Some(self.settings.checkpoints.within());
            let entry = Entry::Checkpoint(Checkpoint { time: now, why, key_id, within });
            if let Err(error) = link.append(&mut self.lines, &entry, self.key.as_ref()) {
                tracing::error!(error = &error as &dyn std::error::Error, "a checkpoint is lost");
            }
        }
        link
    }

    /// Logs that writing begins to fail, and that it works again: once each.
    fn report(&mut self, error: Option<&AuditError>) {
        match error {
            Some(error) if !self.failing => {
                tracing::error!(error = error as &dyn std::error::Error, "records cannot be kept");
            }
            None if self.failing => tracing::warn!("records are kept again"),
            _ => {}
        }
        self.failing = error.is_some();
    }
}

/// A name for a chain that begins now.
fn new_chain() -> Result<Box<str>, AuditError> {
    let mut bytes = [0; 16];
    let failed = |_| AuditError::Write(Arc::new(io::Error::other("there is no randomness for its name")));
    aws_lc_rs::rand::fill(&mut bytes).map_err(failed)?;
    Ok(HEXLOWER.encode(&bytes).into())
}
