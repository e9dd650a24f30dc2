//! Serves a world of two tenants until its standard input ends, and prints where it listens as one line of JSON.
//!
//! ```sh
//! cargo run -p leasehold-cloudsim --example serve
//! ```

use std::error::Error;
use std::io::Write;

use leasehold_cloudsim::aws::scenario::ScenarioSpec;
use leasehold_cloudsim::{Config, Simulator, azure, gcp};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let simulator = Simulator::start(Config::ephemeral("eu-central-1".parse()?)).await?;
    let tenants = ["acme", "globex"];
    let scenario = simulator.control().aws().build(&ScenarioSpec::with_tenants(&tenants)?)?;
    let azure = simulator.control().azure().build(&azure::scenario::ScenarioSpec::with_tenants(&tenants)?)?;
    let gcp = simulator.control().gcp().build(&gcp::scenario::ScenarioSpec::with_tenants(&tenants)?)?;
    let endpoints = simulator.endpoints();
    let line = serde_json::json!({"endpoints": endpoints, "scenario": scenario, "azure": azure, "gcp": gcp});
    writeln!(std::io::stdout(), "{line}")?;
    let mut nothing = Vec::new();
    tokio::io::stdin().read_to_end(&mut nothing).await?;
    simulator.shutdown().await;
    Ok(())
}
