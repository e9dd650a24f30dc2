//! What a process leaves behind that is killed is decided by the writes that it made, so to be killed at each of its writes is to
//! be killed at any point.
//!
//! The kernel kills a process that makes a file longer than it may, at the very byte (`RLIMIT_FSIZE`). A process (this test's
//! own binary, see [`change_until_killed`]) makes one change and closes the file, under a limit that grows with each run
//! until it comes through.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};

use crate::file::File;
use crate::killed::{change, check, newest_acknowledged};

/// How the process is told the directory of its file, how long files may become, and when that begins to count.
const DIRECTORY: &str = "LEASEHOLD_TEST_EACH_WRITE";
const ROOM: &str = "LEASEHOLD_TEST_ROOM";
const OPENED: &str = "LEASEHOLD_TEST_OPENED";

/// The tenant that is changed.
const TENANT: &str = "a";

/// The header of the log, the header of each frame in it, and the page that follows; pages alone make up the other files
/// (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).
const LOG_HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;
const PAGE: u64 = 4096;

/// The longest that a file may become until a process has to come through; 60 kB is enough for any change.
const LONGEST: u64 = 400_000;

/// When the limit begins to count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Limited {
    /// Before there is a file.
    FromTheStart,
    /// When the file is open.
    OnceOpen,
}

/// Not a test: what the process does that is killed, and only if it was started for that.
#[test]
fn change_until_killed() {
    let Some(file) = std::env::var_os(DIRECTORY).map(File::at) else { return };
    let room = std::env::var(ROOM).unwrap().parse().unwrap();
    let once_open = std::env::var_os(OPENED).is_some();
    let limit =
        |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).unwrap();
    // The kernel would write down its memory otherwise.
    limit(Resource::Core, 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        if !once_open {
            limit(Resource::Fsize, room);
        }
        let registry = file.open().await.unwrap();
        if once_open {
            limit(Resource::Fsize, room);
        }
        change(&file, &registry, TENANT).await;
        registry.close().await;
    });
}

fn change_and_be_killed(file: &File, limited: Limited, room: u64) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "each_write::change_until_killed"])
        .env(DIRECTORY, file.directory())
        .env(ROOM, room.to_string())
        .envs((limited == Limited::OnceOpen).then_some((OPENED, "")))
        .stdout(Stdio::null())
        .status()
        .unwrap()
}

/// Lengths of a file before, in the middle of and after everything that is written to it, and to a log.
pub(crate) fn cuts() -> impl Iterator<Item = u64> {
    let mut cuts: Vec<_> = (0..LONGEST / PAGE)
        .flat_map(|page| {
            let frame = LOG_HEADER + page * (FRAME_HEADER + PAGE);
            [
                page * PAGE,
                page * PAGE + PAGE / 2,
                frame,
                frame + FRAME_HEADER,
                frame + FRAME_HEADER + PAGE / 2,
            ]
        })
        .collect();
    cuts.sort_unstable();
    cuts.into_iter()
}

/// How often a process was killed.
#[derive(Debug, Default)]
struct Kills {
    /// Before the change was in the file.
    old: usize,
    /// After that, while the log was moved into the file for example.
    new: usize,
}

/// Has the tenant's change number `nth`, counted from 0, made with ever more room, until it is made and the file closed.
async fn kill_at_each_write(nth: usize, limited: Limited) -> Kills {
    let mut kills = Kills::default();
    for room in cuts() {
        let file = File::new();
        if nth > 0 {
            let registry = file.open().await.unwrap();
            for _ in 0..nth {
                change(&file, &registry, TENANT).await;
            }
            registry.close().await;
        }
        let before = newest_acknowledged(&file);
        let status = change_and_be_killed(&file, limited, room);
        let acknowledged = newest_acknowledged(&file) != before;
        let under_way = check(&file).await;
        if status.success() {
            assert!(acknowledged, "it made its change");
            return kills;
        }
        assert_eq!(status.signal(), Some(Signal::XFSZ.as_raw()), "killed at {room} bytes: {status}");
        match acknowledged || under_way > 0 {
            true => kills.new += 1,
            false => kills.old += 1,
        }
    }
    panic!("{LONGEST} bytes are not enough: {kills:?}");
}

#[tokio::test]
async fn p5_kill_9_at_each_write_of_each_kind_of_change_leaves_the_old_or_the_new_record() {
    // Created, changed, suspended, a binding created, activated, and activated in place of another.
    for nth in [0, 1, 2, 5, 6, 11] {
        let kills = kill_at_each_write(nth, Limited::OnceOpen).await;
        assert!(kills.old > 5 && kills.new > 5, "change {nth}: {kills:?}");
    }
}

#[tokio::test]
async fn p5_kill_9_at_each_write_while_the_file_is_made_leaves_one_that_can_be_used() {
    let kills = kill_at_each_write(0, Limited::FromTheStart).await;
    assert!(kills.old > 20, "{kills:?}");
}
