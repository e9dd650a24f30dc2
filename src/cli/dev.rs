//! `leasehold dev`: the service, simulated clouds, and tenants that were onboarded through the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use leasehold_cloudsim::tenants::{Cloud, Tenant};
use serde_json::json;

use super::cloudsim::DEFAULT_CONTROL;
use super::sandbox::{self, Sandbox, Setup};
use super::{Failure, Output};
use crate::shutdown;

/// Where to listen, and under which terms.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where the service listens.
    #[arg(long, default_value = "127.0.0.1:7420", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A Unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Only tenants on this cloud. Default: one on every cloud that there is.
    #[arg(long, value_parser = super::sandbox::cloud_parser())]
    cloud: Option<Cloud>,
    /// Where the simulated clouds' control interface listens.
    #[arg(long, default_value = DEFAULT_CONTROL, value_name = "ADDRESS")]
    control: SocketAddr,
    /// The tenants' revocation bound: short, so that one can watch.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "TIME")]
    revocation_bound: Duration,
    /// Which log lines to print, as in info,leasehold_lease=debug.
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    log: String,
}

pub(super) async fn run(args: DevArgs, output: Output) -> Result<(), Failure> {
    let progress = progress(output);
    progress.set_message("starting simulated clouds and the service");
    let tenants = sandbox::tenants(args.cloud);
    let setup = Setup {
        listen: args.listen,
        unix: args.unix,
        control: args.control,
        tenants: &tenants,
        log: &args.log,
    };
    let sandbox = Sandbox::start(&setup).await?;
    for tenant in sandbox.tenants().list() {
        progress.set_message(format!("onboarding {}", tenant.name));
        sandbox.onboard(&tenant, args.revocation_bound).await?;
    }
    progress.finish_and_clear();
    welcome(&sandbox, output)?;
    shutdown::told_to_end()?.await;
    sandbox.end().await;
    Ok(())
}

/// Something moving while what takes over a second is under way; nothing where nobody looks.
fn progress(output: Output) -> ProgressBar {
    let bar = if output.is_json() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn welcome(sandbox: &Sandbox, output: Output) -> Result<(), Failure> {
    let value = json!({
        "endpoints": sandbox.running.endpoints(),
        "cloudsim": sandbox.simulator.endpoints().control,
        "audit": sandbox.audit,
        "tenants": sandbox.tenants().list(),
    });
    output.answer(&value, || text(sandbox))
}

/// What to paste.
fn text(sandbox: &Sandbox) -> String {
    let Sandbox { running, simulator, audit, .. } = sandbox;
    let endpoint = running.endpoints().first().map_or("", String::as_str);
    let address = running.addresses().first().map(ToString::to_string).unwrap_or_default();
    let control =
        simulator.endpoints().control.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let audit = audit.display();
    let tenants = sandbox.tenants().list();
    let named = |tenant: &Tenant| format!("{} on {}", tenant.name, tenant.cloud);
    let names = tenants.iter().map(named).collect::<Vec<_>>().join(", ");
    let first = tenants.first().map_or("acme", |tenant| tenant.name.as_str());
    let bin = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.display().to_string()));
    let bin = bin.unwrap_or_default();
    format!(
        r#"Leasehold is ready at {endpoint}, with simulated clouds and these tenants: {names}. Ctrl-C ends it.
Decisions are recorded in {audit}.

In another terminal, first say where everything is:
  export PATH="{bin}:$PATH" LEASEHOLD_ADDR={endpoint} LEASEHOLD_CLOUDSIM={control}

Wrap a new key, and unwrap it again:
  wrapped=$(leasehold key generate {first} --context branch=main)
  leasehold key unwrap {first} "$wrapped" --context branch=main --reveal

The same with grpcurl:
  grpcurl -plaintext -d '{{"tenant":"tenants/{first}","wrapped_key":"'"$wrapped"'","encryption_context":{{"branch":"main"}}}}' \
    {address} leasehold.v1.KeyService/UnwrapKey

Be {first}'s administrator: take away the trust in Leasehold, and watch the refusal come within the bound:
  leasehold cloudsim revoke {first}
  leasehold leases watch {first} --hold

Ask why it does not work, and what would mend it:
  leasehold binding verify {first}/main

Let it in again, and watch service resume by itself:
  leasehold cloudsim restore {first}
  leasehold leases watch {first} --hold"#
    )
}
