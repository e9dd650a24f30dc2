//! The `leasehold` command. A server's whole life is [`serve`]; everything else is a command that ends by itself.

use std::pin::pin;
use std::process::ExitCode;

use clap::Parser;
use leasehold::app::App;
use leasehold::cli::{Cli, Command, Failure, Output, ServeArgs};
use leasehold::{config, shutdown, telemetry};

/// Wipes every block that is freed: transport and SDK buffers held keys for a moment.
#[global_allocator]
static ALLOCATOR: leasehold_secret::ZeroizingAllocator = leasehold_secret::ZEROIZING_ALLOCATOR;

fn main() -> ExitCode {
    let hardening = leasehold_secret::process::harden();
    leasehold::install_crypto_provider();
    let Cli { json, command } = Cli::parse();
    let output = Output::new(json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.fail(&Failure::from_error(&error)),
    };
    let ended = runtime.block_on(async {
        match command {
            Command::Serve(args) => serve(&args, &hardening.to_string()).await,
            command => leasehold::cli::run(command, output).await,
        }
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.fail(&failure),
    }
}

/// Config → build → run → drain.
async fn serve(args: &ServeArgs, hardening: &str) -> Result<(), Failure> {
    shutdown::survive_hangups()?;
    let config = config::load(args.config.as_deref(), std::env::vars_os())?;
    telemetry::start(&config.log)?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), deployment = %config.deployment, hardening, "starting");
    shutdown::survive_file_size_limits()?;
    let mut told_to_end = pin!(shutdown::told_to_end()?);
    let app = tokio::select! {
        app = App::build(config) => app?,
        () = &mut told_to_end => return Ok(()),
    };
    let running = app.run();
    told_to_end.await;
    running.drain().await;
    Ok(())
}
