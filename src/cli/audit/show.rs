//! `leasehold audit show` and `tail`.

use std::time::{Duration, SystemTime};

use clap::Args;
use leasehold_audit::{AnswerSource, Entry, Follower, Line, Lines, Outcome, Piece, Record, list};
use leasehold_client::{SystemClock, TenantId};
use leasehold_clock::TimeSource;

use super::JournalArgs;
use crate::cli::{Failure, Output};
use crate::shutdown;

/// How often a journal that is followed is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What to print.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    journal: JournalArgs,
    #[command(flatten)]
    filter: Filter,
}

/// What to print, and whether to go on.
#[derive(Debug, Args)]
pub struct Tail {
    #[command(flatten)]
    journal: JournalArgs,
    #[command(flatten)]
    filter: Filter,
    /// How many of the newest records to look at first.
    #[arg(long, short = 'n', default_value_t = 10, value_name = "COUNT")]
    lines: usize,
    /// Go on as the journal grows, from file to file, until interrupted.
    #[arg(long, short = 'f')]
    follow: bool,
}

/// Which records are meant. With any of these but `--since`, only decisions are.
#[derive(Debug, Args)]
struct Filter {
    /// Decisions about this tenant.
    #[arg(long)]
    tenant: Option<TenantId>,
    /// Decisions about this method, `UnwrapKey` for example.
    #[arg(long, value_parser = operation)]
    operation: Option<String>,
    /// Decisions that ended so: served, refused, failed, withheld, abandoned or unknown.
    #[arg(long, value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Decisions on requests of this id, ours or the cloud's.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Nothing older: a point in time such as 2026-11-05T12:00:00Z, or a span before now such as 1h.
    #[arg(long, value_parser = since, value_name = "TIME")]
    since: Option<SystemTime>,
}

fn operation(text: &str) -> Result<String, String> {
    let known: Result<leasehold_authz::Operation, _> = text.parse();
    known.map(|operation| operation.to_string()).map_err(|error| error.to_string())
}

fn outcome(text: &str) -> Result<Outcome, String> {
    serde_json::from_value(text.into()).map_err(|_| "there is no such outcome".to_owned())
}

fn since(text: &str) -> Result<SystemTime, String> {
    if let Ok(at) = humantime::parse_rfc3339_weak(text) {
        return Ok(at);
    }
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    SystemClock::start().wall().checked_sub(span).ok_or_else(|| "that is before time began".to_owned())
}

pub(super) fn show(args: &Show, output: Output) -> Result<(), Failure> {
    let mut printer = Printer { filter: &args.filter, output, bad: 0 };
    for (name, path) in list(&args.journal.directory()?)? {
        let mut lines = Lines::new(super::open(&path)?);
        let mut number = 0_u64;
        while let Some(piece) = lines.complete()? {
            number += 1;
            match piece {
                Piece::Line(text) => printer.line(text, &format!("{name}:{number}"))?,
                Piece::TooLong => printer.warn(&format!("{name}:{number}"), LONG),
            }
        }
    }
    printer.end()
}

pub(super) async fn tail(args: &Tail, output: Output) -> Result<(), Failure> {
    let clock = SystemClock::start();
    let mut follower = Follower::from_last(&args.journal.directory()?, args.lines)?;
    let mut printer = Printer { filter: &args.filter, output, bad: 0 };
    let follow = async {
        loop {
            for line in follower.poll()? {
                printer.line(&line, "the journal")?;
            }
            if !args.follow {
                return Ok::<(), Failure>(());
            }
            clock.sleep(LOOK).await;
        }
    };
    tokio::select! {
        ended = follow => ended?,
        () = shutdown::told_to_end()? => {}
    }
    printer.end()
}

const CHANGED: &str = "it was changed: its hash is not that of its bytes";
const UNKNOWN: &str = "it does not say what this version can read";
const LONG: &str = "it is longer than any record";

/// Prints what is meant, and keeps count of what cannot be relied on: that is warned of and not printed.
struct Printer<'a> {
    filter: &'a Filter,
    output: Output,
    bad: u64,
}

impl Printer<'_> {
    /// Prints a line of the journal if it is meant: as it is for programs, in columns for people.
    fn line(&mut self, text: &[u8], place: &str) -> Result<(), Failure> {
        let Some(line) = Line::parse(text).filter(Line::is_authentic) else {
            self.warn(place, CHANGED);
            return Ok(());
        };
        let Ok(entry) = line.entry() else {
            self.warn(place, UNKNOWN);
            return Ok(());
        };
        match (self.filter.means(&entry), self.output.is_json()) {
            (false, _) => Ok(()),
            (true, true) => self.output.line(&String::from_utf8_lossy(text)),
            (true, false) => self.output.line(&in_columns(line.sequence, &entry)),
        }
    }

    fn warn(&mut self, place: &str, what: &str) {
        self.bad += 1;
        self.output.warn(&format!("a line is left out ({place}): {what}"));
    }

    fn end(self) -> Result<(), Failure> {
        match self.bad {
            0 => Ok(()),
            bad => Err(Failure::broken(format!(
                "{bad} lines are not as they were written; `leasehold audit verify` says more"
            ))),
        }
    }
}

impl Filter {
    fn means(&self, entry: &Entry) -> bool {
        if time(entry).zip(self.since).is_some_and(|(time, since)| time < since) {
            return false;
        }
        let Self { tenant, operation, outcome, request_id, since: _ } = self;
        let anything = tenant.is_none() && operation.is_none() && outcome.is_none() && request_id.is_none();
        match entry {
            Entry::Decision(record) => {
                tenant.as_ref().is_none_or(|tenant| record.tenant.as_ref() == Some(tenant))
                    && operation.as_ref().is_none_or(|operation| *operation == record.operation)
                    && outcome.is_none_or(|outcome| outcome == record.outcome)
                    && request_id.as_ref().is_none_or(|id| has_request_id(record, id))
            }
            _ => anything,
        }
    }
}

fn has_request_id(record: &Record, id: &str) -> bool {
    let of_origin = record.origin.as_ref().and_then(|origin| origin.cloud_request_id.as_deref());
    [Some(&*record.request_id), record.cloud_request_id.as_deref(), of_origin].contains(&Some(id))
}

fn time(entry: &Entry) -> Option<SystemTime> {
    match entry {
        Entry::File(file) => Some(file.time),
        Entry::Started(started) => Some(started.time),
        Entry::Decision(record) => Some(record.time),
        Entry::Refusals(refusals) => Some(refusals.time),
        Entry::Gap(gap) => Some(gap.time),
        Entry::Checkpoint(checkpoint) => Some(checkpoint.time),
        _ => None,
    }
}

fn in_columns(sequence: u64, entry: &Entry) -> String {
    let time = time(entry).map(|time| humantime::format_rfc3339_millis(time).to_string()).unwrap_or_default();
    let (what, rest) = match entry {
        Entry::Decision(record) => return decision(sequence, &time, record),
        Entry::File(file) => ("file", format!("{} of chain {}", file.file, file.chain)),
        Entry::Started(started) => ("started", format!("{} {}", started.deployment, started.version)),
        Entry::Refusals(r) => {
            ("strangers", format!("{} turned away at {} from {}: {}", r.count, r.listener, r.from, r.reason))
        }
        Entry::Gap(gap) => {
            ("GAP", format!("{} records lost, {} of them served: {}", gap.lost, gap.lost_served, gap.error))
        }
        Entry::Checkpoint(checkpoint) => {
            ("checkpoint", checkpoint.key_id.as_ref().map(ToString::to_string).unwrap_or_default())
        }
        _ => ("other", "written by a newer version".to_owned()),
    };
    format!("{sequence:>8} {time} {what:<10} {rest}")
}

fn decision(sequence: u64, time: &str, record: &Record) -> String {
    let outcome = serde_json::to_value(record.outcome).unwrap_or_default();
    let outcome = outcome.as_str().unwrap_or_default();
    let name = |tenant: &TenantId| match &record.binding {
        Some(binding) => format!("{tenant}/{binding}"),
        None => tenant.to_string(),
    };
    let about = record.tenant.as_ref().map(name).unwrap_or_default();
    let source = match record.source {
        Some(AnswerSource::Cache) => "cache",
        Some(AnswerSource::Cloud) => "cloud",
        None => "",
    };
    let context = record.context.iter().map(|(name, value)| format!("{name}={value}"));
    let rest = record.reason.iter().map(ToString::to_string).chain(context).collect::<Vec<_>>().join(" ");
    let Record { operation, caller, .. } = record;
    format!("{sequence:>8} {time} {outcome:<10} {operation:<16} {about:<24} {caller:<28} {source:<5} {rest}")
        .trim_end()
        .to_owned()
}
