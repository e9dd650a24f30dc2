//! `leasehold audit verify`.

use std::fmt::Write;
use std::str::FromStr;

use clap::Args;
use leasehold_audit::{ChainHash, Options, PublicKey, Report, list, verify};
use serde_json::json;

use super::JournalArgs;
use crate::cli::{Failure, Output};

/// What the journal is held to.
#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    journal: JournalArgs,
    /// A key that may have signed checkpoints, as `audit public-key` prints it; repeat for former ones. Without any, signatures
    /// are not verified.
    #[arg(long = "public-key", value_name = "KEY")]
    keys: Vec<PublicKey>,
    /// A record that was noted earlier, as this command prints the last one: the chain must still hold it.
    #[arg(long, value_name = "SEQUENCE:HASH")]
    noted: Vec<Noted>,
    /// Accept a journal whose first files are kept elsewhere.
    #[arg(long)]
    partial: bool,
}

/// A sequence number with its hash.
#[derive(Debug, Clone, Copy)]
struct Noted(u64, ChainHash);

impl FromStr for Noted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "it has the form SEQUENCE:HASH";
        let (sequence, hash) = text.split_once(':').ok_or(form)?;
        Ok(Self(sequence.parse().map_err(|_| form)?, hash.parse()?))
    }
}

pub(super) fn run(args: &Verify, output: Output) -> Result<(), Failure> {
    let directory = args.journal.directory()?;
    let options = Options {
        keys: args.keys.clone(),
        partial: args.partial,
        noted: args.noted.iter().map(|Noted(sequence, hash)| (*sequence, *hash)).collect(),
    };
    let files = list(&directory)?.into_iter();
    let files = files.map(|(name, path)| (name.to_string(), super::open(&path)));
    let report = verify(files, &options)?;
    let mut value = serde_json::to_value(&report)?;
    value["intact"] = json!(report.is_intact());
    output.answer(&value, || text(&report))?;
    match &report.finding {
        None => Ok(()),
        Some(finding) => Err(Failure::broken(format!("the audit chain is broken: {finding}"))),
    }
}

fn text(report: &Report) -> String {
    let Report { files, records, checkpoints, taken_over, unsigned, .. } = report;
    let verdict = if report.is_intact() { "intact" } else { "BROKEN; until then in order" };
    let mut text = format!("{verdict}: {records} records in {files} files, {checkpoints} checkpoints");
    // Writing to a string does not fail.
    let _ = match report.signatures_verified {
        true => write!(text, " with valid signatures"),
        false => write!(text, " (signatures not verified: name the key with --public-key)"),
    };
    if *taken_over > 0 {
        let _ = write!(
            text,
            "\nleft unsigned by processes that did not end by themselves: {taken_over} records, which rested on their hashes \
             alone until the next start"
        );
    }
    if *unsigned > 0 {
        let _ =
            write!(text, "\nafter the last checkpoint: {unsigned} records, which rest on their hashes alone");
    }
    if let (Some(sequence), Some(hash)) = (report.last, report.last_hash) {
        let _ = write!(text, "\nlast record, to be noted elsewhere: {sequence}:{hash}");
    }
    text
}
