//! The command line: what there is, and the way from there to what is done. One file per verb.

mod args;
mod audit;
mod authz;
mod binding;
mod cloud;
mod config;
mod failure;
mod json;
mod key;
mod kit;
mod leases;
mod output;
mod prose;
mod registry;
mod tenant;
mod verify;

#[cfg(feature = "simulator")]
mod cloudsim;
#[cfg(feature = "simulator")]
mod demo;
#[cfg(feature = "simulator")]
mod dev;
#[cfg(feature = "simulator")]
mod sandbox;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use failure::Failure;
pub use output::Output;

/// How scripts can tell what happened.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  denied: the tenant's cloud said no, or the caller is not allowed
  4  unavailable: an outage, a limit or a deadline; the same command may succeed later
  5  the binding does not work: `binding verify` tried it, and its report says why
  6  the audit chain is broken: `audit verify` read it, and says where";

/// Wraps and unwraps tenants' data keys with the tenants' own KMS keys, under leases that the tenants can end.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, propagate_version = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// Print JSON, one value per line, instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything that the command can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service until SIGTERM or SIGINT, then drain.
    #[command(after_help = "Example:\n  leasehold serve --config /etc/leasehold/leasehold.toml")]
    Serve(ServeArgs),
    /// Run the service against a simulated cloud, with two tenants ready. No cloud account needed; NO SECURITY.
    #[cfg(feature = "simulator")]
    #[command(after_help = "Example:\n  leasehold dev")]
    Dev(dev::DevArgs),
    /// Tell the story of a tenant who onboards, revokes and comes back, and measure it. Exits with 1 on any surprise.
    #[cfg(feature = "simulator")]
    #[command(after_help = "Example:\n  leasehold demo --cloud aws --json")]
    Demo(demo::DemoArgs),
    /// Run a simulated cloud, or edit its policies as a tenant's administrator would.
    #[cfg(feature = "simulator")]
    #[command(subcommand)]
    Cloudsim(cloudsim::CloudsimCommand),
    /// Create, read and change tenants.
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Create, activate and retire what tenants hand over.
    #[command(subcommand)]
    Binding(binding::BindingCommand),
    /// Make, wrap, unwrap and inspect data keys.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Watch leases.
    #[command(subcommand)]
    Leases(leases::LeasesCommand),
    /// Write all tenants to a file, or put them back.
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Ask what the rules of a configuration say.
    #[command(subcommand)]
    Authz(authz::AuthzCommand),
    /// Verify and read the audit journal.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Say whether a server could start with a configuration, and what follows from it.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  leasehold completions bash > /etc/bash_completion.d/leasehold")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// How to run the service.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// A TOML file. Without one, settings come from the environment alone: LEASEHOLD__DEPLOYMENT=prod and so on.
    #[arg(long, env = "LEASEHOLD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Does what a command other than `serve` says.
///
/// # Errors
/// [`Failure`], which knows its exit code.
pub async fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Serve(_) => Err(Failure::usage("the service is run by main")),
        #[cfg(feature = "simulator")]
        Command::Dev(args) => dev::run(args, output).await,
        #[cfg(feature = "simulator")]
        Command::Demo(args) => demo::run(args, output).await,
        #[cfg(feature = "simulator")]
        Command::Cloudsim(command) => cloudsim::run(command, output).await,
        Command::Tenant(command) => tenant::run(command, output).await,
        Command::Binding(command) => binding::run(command, output).await,
        Command::Key(command) => key::run(command, output).await,
        Command::Leases(command) => leases::run(command, output).await,
        Command::Registry(command) => registry::run(command, output).await,
        Command::Authz(command) => authz::run(command, output),
        Command::Config(command) => config::run(command, output).await,
        Command::Audit(command) => audit::run(command, output).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "leasehold", &mut script);
            output.line(String::from_utf8_lossy(&script).trim_end())
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
