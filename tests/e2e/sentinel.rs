//! The operator's sentinel tells a tenant's denial from a failure of our own identity.

use std::sync::Arc;

use leasehold::config::Sentinel;
use leasehold_api::v1::{ErrorReason, LeaseState, WatchMode};
use leasehold_tenant::ExternalId;
use tonic::Code;

use crate::cloud::{Aws, Estate, Lever};
use crate::world::{BOUND, World, refused};

/// The operator's own account and role, in the simulated cloud the second tenant's.
const SENTINEL: &str = "operator";

async fn world() -> (World, Arc<Aws>) {
    let sentinel = Sentinel {
        provider: "aws".parse().unwrap(),
        key: "arn:aws:kms:eu-central-1:200000000002:key/never-used".parse().unwrap(),
        settings: serde_json::from_str(
            r#"{ "role_arn": "arn:aws:iam::200000000002:role/leasehold-access" }"#,
        )
        .unwrap(),
    };
    let (world, aws) = World::on_aws(&["acme", SENTINEL], |config| config.sentinels.push(sentinel)).await;
    let name = "tenants/leasehold-sentinel/bindings/aws".parse().unwrap();
    let external_id = ExternalId::derive(&"e2e".parse().unwrap(), &name);
    aws.let_in(SENTINEL, external_id.as_str());
    world.onboard("acme").await;
    (world, aws)
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_denial_that_our_own_identity_causes_is_an_outage_and_p1_still_holds() {
    let (world, aws) = world().await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    aws.pull(Lever::Trust, "acme");
    aws.pull(Lever::Trust, SENTINEL);
    let after = world.reprove("acme").await.unwrap().leases.remove(0);
    assert_eq!((after.state(), after.masked), (LeaseState::Live, true), "and the operator is told why");
    let served = world.unwrap("acme", &wrapped, "main").await.unwrap();
    assert!(served.value.matches(&key), "the lease lives on");
    world.clock.jump(BOUND);
    refused(world.unwrap("acme", &wrapped, "main").await, Code::Unavailable, ErrorReason::OwnIdentity);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_denial_that_the_sentinel_does_not_share_wipes_at_once() {
    let (world, aws) = world().await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    watcher.until(LeaseState::Live).await;
    aws.pull(Lever::Trust, "acme");
    let _ = world.reprove("acme").await;
    watcher.until(LeaseState::Denied).await;
    refused(
        world.unwrap("acme", &wrapped, "main").await,
        Code::FailedPrecondition,
        ErrorReason::BindingDenied,
    );
}
