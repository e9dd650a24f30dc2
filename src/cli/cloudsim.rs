//! `leasehold cloudsim`: runs simulated clouds, and does what a tenant's administrator would do there.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use leasehold_cloudsim::Config as SimulatorConfig;
use leasehold_cloudsim::tenants::{Cloud, Lever};
use reqwest::Method;
use serde_json::{Value, json};

use super::sandbox::{Clouds, NewTenant};
use super::{Failure, Output, json};
use crate::shutdown;

/// Where the control interface is unless told otherwise.
pub(super) const DEFAULT_CONTROL: &str = "127.0.0.1:7430";

/// Where the clouds' machines are that the service runs on.
const REGION: &str = "eu-central-1";

/// What can be done with the simulated clouds. They are NO SECURITY: for development and tests.
#[derive(Debug, Subcommand)]
pub enum CloudsimCommand {
    /// Run simulated clouds with a few tenants until interrupted.
    #[command(after_help = "Example:\n  leasehold cloudsim run acme=aws globex=azure")]
    Run(Run),
    /// Be a tenant's administrator: put Leasehold out.
    #[command(after_help = "Example:\n  leasehold cloudsim revoke acme --lever key-use")]
    Revoke {
        /// Which tenant.
        tenant: String,
        /// How: trust = Leasehold may not become the principal any more; key-use = the principal may not use the key;
        /// disable-key = nobody may; delete-key = the key is scheduled for deletion.
        #[arg(long, default_value = "trust", value_parser = PossibleValuesParser::new(Lever::ALL.map(Lever::as_str)))]
        lever: String,
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Be a tenant's administrator: let Leasehold in again, by undoing every revocation.
    #[command(after_help = "Example:\n  leasehold cloudsim restore acme")]
    Restore {
        /// Which tenant.
        tenant: String,
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Be a tenant's administrator: give the key a new version.
    #[command(after_help = "Example:\n  leasehold cloudsim rotate-key acme")]
    RotateKey {
        /// Which tenant.
        tenant: String,
        #[command(flatten)]
        control: ControlArgs,
    },
    /// List the tenants, with the cloud, key and principal of each.
    #[command(after_help = "Example:\n  leasehold cloudsim tenants --json")]
    Tenants {
        #[command(flatten)]
        control: ControlArgs,
    },
    /// Print the calls that the simulated clouds received, as the tenants' own audit logs have them.
    #[command(after_help = "Example:\n  leasehold cloudsim calls --json")]
    Calls {
        #[command(flatten)]
        control: ControlArgs,
    },
}

/// How to run the simulated clouds.
#[derive(Debug, Args)]
pub struct Run {
    /// Tenants that bring a key and a principal each, and the cloud that each is on; AWS unless it is said.
    #[arg(default_values_t = ["acme".to_owned(), "globex=azure".to_owned(), "initech=gcp".to_owned()], value_name = "TENANT[=CLOUD]")]
    tenants: Vec<String>,
    /// Where the control interface listens.
    #[arg(long, default_value = DEFAULT_CONTROL, value_name = "ADDRESS")]
    control: SocketAddr,
    /// Where AWS's STS and KMS listen.
    #[arg(long, default_value = "127.0.0.1:7431", value_name = "ADDRESS")]
    aws: SocketAddr,
}

/// Where the simulated clouds' control interface is.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// Address of the control interface.
    #[arg(long, env = "LEASEHOLD_CLOUDSIM", default_value = DEFAULT_CONTROL, value_name = "ADDRESS")]
    control: SocketAddr,
}

pub(super) async fn run(command: CloudsimCommand, output: Output) -> Result<(), Failure> {
    match command {
        CloudsimCommand::Run(run) => serve(run, output).await,
        CloudsimCommand::Revoke { tenant, lever, control } => {
            control.call(Method::PUT, &format!("tenants/{tenant}/levers/{lever}"), None).await?;
            output.answer(&json!({ "tenant": tenant, "pulled": lever }), || {
                format!("{tenant} pulled {lever}; `leasehold cloudsim restore {tenant}` undoes it")
            })
        }
        CloudsimCommand::Restore { tenant, control } => {
            let answer = control.call(Method::DELETE, &format!("tenants/{tenant}/levers"), None).await?;
            output.answer(&answer, || match answer["restored"].as_u64() {
                Some(0) | None => format!("{tenant} had revoked nothing"),
                Some(_) => format!("{tenant} lets Leasehold in again"),
            })
        }
        CloudsimCommand::RotateKey { tenant, control } => {
            control.call(Method::POST, &format!("tenants/{tenant}/rotate-key"), None).await?;
            output.answer(&json!({ "tenant": tenant }), || format!("the key of {tenant} has a new version"))
        }
        CloudsimCommand::Tenants { control } => {
            let tenants = control.call(Method::GET, "tenants", None).await?;
            output.answer(&tenants, || json::text(&tenants))
        }
        CloudsimCommand::Calls { control } => control.calls(output).await,
    }
}

/// Simulated clouds whose control interface listens here, and everything else anywhere.
pub(super) fn config(control: SocketAddr) -> Result<SimulatorConfig, Failure> {
    Ok(SimulatorConfig { control, ..SimulatorConfig::ephemeral(REGION.parse()?) })
}

async fn serve(run: Run, output: Output) -> Result<(), Failure> {
    let tenants: Vec<NewTenant> = run.tenants.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    let config = SimulatorConfig { aws: run.aws, ..config(run.control)? };
    let directory = tempfile::tempdir()?;
    let clouds = Clouds::start(config, &tenants, directory.path()).await?;
    let value = json!({ "endpoints": clouds.simulator.endpoints(), "made": clouds.made });
    output.answer(&value, || json::text(&value))?;
    shutdown::told_to_end()?.await;
    clouds.simulator.shutdown().await;
    Ok(())
}

impl FromStr for NewTenant {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let (name, cloud) = text.split_once('=').unwrap_or((text, Cloud::Aws.as_str()));
        Ok(Self { name: name.to_owned(), cloud: cloud.parse()? })
    }
}

// === impl ControlArgs ===

impl ControlArgs {
    async fn calls(&self, output: Output) -> Result<(), Failure> {
        let calls = self.call(Method::GET, "calls", None).await?;
        for call in calls.as_array().into_iter().flatten() {
            let text = |field: &str| call[field].as_str().unwrap_or("-").to_owned();
            output.answer(call, || {
                format!(
                    "{} {:<8} {:<4} {}",
                    text("time"),
                    text("decision"),
                    text("service"),
                    text("operation")
                )
            })?;
        }
        Ok(())
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let url = format!("http://{}/control/v1/{path}", self.control);
        // Nothing on loopback goes through a proxy, whatever the environment says.
        let mut request = reqwest::Client::builder().no_proxy().build()?.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        match status.is_success() {
            true => Ok(value),
            false => Err(Failure::new(value["error"].as_str().unwrap_or(&text).to_owned())),
        }
    }
}
