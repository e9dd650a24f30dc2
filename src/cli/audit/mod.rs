//! `leasehold audit`: reads the journal where it is kept. Asks no service.

mod show;
mod verify;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use leasehold_audit::SigningKey;
use serde_json::json;

use super::{Failure, Output};
use crate::config;

/// What can be done with the audit journal.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Hold the journal to its hashes and signatures, and say where the first thing is that is wrong. Exits with 6 if there is
    /// one.
    #[command(after_help = "Example:\n  leasehold audit verify /var/lib/leasehold/audit \\\n    \
                      --public-key 19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1")]
    Verify(verify::Verify),
    /// Print what was recorded. Exits with 6 if a line is not as it was written, and leaves it out.
    #[command(
        after_help = "Example:\n  leasehold audit show /var/lib/leasehold/audit --tenant acme --outcome refused --since 1h"
    )]
    Show(show::Show),
    /// Print the newest of what was recorded, and go on as it grows. Exits as `show` does.
    #[command(after_help = "Example:\n  leasehold audit tail -f /var/lib/leasehold/audit")]
    Tail(show::Tail),
    /// Print the public part of the key that signs checkpoints, to be kept where the journal is verified.
    #[command(after_help = "Example:\n  leasehold audit public-key --config leasehold.toml > audit-key.hex")]
    PublicKey(KeyArgs),
}

/// Where the journal is.
#[derive(Debug, Args)]
struct JournalArgs {
    /// The directory of the journal. Without it, the one that is configured.
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// The configuration of the service whose journal it is.
#[derive(Debug, Args)]
struct ConfigArgs {
    /// The service's configuration.
    #[arg(long, env = "LEASEHOLD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Which key is meant.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The file of the signing key. Without it, the one that is configured.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
    /// Print it in PEM, as other tools read it.
    #[arg(long)]
    pem: bool,
}

pub(super) async fn run(command: AuditCommand, output: Output) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(verify) => verify::run(&verify, output),
        AuditCommand::Show(show) => show::show(&show, output),
        AuditCommand::Tail(tail) => show::tail(&tail, output).await,
        AuditCommand::PublicKey(args) => public_key(args, output),
    }
}

fn public_key(args: KeyArgs, output: Output) -> Result<(), Failure> {
    let file = match args.file {
        Some(file) => file,
        None => args.config.read()?.signing_key().ok_or_else(|| {
            Failure::usage("no signing key is configured; name its file, or the configuration with --config")
        })?,
    };
    let key = SigningKey::read(&file)?.public_key();
    let value = json!({ "key_id": key.id(), "public_key": key.to_string(), "pem": key.to_pem() });
    output.answer(&value, || if args.pem { key.to_pem().trim_end().to_owned() } else { key.to_string() })
}

/// A file of the journal, or an error that names it.
fn open(path: &Path) -> io::Result<BufReader<File>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    File::open(path).map(BufReader::new).map_err(named)
}

impl JournalArgs {
    fn directory(&self) -> Result<PathBuf, Failure> {
        if let Some(directory) = &self.directory {
            return Ok(directory.clone());
        }
        self.config.read()?.directory.ok_or_else(|| {
            Failure::usage("no directory is configured; name it, or the configuration with --config")
        })
    }
}

impl ConfigArgs {
    fn read(&self) -> Result<config::Audit, Failure> {
        Ok(config::load(self.config.as_deref(), std::env::vars_os())?.audit)
    }
}
