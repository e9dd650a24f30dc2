//! `leasehold demo`: the story of one tenant who onboards, revokes and comes back, told over real sockets and measured.

mod report;
mod story;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::report::Report;
use self::story::Story;
use super::sandbox::{Sandbox, Setup};
use super::{Failure, Output};

/// The tenant's revocation bound in the story: the shortest there is, so that the story is short too.
const BOUND: Duration = Duration::from_secs(15);

/// A cloud that the story can be told on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Cloud {
    /// Amazon Web Services.
    Aws,
}

/// Which story to tell.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Only on this cloud. Default: on every one that there is.
    #[arg(long, value_enum)]
    cloud: Option<Cloud>,
    /// Which log lines to print, as in info,leasehold_lease=debug.
    #[arg(long, default_value = "off", value_name = "FILTER")]
    log: String,
}

pub(super) async fn run(args: DemoArgs, output: Output) -> Result<(), Failure> {
    let mut surprises = 0;
    let clouds = args.cloud.map_or_else(|| Cloud::value_variants().to_vec(), |cloud| vec![cloud]);
    for cloud in clouds {
        surprises += tell(cloud, &args, output).await?;
    }
    match surprises {
        0 => Ok(()),
        1 => Err(Failure::new("1 step did not go as expected")),
        n => Err(Failure::new(format!("{n} steps did not go as expected"))),
    }
}

/// Tells the story on one cloud; how many steps did not go as expected.
async fn tell(cloud: Cloud, args: &DemoArgs, output: Output) -> Result<usize, Failure> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let setup = Setup { listen: any, unix: None, control: any, tenants: &["acme"], log: &args.log };
    let Cloud::Aws = cloud;
    let sandbox = Sandbox::start(&setup).await?;
    let mut report = Report::new(output, "aws");
    report
        .act("Leasehold on a simulated AWS: real sockets, the real AWS SDK, a revocation bound of 15 s.")?;
    let told = Story::begin(&sandbox, &mut report).await?.tell(&mut report).await;
    sandbox.end().await;
    told?;
    report.end()
}
