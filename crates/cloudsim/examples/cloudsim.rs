//! Runs the simulator with its control API on the given port, until it is ended.

use std::net::{Ipv4Addr, SocketAddr};

use leasehold_cloudsim::{Config, Simulator};

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).expect("the argument is a port");
    let region = "eu-central-1".parse().expect("the region is well-formed");
    let mut config = Config::ephemeral(region);
    config.control = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let _simulator = Simulator::start(config).await.expect("the addresses are free");
    std::future::pending::<()>().await;
}
