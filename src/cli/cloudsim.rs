//! `leasehold cloudsim`: runs a simulated cloud, and edits its policies as a tenant's administrator would.

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use leasehold_cloudsim::aws::scenario::{Scenario, ScenarioSpec};
use leasehold_cloudsim::{Config, Simulator};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Failure, Output, json};
use crate::shutdown;

/// Where the control interface is unless told otherwise.
pub(super) const DEFAULT_CONTROL: &str = "127.0.0.1:7430";

/// What can be done with the simulated cloud. It is NO SECURITY: for development and tests.
#[derive(Debug, Subcommand)]
pub enum CloudsimCommand {
    /// Run a simulated cloud with a few tenants until interrupted.
    #[command(after_help = "Example:\n  leasehold cloudsim run acme globex")]
    Run(Run),
    /// Edit a role's trust policy: whether Leasehold may become the role.
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Edit a key's policy: whether a role may use the key.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Print the calls that the simulated cloud received, as the tenant's own audit log has them.
    #[command(after_help = "Example:\n  leasehold cloudsim calls --json")]
    Calls {
        #[command(flatten)]
        control: ControlArgs,
    },
}

/// How to run the simulated cloud.
#[derive(Debug, Args)]
pub struct Run {
    /// Tenants that bring a key and a role each.
    #[arg(default_values_t = ["acme".to_owned(), "globex".to_owned()])]
    tenants: Vec<String>,
    /// Where the control interface listens.
    #[arg(long, default_value = DEFAULT_CONTROL, value_name = "ADDRESS")]
    control: SocketAddr,
    /// Where STS and KMS listen.
    #[arg(long, default_value = "127.0.0.1:7431", value_name = "ADDRESS")]
    aws: SocketAddr,
}

/// Edits of a trust policy.
#[derive(Debug, Subcommand)]
pub enum TrustCommand {
    /// Deny everybody the role.
    #[command(
        after_help = "Example:\n  leasehold cloudsim trust deny --role arn:aws:iam::200000000001:role/leasehold-access"
    )]
    Deny(RoleArgs),
    /// Take the denials back.
    #[command(
        after_help = "Example:\n  leasehold cloudsim trust restore --role arn:aws:iam::200000000001:role/leasehold-access"
    )]
    Restore(RoleArgs),
}

/// Edits of a key.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Deny everybody the use of the key.
    #[command(
        after_help = "Example:\n  leasehold cloudsim key deny --key arn:aws:kms:eu-central-1:200000000001:key/1234abcd"
    )]
    Deny(KeyArgs),
    /// Take the denials back.
    #[command(
        after_help = "Example:\n  leasehold cloudsim key restore --key arn:aws:kms:eu-central-1:200000000001:key/1234abcd"
    )]
    Restore(KeyArgs),
}

/// Which role.
#[derive(Debug, Args)]
pub struct RoleArgs {
    /// ARN of the role.
    #[arg(long, value_name = "ARN")]
    role: String,
    #[command(flatten)]
    control: ControlArgs,
}

/// Which key.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// ARN of the key.
    #[arg(long, value_name = "ARN")]
    key: String,
    /// Deny only under this entry of the encryption context; repeat for more.
    #[arg(long, value_name = "NAME=VALUE")]
    context: Vec<super::args::Pair>,
    #[command(flatten)]
    control: ControlArgs,
}

/// Where the simulated cloud's control interface is.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// Address of the control interface.
    #[arg(long, env = "LEASEHOLD_CLOUDSIM", default_value = DEFAULT_CONTROL, value_name = "ADDRESS")]
    control: SocketAddr,
}

pub(super) async fn run(command: CloudsimCommand, output: Output) -> Result<(), Failure> {
    match command {
        CloudsimCommand::Run(run) => serve(run, output).await,
        CloudsimCommand::Trust(TrustCommand::Deny(RoleArgs { role, control })) => {
            let edit = json!({ "kind": "trust_deny_principal", "role": role, "principal": "*" });
            control.edit(&edit, output).await
        }
        CloudsimCommand::Trust(TrustCommand::Restore(RoleArgs { role, control })) => {
            control.undo("role", &role, output).await
        }
        CloudsimCommand::Key(KeyCommand::Deny(KeyArgs { key, context, control })) => {
            let context: serde_json::Map<_, _> =
                context.into_iter().map(|pair| (pair.0, pair.1.into())).collect();
            let edit =
                json!({ "kind": "key_deny", "key": key, "principal": "*", "encryption_context": context });
            control.edit(&edit, output).await
        }
        CloudsimCommand::Key(KeyCommand::Restore(KeyArgs { key, control, .. })) => {
            control.undo("key", &key, output).await
        }
        CloudsimCommand::Calls { control } => control.calls(output).await,
    }
}

/// A simulated cloud in which these tenants bring a key and a role each.
pub(super) async fn start(
    tenants: &[String],
    control: SocketAddr,
    aws: Option<SocketAddr>,
) -> Result<(Simulator, Scenario), Failure> {
    let names: Vec<&str> = tenants.iter().map(String::as_str).collect();
    let spec = ScenarioSpec::with_tenants(&names)?;
    let mut config = Config { control, ..Config::ephemeral(spec.region.clone()) };
    config.aws = aws.unwrap_or(config.aws);
    let simulator = Simulator::start(config).await?;
    let scenario = simulator.control().aws().build(&spec)?;
    Ok((simulator, scenario))
}

async fn serve(run: Run, output: Output) -> Result<(), Failure> {
    let (simulator, scenario) = start(&run.tenants, run.control, Some(run.aws)).await?;
    let value = json!({ "endpoints": simulator.endpoints(), "scenario": scenario });
    output.answer(&value, || json::text(&value))?;
    shutdown::told_to_end().await?;
    simulator.shutdown().await;
    Ok(())
}

// === impl ControlArgs ===

impl ControlArgs {
    async fn edit(&self, edit: &Value, output: Output) -> Result<(), Failure> {
        let answer = self.call(Method::POST, "aws/edits", Some(edit)).await?;
        output.answer(&answer, || format!("edited ({})", edit["kind"].as_str().unwrap_or_default()))
    }

    /// Undoes every edit whose `field` is `arn`.
    async fn undo(&self, field: &str, arn: &str, output: Output) -> Result<(), Failure> {
        let edits = self.call(Method::GET, "aws/edits", None).await?;
        let mut undone = 0;
        for edit in edits.as_array().into_iter().flatten().filter(|edit| edit[field] == arn) {
            self.call(Method::DELETE, &format!("aws/edits/{}", edit["id"]), None).await?;
            undone += 1;
        }
        output.answer(&json!({ "undone": undone }), || format!("{undone} edits undone"))
    }

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
