//! `leasehold dev`: the service, a simulated cloud, and two tenants that were onboarded through the API.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::cloudsim::DEFAULT_CONTROL;
use super::sandbox::{Sandbox, Setup};
use super::{Failure, Output};
use crate::shutdown;

/// The tenants that are ready.
const TENANTS: [&str; 2] = ["acme", "globex"];

/// Where to listen, and under which terms.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where the service listens.
    #[arg(long, default_value = "127.0.0.1:7420", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A Unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Where the simulated cloud's control interface listens.
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
    progress.set_message("starting a simulated cloud and the service");
    let setup = Setup {
        listen: args.listen,
        unix: args.unix,
        control: args.control,
        tenants: &TENANTS,
        log: &args.log,
    };
    let sandbox = Sandbox::start(&setup).await?;
    for tenant in &sandbox.scenario.tenants {
        progress.set_message(format!("onboarding {}", tenant.name));
        sandbox.onboard(tenant, args.revocation_bound).await?;
    }
    progress.finish_and_clear();
    welcome(&sandbox, output)?;
    shutdown::told_to_end().await?;
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
        "tenants": sandbox.scenario.tenants,
    });
    output.answer(&value, || text(sandbox))
}

/// What to paste.
fn text(sandbox: &Sandbox) -> String {
    let Sandbox { running, simulator, scenario, audit, .. } = sandbox;
    let endpoint = running.endpoints().first().map_or("", String::as_str);
    let address = running.addresses().first().map(ToString::to_string).unwrap_or_default();
    let control =
        simulator.endpoints().control.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let audit = audit.display();
    let role = scenario.tenants.first().map(|tenant| tenant.role.to_string()).unwrap_or_default();
    let bin = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.display().to_string()));
    let bin = bin.unwrap_or_default();
    format!(
        r#"Leasehold is ready at {endpoint}, with a simulated cloud and the tenants acme and globex. Ctrl-C ends it.
Decisions are recorded in {audit}.

In another terminal, first say where everything is:
  export PATH="{bin}:$PATH" LEASEHOLD_ADDR={endpoint} LEASEHOLD_CLOUDSIM={control}

Wrap a new key, and unwrap it again:
  wrapped=$(leasehold key generate acme --context branch=main)
  leasehold key unwrap acme "$wrapped" --context branch=main --reveal

The same with grpcurl:
  grpcurl -plaintext -d '{{"tenant":"tenants/acme","wrapped_key":"'"$wrapped"'","encryption_context":{{"branch":"main"}}}}' \
    {address} leasehold.v1.KeyService/UnwrapKey

Be acme's administrator: take Leasehold out of the role's trust policy, and watch the refusal come within the bound:
  leasehold cloudsim trust deny --role {role}
  leasehold leases watch acme --hold

Let it in again, and watch service resume by itself:
  leasehold cloudsim trust restore --role {role}
  leasehold leases watch acme --hold"#
    )
}
