//! The suite that every provider runs, with each base identity, and through a chain of three.

use leasehold_provider_conformance::run;
use leasehold_provider_gcp::GcpConfig;

use crate::levers::Levers;
use crate::world::World;

async fn conforms(config: impl FnOnce(&World) -> GcpConfig, delegates: &[&str]) {
    let world = World::start().await;
    let provider = world.provider_of(config(&world)).await;
    let levers = Levers::new(world, &provider, delegates).await;
    let report = run(&provider, &levers).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.passed().len() > 30, "{report}");
}

#[tokio::test]
async fn gcp_conforms() {
    conforms(World::config, &[]).await;
}

#[tokio::test]
async fn gcp_conforms_with_workload_identity_federation() {
    conforms(World::federated, &[]).await;
}

#[tokio::test]
async fn gcp_conforms_through_a_chain_of_three() {
    conforms(World::config, &["hop-one-project", "hop-two-project"]).await;
}
