//! One JSON object per line (<https://jsonlines.org>), written in groups.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_clock::TimeSource;
use tokio::sync::{mpsc, oneshot};

use crate::{AuditError, Record, Sink};

/// Records written with one system call at most. A record is below 2 KiB, so that a group is below half a megabyte.
const MAX_GROUP: usize = 256;

/// When a record counts as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Once the operating system has it: it survives our own end, not the machine's. The default.
    #[default]
    Written,
    /// Once the disk has it (`fdatasync`); one per group.
    Synced,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLinesSettings {
    /// Records that may wait; beyond it writes fail at once. Default 4,096: as many as the requests that a server has in
    /// flight, below 8 MiB.
    pub queue: usize,
    /// How long one write may be waited for, queue included. Default 2 s: far beyond a busy disk, and below what callers
    /// give a request.
    pub deadline: Duration,
    /// When a record counts as kept.
    pub durability: Durability,
}

impl Default for JsonLinesSettings {
    fn default() -> Self {
        Self { queue: 4096, deadline: Duration::from_secs(2), durability: Durability::default() }
    }
}

/// Writes records as JSON Lines. One thread does the writing; whoever waits for a record waits for the group that has it.
/// Dropping the sink lets the thread finish what is queued.
#[derive(Debug)]
pub struct JsonLines {
    queue: mpsc::Sender<Line>,
    clock: Arc<dyn TimeSource>,
    settings: JsonLinesSettings,
}

/// An encoded record, and who waits for it.
struct Line {
    text: Vec<u8>,
    kept: oneshot::Sender<Result<(), AuditError>>,
}

/// Where lines go.
trait Target: Write + Send + 'static {
    /// Returns once the disk has what was written.
    fn sync(&mut self) -> io::Result<()>;
}

struct Handle<W>(W);

struct LogFile(File);

impl JsonLines {
    /// Appends to the file at `path`, which is created, readable by its owner alone, if need be.
    ///
    /// # Errors
    /// [`AuditError::Open`].
    pub fn append(
        path: &Path,
        clock: Arc<dyn TimeSource>,
        settings: JsonLinesSettings,
    ) -> Result<Self, AuditError> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(open_error)?;
        Self::start(LogFile(file), clock, settings)
    }

    /// Writes to a handle such as the standard error stream; [`Durability`] has no meaning there.
    ///
    /// # Errors
    /// [`AuditError::Open`] if there is no thread to be had.
    pub fn to_handle(
        handle: impl Write + Send + 'static,
        clock: Arc<dyn TimeSource>,
        settings: JsonLinesSettings,
    ) -> Result<Self, AuditError> {
        Self::start(Handle(handle), clock, settings)
    }

    fn start(
        target: impl Target,
        clock: Arc<dyn TimeSource>,
        settings: JsonLinesSettings,
    ) -> Result<Self, AuditError> {
        let (queue, lines) = mpsc::channel(settings.queue.max(1));
        let writer = Writer { target, durability: settings.durability, torn: false };
        std::thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer.run(lines))
            .map_err(open_error)?;
        Ok(Self { queue, clock, settings })
    }
}

#[async_trait]
impl Sink for JsonLines {
    async fn write(&self, record: Record) -> Result<(), AuditError> {
        let mut text = serde_json::to_vec(&record).map_err(|e| AuditError::Encode(Arc::new(e)))?;
        text.push(b'\n');
        let (kept, waiting) = oneshot::channel();
        self.queue.try_send(Line { text, kept }).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => {
                AuditError::QueueFull { capacity: self.queue.max_capacity() }
            }
            mpsc::error::TrySendError::Closed(_) => AuditError::Closed,
        })?;
        tokio::select! {
            biased;
            result = waiting => result.unwrap_or(Err(AuditError::Closed)),
            () = self.clock.sleep(self.settings.deadline) => Err(AuditError::Late { after: self.settings.deadline }),
        }
    }
}

fn open_error(error: io::Error) -> AuditError {
    AuditError::Open(Arc::new(error))
}

// === impl Writer ===

/// The thread's part.
struct Writer<T> {
    target: T,
    durability: Durability,
    /// Whether the last write failed, perhaps in the middle of a line.
    torn: bool,
}

impl<T: Target> Writer<T> {
    fn run(mut self, mut lines: mpsc::Receiver<Line>) {
        while let Some(first) = lines.blocking_recv() {
            let mut group = vec![first];
            while group.len() < MAX_GROUP
                && let Ok(line) = lines.try_recv()
            {
                group.push(line);
            }
            let result = self.write(&group).map_err(|e| AuditError::Write(Arc::new(e)));
            for line in group {
                // Whoever has given up waiting needs no answer.
                let _ = line.kept.send(result.clone());
            }
        }
    }

    fn write(&mut self, group: &[Line]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(1 + group.iter().map(|line| line.text.len()).sum::<usize>());
        if self.torn {
            // Ends what the failed write may have begun, so that it spoils no line but its own.
            bytes.push(b'\n');
        }
        group.iter().for_each(|line| bytes.extend_from_slice(&line.text));
        self.torn = true;
        self.target.write_all(&bytes)?;
        self.target.flush()?;
        if self.durability == Durability::Synced {
            self.target.sync()?;
        }
        self.torn = false;
        Ok(())
    }
}

// === impl Handle, LogFile ===

impl<W: Write> Write for Handle<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<W: Write + Send + 'static> Target for Handle<W> {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Target for LogFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Condvar, Mutex};

    use leasehold_clock::ManualClock;

    use super::*;
    use crate::record::tests::record;

    /// A handle that writes when it is let, and fails when it is told.
    #[derive(Clone, Default)]
    struct Script(Arc<(Mutex<ScriptState>, Condvar)>);

    #[derive(Default)]
    struct ScriptState {
        /// One entry per write that may go ahead: how many bytes of it to take before failing, or none to take all.
        allowed: VecDeque<Option<usize>>,
        /// What each write was given and took.
        writes: Vec<Vec<u8>>,
        waiting: usize,
    }

    impl Script {
        fn allow(&self, write: Option<usize>) {
            self.0.0.lock().unwrap().allowed.push_back(write);
            self.0.1.notify_all();
        }

        fn wait_for_a_write(&self) {
            let state = self.0.0.lock().unwrap();
            drop(self.0.1.wait_while(state, |s| s.waiting == 0).unwrap());
        }

        fn writes(&self) -> Vec<String> {
            let state = self.0.0.lock().unwrap();
            state.writes.iter().map(|w| String::from_utf8(w.clone()).unwrap()).collect()
        }
    }

    impl Write for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.0.lock().unwrap();
            state.waiting += 1;
            self.0.1.notify_all();
            let mut state = self.0.1.wait_while(state, |s| s.allowed.is_empty()).unwrap();
            state.waiting -= 1;
            match state.allowed.pop_front().unwrap() {
                None => {
                    state.writes.push(bytes.to_vec());
                    Ok(bytes.len())
                }
                Some(0) => Err(io::Error::from(io::ErrorKind::StorageFull)),
                Some(some) => {
                    state.writes.push(bytes[..some].to_vec());
                    Ok(some)
                }
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn sink(script: &Script, clock: &ManualClock, queue: usize) -> Arc<JsonLines> {
        let settings = JsonLinesSettings { queue, ..JsonLinesSettings::default() };
        Arc::new(JsonLines::to_handle(script.clone(), Arc::new(clock.clone()), settings).unwrap())
    }

    fn spawn(sink: &Arc<JsonLines>, id: &'static str) -> tokio::task::JoinHandle<Result<(), AuditError>> {
        let sink = Arc::clone(sink);
        tokio::spawn(async move { sink.write(record(id)).await })
    }

    fn line(id: &str) -> String {
        serde_json::to_string(&record(id)).unwrap() + "\n"
    }

    #[tokio::test]
    async fn an_answer_waits_for_the_write_that_holds_its_record() {
        let (script, clock) = (Script::default(), ManualClock::new());
        let sink = sink(&script, &clock, 8);
        let first = spawn(&sink, "r1");
        clock.settle().await;
        script.wait_for_a_write();
        clock.settle().await;
        assert!(!first.is_finished(), "nothing was written yet");
        let (second, third) = (spawn(&sink, "r2"), spawn(&sink, "r3"));
        clock.settle().await;
        script.allow(None);
        first.await.unwrap().unwrap();
        script.allow(None);
        second.await.unwrap().unwrap();
        third.await.unwrap().unwrap();
        assert_eq!(
            script.writes(),
            [line("r1"), line("r2") + &line("r3")],
            "what waited was written as one group"
        );
    }

    #[tokio::test]
    async fn p9_a_full_queue_fails_at_once_and_a_hanging_disk_in_time() {
        let (script, clock) = (Script::default(), ManualClock::new());
        let sink = sink(&script, &clock, 1);
        let first = spawn(&sink, "r1");
        clock.settle().await;
        script.wait_for_a_write();
        let second = spawn(&sink, "r2");
        clock.settle().await;
        let third = sink.write(record("r3")).await;
        assert!(matches!(third, Err(AuditError::QueueFull { capacity: 1 })), "{third:?}");
        clock.advance(JsonLinesSettings::default().deadline).await;
        assert!(matches!(first.await.unwrap(), Err(AuditError::Late { .. })));
        assert!(matches!(second.await.unwrap(), Err(AuditError::Late { .. })));
        script.allow(None);
        script.allow(None);
    }

    #[tokio::test]
    async fn p7_a_failed_write_fails_those_who_waited_for_it_and_spoils_no_other_line() {
        let (script, clock) = (Script::default(), ManualClock::new());
        let sink = sink(&script, &clock, 8);
        script.allow(Some(5));
        script.allow(Some(0));
        let error = sink.write(record("r1")).await.unwrap_err();
        assert!(
            matches!(&error, AuditError::Write(e) if e.kind() == io::ErrorKind::StorageFull),
            "{error:?}"
        );
        script.allow(None);
        sink.write(record("r2")).await.unwrap();
        script.allow(None);
        sink.write(record("r3")).await.unwrap();
        let text = script.writes().concat();
        assert_eq!(text, line("r1")[..5].to_owned() + "\n" + &line("r2") + &line("r3"));
    }

    #[tokio::test]
    async fn a_file_is_appended_to_and_its_owner_s_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        for (durability, id) in [(Durability::Written, "r1"), (Durability::Synced, "r2")] {
            let settings = JsonLinesSettings { durability, ..JsonLinesSettings::default() };
            let sink = JsonLines::append(&path, Arc::new(ManualClock::new()), settings).unwrap();
            sink.write(record(id)).await.unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), line("r1") + &line("r2"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_path_that_cannot_be_opened_is_an_error_at_once() {
        let settings = JsonLinesSettings::default();
        let result = JsonLines::append(Path::new("/nowhere/audit"), Arc::new(ManualClock::new()), settings);
        assert!(matches!(result, Err(AuditError::Open(_))));
    }
}
