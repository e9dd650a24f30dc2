//! The journal over a handle that does as it is told, and in directories.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex};

use leasehold_clock::ManualClock;

use super::*;
use crate::chain::Link;
use crate::record::tests::record;
use crate::{ChainHash, Entry, Line, Options, Report, Why, list, verify};

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

    /// What each write brought: the ids of requests, and the types of other lines.
    fn writes(&self) -> Vec<Vec<String>> {
        let state = self.0.0.lock().unwrap();
        let lines =
            |write: &Vec<u8>| write.split(|byte| *byte == b'\n').filter_map(Line::parse).map(brief).collect();
        state.writes.iter().map(lines).collect()
    }
}

fn brief(line: Line<'_>) -> String {
    match line.entry().unwrap() {
        Entry::Decision(record) => record.request_id.into(),
        Entry::File(file) => format!("file {}", file.file),
        Entry::Started(_) => "started".into(),
        Entry::Refusals(refusals) => format!("refusals {}", refusals.count),
        Entry::Gap(gap) => format!("gap {} of which {}", gap.lost, gap.lost_served),
        Entry::Checkpoint(checkpoint) => format!("checkpoint {:?}", checkpoint.why),
        Entry::Other => "other".into(),
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

/// A journal that has begun.
fn scripted(script: &Script, clock: &ManualClock, queue: usize) -> Arc<Journal> {
    script.allow(None);
    let settings = JournalSettings { queue, ..JournalSettings::default() };
    Arc::new(Journal::to_handle(script.clone(), None, Arc::new(clock.clone()), settings).unwrap())
}

fn spawn(sink: &Arc<Journal>, id: &'static str) -> tokio::task::JoinHandle<Result<(), AuditError>> {
    let sink = Arc::clone(sink);
    tokio::spawn(async move { sink.write(record(id)).await })
}

fn strings(lines: &[&[&str]]) -> Vec<Vec<String>> {
    lines.iter().map(|lines| lines.iter().map(ToString::to_string).collect()).collect()
}

#[tokio::test]
async fn an_answer_waits_for_the_write_that_holds_its_record() {
    let (script, clock) = (Script::default(), ManualClock::new());
    let sink = scripted(&script, &clock, 8);
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
    let expected: &[&[&str]] = &[&["file 1", "started", "checkpoint Start"], &["r1"], &["r2", "r3"]];
    assert_eq!(script.writes(), strings(expected), "what waited was written as one group");
    script.allow(None);
}

#[tokio::test]
async fn p9_a_full_queue_fails_at_once_and_a_hanging_disk_in_time() {
    let (script, clock) = (Script::default(), ManualClock::new());
    let sink = scripted(&script, &clock, 1);
    let first = spawn(&sink, "r1");
    clock.settle().await;
    script.wait_for_a_write();
    let second = spawn(&sink, "r2");
    clock.settle().await;
    let third = sink.write(record("r3")).await;
    assert!(matches!(third, Err(AuditError::QueueFull { capacity: 1 })), "{third:?}");
    clock.advance(JournalSettings::default().deadline).await;
    for late in [first, second] {
        let late = late.await.unwrap().unwrap_err();
        assert!(matches!(late, AuditError::Late { .. }) && late.is_uncertain());
    }
    script.allow(None);
    script.allow(None);
    script.allow(None);
    sink.close().await;
    let begun: &[&str] = &["file 1", "started", "checkpoint Start"];
    let expected: &[&[&str]] = &[begun, &["r1"], &["gap 1 of which 1", "r2"], &["checkpoint Shutdown"]];
    assert_eq!(script.writes(), strings(expected), "what found no room is counted");
}

#[tokio::test]
async fn p7_a_failed_write_fails_those_who_waited_for_it_and_is_counted_when_it_works_again() {
    let (script, clock) = (Script::default(), ManualClock::new());
    let sink = scripted(&script, &clock, 8);
    script.allow(Some(5));
    script.allow(Some(0));
    let error = sink.write(record("r1")).await.unwrap_err();
    assert!(matches!(&error, AuditError::Write(e) if e.kind() == io::ErrorKind::StorageFull), "{error:?}");
    // One for the line feed that ends what was begun.
    script.allow(None);
    script.allow(None);
    sink.write(record("r2")).await.unwrap();
    let writes = script.writes();
    assert_eq!(writes.last().unwrap(), &["gap 1 of which 1", "r2"]);
    script.allow(None);
}

// === In a directory ===

struct Place {
    directory: tempfile::TempDir,
    clock: ManualClock,
    settings: JournalSettings,
}

impl Place {
    fn new() -> Self {
        let (directory, clock) = (tempfile::tempdir().unwrap(), ManualClock::new());
        Self { directory, clock, settings: JournalSettings::default() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    fn try_open(&self) -> Result<Journal, AuditError> {
        let key = SigningKey::open_or_generate(&self.directory.path().join("signing.pem")).unwrap();
        Journal::open(&self.path(), Some(key), Arc::new(self.clock.clone()), self.settings.clone())
    }

    fn open(&self) -> Journal {
        self.try_open().unwrap()
    }

    /// Writes these and ends as one should.
    async fn session(&self, ids: &[&str]) {
        let journal = self.open();
        for id in ids {
            journal.write(record(id)).await.unwrap();
        }
        journal.close().await;
        self.ended(journal).await;
    }

    /// Waits until nobody holds the directory.
    async fn ended(&self, journal: Journal) {
        drop(journal);
        let directory = fs::File::open(self.path()).unwrap();
        tokio::task::spawn_blocking(move || directory.lock().unwrap()).await.unwrap();
    }

    fn file(&self, number: usize) -> PathBuf {
        self.path().join(format!("audit-{number:09}.jsonl"))
    }

    fn report(&self) -> Report {
        let key = SigningKey::read(&self.directory.path().join("signing.pem")).unwrap().public_key();
        let files = list(&self.path()).unwrap().into_iter();
        let files =
            files.map(|(name, path)| (name.to_string(), fs::File::open(path).map(io::BufReader::new)));
        verify(files, &Options { keys: vec![key], ..Options::default() }).unwrap()
    }

    fn lines(&self) -> Vec<String> {
        let files = list(&self.path()).unwrap().into_iter();
        let text: String = files.map(|(_, path)| fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| brief(Line::parse(line.as_bytes()).unwrap())).collect()
    }

    fn started(&self) -> Vec<crate::Started> {
        let files = list(&self.path()).unwrap().into_iter();
        let text: String = files.map(|(_, path)| fs::read_to_string(path).unwrap()).collect();
        let entries = text.lines().map(|line| Line::parse(line.as_bytes()).unwrap().entry().unwrap());
        entries
            .filter_map(|entry| if let Entry::Started(started) = entry { Some(started) } else { None })
            .collect()
    }
}

#[tokio::test]
async fn p7_a_chain_goes_on_over_restarts_and_is_its_owners_alone() {
    let place = Place::new();
    place.session(&["r1"]).await;
    place.session(&["r2"]).await;
    let life = |record| ["started", "checkpoint Start", record, "checkpoint Shutdown"];
    assert_eq!(place.lines(), [&["file 1"][..], &life("r1"), &life("r2")].concat());
    let report = place.report();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.records, report.unsigned), (9, 0));
    assert!(place.started().iter().all(|started| started.clean && started.torn.is_none()));
    assert_eq!(fs::metadata(place.file(1)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn p7_a_torn_line_is_taken_away_by_a_record_that_says_so() {
    let place = Place::new();
    place.session(&["r1"]).await;
    let whole = fs::read(place.file(1)).unwrap();
    for torn in [&b"{"[..], &whole[..100], &[0; 100_000]] {
        fs::write(place.file(1), [&whole, torn].concat()).unwrap();
        place.session(&["r2"]).await;
        let report = place.report();
        assert!(report.is_intact(), "{report:?}");
        let told = place.started().pop().unwrap();
        let sha256 = data_encoding::HEXLOWER
            .encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, torn).as_ref());
        assert_eq!(told.torn, Some(crate::Torn { bytes: torn.len() as u64, sha256: sha256.into() }));
        assert!(!told.clean);
    }
}

#[tokio::test]
async fn p7_a_process_that_ended_anywhere_leaves_a_chain_that_goes_on() {
    let place = Place::new();
    place.session(&["r1", "r2"]).await;
    let whole = fs::read(place.file(1)).unwrap();
    let ends: Vec<_> = (0..whole.len()).filter(|at| at % 7 == 0 || whole[*at] == b'\n').collect();
    for end in ends {
        fs::write(place.file(1), &whole[..end]).unwrap();
        place.session(&["r3"]).await;
        let report = place.report();
        assert!(report.is_intact(), "cut at {end}: {report:?}");
        let kept = whole[..end].iter().filter(|byte| **byte == b'\n').count() as u64;
        // The beginning of the file, where it was lost, that of the process, r3, and two checkpoints.
        assert_eq!(report.records, kept + 4 + u64::from(kept == 0), "cut at {end}");
    }
}

#[tokio::test]
async fn p7_files_are_rotated_by_size_and_age_and_each_goes_on_with_the_one_before() {
    let mut place = Place::new();
    place.settings.rotation = Rotation { bytes: 1_000, age: Duration::from_secs(3600) };
    let journal = place.open();
    for _ in 0..10 {
        journal.write(record("r")).await.unwrap();
    }
    journal.close().await;
    place.ended(journal).await;
    let by_size = list(&place.path()).unwrap().len();
    assert!(by_size > 2, "{by_size}");
    place.settings.rotation.bytes = 1 << 20;
    let journal = place.open();
    place.clock.advance(Duration::from_secs(3601)).await;
    journal.write(record("r")).await.unwrap();
    assert_eq!(list(&place.path()).unwrap().len(), by_size + 1);
    journal.close().await;
    place.ended(journal).await;
    let report = place.report();
    assert!(report.is_intact(), "{report:?}");
    let last_of_first = fs::read_to_string(place.file(1)).unwrap().lines().last().unwrap().to_owned();
    assert_eq!(
        brief(Line::parse(last_of_first.as_bytes()).unwrap()),
        format!("checkpoint {:?}", Why::Rotation)
    );
    // The process ended between one file and the next.
    fs::write(place.file(by_size + 2), "").unwrap();
    place.session(&["r"]).await;
    assert!(place.report().is_intact());
    assert_eq!(place.lines().iter().filter(|line| *line == "r").count(), 12);
}

#[tokio::test]
async fn checkpoints_are_signed_after_so_many_records_and_so_much_time() {
    let mut place = Place::new();
    place.settings.checkpoints = Checkpoints { records: 3, age: Duration::from_secs(60) };
    let journal = place.open();
    for id in ["r1", "r2", "r3", "r4"] {
        journal.write(record(id)).await.unwrap();
    }
    place.clock.advance(Duration::from_secs(62)).await;
    journal.write(record("r5")).await.unwrap();
    let signed = ["file 1", "started", "checkpoint Start", "r1", "r2", "r3", "checkpoint Records", "r4"];
    let lines = place.lines();
    let (before, after) = lines.split_at(signed.len());
    assert_eq!(before, signed);
    // A record that comes while the checkpoint is due may be in one group with it, and then comes first.
    let mut after = after.to_vec();
    after.sort();
    assert_eq!(after, ["checkpoint Time", "r5"]);
    let other = place.directory.path().join("other.pem");
    let other = SigningKey::open_or_generate(&other).unwrap().public_key();
    let files = [("f".to_owned(), fs::File::open(place.file(1)).map(io::BufReader::new))];
    let report = verify(files, &Options { keys: vec![other], ..Options::default() }).unwrap();
    assert_eq!(report.finding.unwrap().fault, crate::Fault::UnknownKey);
}

#[tokio::test]
async fn p7_strangers_are_recorded_together_when_their_window_is_over() {
    let place = Place::new();
    let journal = place.open();
    for _ in 0..1000 {
        let from = crate::network("203.0.113.9".parse().unwrap());
        journal.turned_away(Stranger { listener: "reprove", from, reason: "NO_CREDENTIAL" });
    }
    place.clock.advance(place.settings.refusal_window + Duration::from_secs(1)).await;
    journal.write(record("r1")).await.unwrap();
    assert!(place.lines().contains(&"refusals 1000".to_owned()), "{:?}", place.lines());
    journal.turned_away(Stranger { listener: "reprove", from: "x".into(), reason: "NO_CREDENTIAL" });
    journal.close().await;
    assert!(place.lines().contains(&"refusals 1".to_owned()), "and what is left at the end");
}

#[tokio::test]
async fn p7_a_file_that_somebody_removed_changed_or_moved_away_is_not_written_to() {
    let place = Place::new();
    let journal = place.open();
    fs::remove_file(place.file(1)).unwrap();
    journal.write(record("r1")).await.unwrap();
    fs::rename(place.file(2), place.directory.path().join("elsewhere")).unwrap();
    journal.write(record("r2")).await.unwrap();
    fs::write(place.file(3), "").unwrap();
    journal.write(record("r3")).await.unwrap();
    assert_eq!(place.lines(), ["file 4", "r3", "checkpoint Interference"], "each can be verified by itself");
    let elsewhere = fs::read_to_string(place.directory.path().join("elsewhere")).unwrap();
    assert!(elsewhere.contains("\"why\":\"interference\"") && elsewhere.contains("r1"));
}

#[tokio::test]
async fn p7_what_cannot_be_gone_on_with_is_refused_at_the_start() {
    let place = Place::new();
    let journal = place.open();
    assert!(matches!(place.try_open(), Err(AuditError::Locked(_))), "two processes make no chain");
    place.ended(journal).await;
    let whole = fs::read_to_string(place.file(1)).unwrap();
    fs::write(place.file(1), whole.replace("shutdown", "showdown")).unwrap();
    assert!(matches!(place.try_open(), Err(AuditError::Damaged { .. })));
    fs::write(place.file(1), format!("{whole}{}\n", "x".repeat(100_000))).unwrap();
    assert!(matches!(place.try_open(), Err(AuditError::Damaged { .. })));
    fs::remove_file(place.file(1)).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place.file(1)).status().unwrap().success());
    assert!(
        matches!(place.try_open(), Err(AuditError::Open { .. })),
        "a pipe without a reader does not block"
    );
    fs::remove_file(place.file(1)).unwrap();
    fs::write(place.directory.path().join("file"), "").unwrap();
    let key = None;
    let clock = Arc::new(place.clock.clone());
    let opened = Journal::open(&place.directory.path().join("file"), key, clock, place.settings.clone());
    assert!(matches!(opened, Err(AuditError::Open { .. })));
}

/// What `count` lines look like that somebody puts after `text`, without the key.
fn forged(text: &str, count: u64) -> String {
    let last = Line::parse(text.lines().last().unwrap().as_bytes()).unwrap();
    let (mut link, mut out) = (Link { sequence: last.sequence, hash: last.hash }, Vec::new());
    for n in 0..count {
        link.append(&mut out, &Entry::Decision(record(&format!("forged {n}"))), None).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn p7_history_that_somebody_made_anew_is_not_signed_by_the_next_start() {
    let mut place = Place::new();
    place.settings.checkpoints.records = 10;
    place.session(&["r1", "r2", "r3"]).await;
    let whole = fs::read_to_string(place.file(1)).unwrap();
    // The first checkpoint is the third line.
    let kept: String = whole.split_inclusive('\n').take(3).collect();
    let most = place.settings.checkpoints.within();
    fs::write(place.file(1), [&*kept, &forged(&kept, most + 1)].concat()).unwrap();
    let told = place.try_open().unwrap_err().to_string();
    assert!(told.contains("more lines after its newest checkpoint than are ever left unsigned"), "{told}");
    // As much as a process that was killed may leave is taken over, and said to be.
    fs::write(place.file(1), [&*kept, &forged(&kept, most)].concat()).unwrap();
    place.session(&["r4"]).await;
    let started = place.started().pop().unwrap();
    assert_eq!((started.unsigned, started.clean), (most, false));
    assert_eq!(place.report().taken_over, most);
}

#[tokio::test]
async fn p7_what_follows_the_newest_checkpoint_is_held_to_it_before_it_is_signed() {
    let place = Place::new();
    let journal = place.open();
    for id in ["r1", "r2", "r3"] {
        journal.write(record(id)).await.unwrap();
    }
    let killed = fs::read_to_string(place.file(1)).unwrap();
    place.ended(journal).await;
    let refused = |text: &str, why: &str| {
        fs::write(place.file(1), text).unwrap();
        let told = place.try_open().unwrap_err();
        assert!(matches!(&told, AuditError::Damaged { .. }) && told.to_string().contains(why), "{told}");
    };
    refused(&killed.replace("\"r1\"", "\"rx\""), "not as it was written");
    let lines: Vec<_> = killed.split_inclusive('\n').collect();
    refused(&[&lines[..3], &lines[4..]].concat().concat(), "does not follow");
    refused(&[&lines[..2], &lines[3..]].concat().concat(), "does not follow");
    refused(&lines[3..].concat(), "does not begin");
    refused(&[&lines[3..], &lines[..1]].concat().concat(), "does not");
    // A checkpoint that names the key, and that somebody else signed.
    let other = SigningKey::open_or_generate(&place.directory.path().join("other.pem")).unwrap();
    let key_id = Some(SigningKey::read(&place.directory.path().join("signing.pem")).unwrap().id().clone());
    let last = Line::parse(lines[1].trim_end().as_bytes()).unwrap();
    let (mut link, mut out) = (Link { sequence: last.sequence, hash: last.hash }, Vec::new());
    let time = place.clock.wall();
    let pretended = crate::Checkpoint { time, why: Why::Start, key_id, within: None };
    link.append(&mut out, &Entry::Checkpoint(pretended), Some(&other)).unwrap();
    let text = [lines[0], lines[1], &String::from_utf8(out).unwrap()].concat();
    refused(&text, "the signing key did not sign");
    // As it was left, it is gone on with.
    fs::write(place.file(1), &killed).unwrap();
    place.session(&["r4"]).await;
    let report = place.report();
    assert_eq!((report.is_intact(), report.taken_over), (true, 3), "{report:?}");
}

#[tokio::test]
async fn p7_a_journal_whose_older_files_were_moved_away_is_gone_on_with() {
    let mut place = Place::new();
    place.settings.rotation.bytes = 1_500;
    let journal = place.open();
    while list(&place.path()).unwrap().len() < 3 {
        journal.write(record("r")).await.unwrap();
    }
    let killed = list(&place.path()).unwrap();
    let killed: Vec<_> =
        killed.into_iter().map(|(_, path)| (path.clone(), fs::read(path).unwrap())).collect();
    place.ended(journal).await;
    for (path, _) in &killed[..2] {
        fs::remove_file(path).unwrap();
    }
    fs::write(&killed[2].0, &killed[2].1).unwrap();
    place.session(&["r"]).await;
    assert_eq!(place.started().pop().unwrap().unsigned, 0, "the first write of a file is signed");
}

#[tokio::test]
async fn p7_files_that_nothing_was_written_to_do_no_harm() {
    let place = Place::new();
    place.session(&["r1"]).await;
    for number in [2, 3] {
        fs::write(place.file(number), "").unwrap();
    }
    place.session(&["r2"]).await;
    let report = place.report();
    assert!(report.is_intact() && report.files == 3, "{report:?}");
    assert!(fs::read_to_string(place.file(3)).unwrap().contains("r2"));
    for number in [1, 3] {
        fs::remove_file(place.file(number)).unwrap();
    }
    let told = place.try_open().unwrap_err().to_string();
    assert!(told.contains("what came before it is not here"), "a second chain is not begun: {told}");
}

#[tokio::test]
async fn p7_a_record_that_is_too_long_fails_alone_and_is_counted() {
    let place = Place::new();
    let journal = place.open();
    let mut long = record("long");
    long.caller = "x".repeat(100_000).into();
    let refused = journal.write(long).await.unwrap_err();
    assert!(matches!(refused, AuditError::TooLong { .. }) && !refused.is_uncertain(), "{refused}");
    journal.write(record("r2")).await.unwrap();
    journal.close().await;
    place.ended(journal).await;
    let after = ["gap 1 of which 1", "r2", "checkpoint Shutdown"];
    assert_eq!(place.lines()[3..], after);
    place.session(&["r3"]).await;
    assert!(place.report().is_intact(), "{:?}", place.report());
}

#[tokio::test]
async fn what_was_kept_can_be_followed_from_file_to_file() {
    let mut place = Place::new();
    place.settings.rotation.bytes = 1_500;
    let journal = place.open();
    journal.write(record("r1")).await.unwrap();
    let mut follower = crate::Follower::from_last(&place.path(), 3).unwrap();
    let mut seen = Vec::new();
    for id in ["r2", "r3", "r4", "r5", "r6"] {
        seen.extend(follower.poll().unwrap());
        journal.write(record(id)).await.unwrap();
    }
    seen.extend(follower.poll().unwrap());
    let seen: Vec<_> = seen.iter().map(|line| brief(Line::parse(line).unwrap())).collect();
    assert!(list(&place.path()).unwrap().len() > 1);
    assert_eq!(seen, place.lines()[1..], "everything from the second line on, once");
    let last = crate::Follower::from_last(&place.path(), 7).unwrap().poll().unwrap();
    assert_eq!(last.len(), 7, "over the end of a file");
}

#[test]
fn what_stands_before_the_first_line_is_nothing() {
    assert_eq!(ChainHash::GENESIS.to_string(), "0".repeat(64));
}
