//! `leasehold demo`: the story of a tenant who onboards, revokes and comes back, on every cloud, told over real sockets and measured.

mod report;
mod story;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use futures::future::join_all;
use leasehold_cloudsim::tenants::Cloud;

use self::report::{Report, Telling};
use self::story::Story;
use super::sandbox::{self, NewTenant, Sandbox, Setup};
use super::{Failure, Output};

/// The tenants' revocation bound in the story: the shortest there is, so that the story is short too.
const BOUND: Duration = Duration::from_secs(15);

/// Which story to tell.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Only on this cloud. Default: on every one that there is, at the same time.
    #[arg(long, value_parser = super::sandbox::cloud_parser())]
    cloud: Option<Cloud>,
    /// Which log lines to print, as in info,leasehold_lease=debug.
    #[arg(long, default_value = "off", value_name = "FILTER")]
    log: String,
}

pub(super) async fn run(args: DemoArgs, output: Output) -> Result<(), Failure> {
    let tenants = sandbox::tenants(args.cloud);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let setup = Setup { listen: any, unix: None, control: any, tenants: &tenants, log: &args.log };
    if !output.is_json() {
        output.line(
            "Leasehold and simulated clouds: real sockets, the clouds' own SDKs, a revocation bound of 15 s.",
        )?;
    }
    let sandbox = Sandbox::start(&setup).await?;
    // The first is told as it happens, and the others, which happen meanwhile, after it.
    let stories = tenants.iter().enumerate().map(|(index, tenant)| {
        let telling = if index == 0 { Telling::AsItHappens } else { Telling::Afterwards };
        tell(&sandbox, tenant, Report::new(output, tenant.cloud, telling))
    });
    let told = join_all(stories).await;
    sandbox.end().await;
    let mut surprises = 0;
    for report in told {
        surprises += report?.end()?;
    }
    match surprises {
        0 => Ok(()),
        1 => Err(Failure::new("1 step did not go as expected")),
        n => Err(Failure::new(format!("{n} steps did not go as expected"))),
    }
}

/// Tells the story of one tenant.
async fn tell(sandbox: &Sandbox, tenant: &NewTenant, mut report: Report) -> Result<Report, Failure> {
    let told = async { Story::begin(sandbox, &tenant.name, &mut report).await?.tell(&mut report).await };
    match told.await {
        Ok(()) => Ok(report),
        Err(failure) => {
            // What was seen so far helps to understand how it failed.
            report.end()?;
            Err(failure)
        }
    }
}
