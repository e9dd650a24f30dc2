//! `leasehold leases`.

use std::time::Duration;

use clap::{Args, Subcommand};
use leasehold_client::api::v1::{WatchAction, WatchMode};
use leasehold_client::{LeaseUpdate, TenantId};

use super::args::ClientArgs;
use super::{Failure, Output, json};
use crate::shutdown;

/// How often leases are renewed: three times within the shortest bound of 15 s.
const RENEW_EVERY: Duration = Duration::from_secs(5);

/// What can be done with leases.
#[derive(Debug, Subcommand)]
pub enum LeasesCommand {
    /// Print every change of tenants' leases as it happens, until interrupted.
    #[command(after_help = "Example:\n  leasehold leases watch acme globex")]
    Watch(Watch),
}

/// What to watch.
#[derive(Debug, Args)]
pub struct Watch {
    /// Which tenants.
    #[arg(required = true)]
    tenants: Vec<TenantId>,
    /// Keep the leases proving, as an engine does that holds keys. Without it nothing is kept alive by watching.
    #[arg(long)]
    hold: bool,
    /// End after so long.
    #[arg(long = "for", value_parser = humantime::parse_duration, value_name = "TIME")]
    span: Option<Duration>,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) async fn run(command: LeasesCommand, output: Output) -> Result<(), Failure> {
    let LeasesCommand::Watch(watch) = command;
    tokio::select! {
        ended = follow(&watch, output) => ended,
        () = shutdown::told_to_end()? => Ok(()),
    }
}

async fn follow(watch: &Watch, output: Output) -> Result<(), Failure> {
    let client = watch.client.client()?;
    let clock = client.clock();
    let mode = if watch.hold { WatchMode::Hold } else { WatchMode::Observe };
    let mut stream = client.leases().await?;
    stream.watch(&watch.tenants, mode).await?;
    let end = watch.span.map(|span| clock.now() + span);
    let mut known: Vec<LeaseUpdate> = Vec::new();
    loop {
        let over = async {
            match end {
                Some(end) => clock.sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let updates = tokio::select! {
            updates = stream.next() => updates?,
            () = clock.sleep(RENEW_EVERY) => {
                stream.renew().await?;
                continue;
            }
            () = over => return Ok(()),
        };
        // The service ends a stream only with an error; an end without one is the connection's.
        let Some(updates) = updates else { return Err(Failure::new("the service ended the stream")) };
        let mut ended = Vec::new();
        for update in updates {
            let before =
                known.iter().position(|k| k.binding == update.binding).map(|at| known.swap_remove(at));
            if before.as_ref().is_none_or(|before| before.state != update.state) {
                output.answer(&json::lease(&update.status), || json::lease_line(&update.status))?;
                if before.is_some() && update.expires.is_none() {
                    ended.push((update.binding.clone(), before.map_or(0, |before| before.status.epoch)));
                }
            }
            known.push(update);
        }
        if watch.hold && !ended.is_empty() {
            // We hold no keys at all, so there is nothing left of them.
            stream.acknowledge(&ended, WatchAction::Wiped).await?;
        }
    }
}
