//! The report: what the suite saw, in Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::measure::{Gone, Measured, Row};

const HEAD: &str = "\
# Where keys are in memory

`tests/run.sh memory` looks at the release binary from outside while it serves simulated clouds: it reads everything that
`/proc/PID/mem` shows and searches it for the keys that it sent or was given, for the credentials that the clouds issued, and
for pieces of them of 16 bytes and more, as they are, in hexadecimal and in base64. It wrote this page when it was run with
`LEASEHOLD_WRITE_REPORT=1`, and compares all of it but the figures, which are never the same twice; that each is within its
bound is asserted.

A *copy* is a place where such bytes were found. While a connection is open, its buffers keep what it carried, until
something else is written over it or the connection is closed; all memory is wiped when it is freed. So each way is measured
twice: with the client's connection open, and after the client closed it, while the lease is live and the service goes on.
Within 5 s of that nothing may be left: the session's connections to its cloud are closed when they were idle for 1 to 2 s.
";

const ENDS: &str = "
## When a lease ends

Each lease ends with all connections that carried its keys still open, none of which their clients close: one that was used
in every way; four on which a `WrapKey` was refused (reserved context, wrong length, too large, malformed); and three whose
readers have stalled (one that grants its answer no window, one that grants ten bytes, one that reads nothing from its
socket). The time is counted from when a watcher is told that the lease has ended. Within 5 s nothing may be left.
";

const REFUSED: &str = "
## What is refused

Plaintext that came with a `WrapKey` which was refused is under no lease that is certain to end. Its connection is closed
30 s later, once what is under way on it is over (15 s at most), or at once if nobody could read the message. Here the tenant was unknown, the context reserved, the key's length
wrong, or the cloud failed; the lease stays live and the clients close nothing. Within 35 s nothing may be left. It is looked twice a second.
";

const SESSIONS: &str = "
## Credentials of sessions

Secret access keys and session tokens on AWS, access tokens elsewhere; one session for each proof. The last lease ends when its
tenant is suspended. Within 5 s nothing may be left.
";

const WRITTEN: &str = "
## What is written down, and dumped

The log, with the filter `info`, and the audit journal are searched for all keys and credentials. (That neither has any of them
with the filter `trace` is tested elsewhere, with a debug build.) Then all memory that can be read is searched once more, which
is more than a core dump has; and the process is killed by a signal that dumps core, after its limit for that was lifted from
outside where that is allowed.
";

const REST: &str = "
## What remains, and where

- *In buffers of open connections, while the lease is live.* What a client sent or was sent is in the read and write buffers of
  its connection; the tables say how many copies. What the cloud was sent or sent is in those of the session's own connection
  to it, until more was read or written there. Each goes with its connection: when the client closes it, when the lease ends, or
  when a connection to the cloud was idle for 1 to 2 s.
- *What came by mistake.* A key sent in place of a wrapped one is nobody's plaintext to the service. It is in the buffers of that
  connection until they are used again or it is closed.
- *In the kernel.* What was written to a socket and not yet read is in the kernel's buffers, and no process's memory. A reader
  that reads nothing keeps it there until it closes the socket.
- *In locked memory*, for the length of an operation. It is left out of core dumps, and where the kernel has
  `memfd_secret` nobody else can read it: then the suite finds it unreadable.
- *Our own identity's credentials*, for as long as we have them: they are no tenant's.
- *Not seen:* registers of the processor; stacks and freed memory between two looks; memory of the kernel or of a hypervisor; and
  what a panic prints, since nothing that a caller can send makes the binary panic: types with key bytes have no `Debug`.
";

/// The line that depends on the kernel.
const KERNEL: &str = "On the kernel that this was measured on, nobody could read: ";

pub(crate) fn write(seen: &[&Measured]) -> String {
    let mut text = HEAD.to_owned();
    text += "\n## While the lease is live\n\n";
    table(&mut text, "the client closed", seen, |measured| measured.ways.iter().collect());
    text += ENDS;
    text.push('\n');
    table(&mut text, "the lease ended", seen, |measured| measured.ends.iter().map(|end| &end.row).collect());
    text +=
        "\nNo stalled reader was given an answer after its lease had ended, and their streams were reset.\n";
    text += REFUSED;
    text.push('\n');
    table(&mut text, "the calls were refused", seen, |measured| vec![&measured.refused]);
    text += SESSIONS;
    text.push('\n');
    table(&mut text, "the last lease ended", seen, |measured| vec![&measured.sessions]);
    text += WRITTEN;
    text += "\n| cloud | log | audit | secrets in them | memory read at the end | copies | killed by | core dumped |\n";
    text += "|---|--:|--:|--:|--:|--:|---|---|\n";
    for measured in seen {
        let (written, core) = (&measured.written, &measured.core);
        let (log, audit) = (written.log / 1024, written.audit / 1024);
        let (secrets, bytes, copies) = (written.secrets.len(), core.bytes / 1024 / 1024, core.copies.len());
        let (cloud, signal, dumped) = (measured.cloud, core.signal, if core.dumped { "yes" } else { "no" });
        writeln!(
            text,
            "| {cloud} | {log} KiB | {audit} KiB | {secrets} | {bytes} MiB | {copies} | SIG{signal} | {dumped} |"
        )
        .unwrap();
    }
    let unreadable: BTreeSet<&str> =
        seen.iter().flat_map(|measured| &measured.core.unreadable).map(String::as_str).collect();
    let unreadable: Vec<String> = unreadable.iter().map(|name| format!("`{name}`")).collect();
    writeln!(text, "\n{KERNEL}{}.", unreadable.join(", ")).unwrap();
    text += REST;
    text
}

/// What `report` says that is the same whenever and wherever it is written: its lines without their figures.
pub(crate) fn promises(report: &str) -> Vec<String> {
    let lines = report.lines().filter(|line| !line.starts_with(KERNEL));
    let figures = |line: &str| {
        let mut without = String::new();
        for letter in line.chars() {
            match letter {
                '0'..='9' if without.ends_with('#') => {}
                '0'..='9' => without.push('#'),
                other => without.push(other),
            }
        }
        without
    };
    lines.map(|line| if line.starts_with('|') { figures(line) } else { line.to_owned() }).collect()
}

/// One line for each row, with the clouds side by side.
fn table(text: &mut String, after: &str, seen: &[&Measured], rows: impl Fn(&Measured) -> Vec<&Row>) {
    let columns: Vec<_> = seen.iter().map(|measured| rows(measured)).collect();
    text.push_str("| |");
    for measured in seen {
        write!(text, " {}: secrets | copies | gone after {after} |", measured.cloud).unwrap();
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|--:|--:|".repeat(seen.len()));
    text.push('\n');
    for (number, row) in columns[0].iter().enumerate() {
        write!(text, "| {} |", row.what).unwrap();
        for column in &columns {
            let Row { keys, open, gone, .. } = column[number];
            let gone = match gone {
                Gone::After(passed) => format!("{:.1} s", passed.as_secs_f64()),
                Gone::Never(places) => format!("**never: {} left**", places.len()),
            };
            write!(text, " {keys} | {open} | {gone} |").unwrap();
        }
        text.push('\n');
    }
}
