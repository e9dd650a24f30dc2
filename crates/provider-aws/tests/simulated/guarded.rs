//! The provider behind the deadlines that it is always behind, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{SystemClock, TimeSource};
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallMatch;
use leasehold_provider::{Fault, Guarded, KeyProvider, Limits};

use crate::tenant::Tenant;
use crate::world::World;

fn guarded(world_provider: leasehold_provider_aws::AwsProvider) -> Guarded {
    let clock: Arc<dyn TimeSource> = Arc::new(SystemClock::start());
    let limits = Limits {
        attempt: Duration::from_millis(300),
        total: Duration::from_millis(700),
        pause: Duration::from_millis(1),
        ..Limits::default()
    };
    Guarded::new(Arc::new(world_provider), clock, limits)
}

fn fault(world: &World, effect: FaultEffect, account: &str, count: Option<u32>) {
    let matching = CallMatch { account: Some(account.to_owned()), ..CallMatch::default() };
    world.control().inject(FaultSpec { matching, effect, count });
}

#[tokio::test]
async fn p9_a_cloud_that_never_answers_one_tenant_is_a_deadline_for_that_tenant_alone() {
    let world = World::start().await;
    let provider = world.provider().await;
    let slow = Tenant::onboard(&world, &provider, "slow", "200000000001").await;
    let quick = Tenant::onboard(&world, &provider, "quick", "200000000002").await;
    fault(&world, FaultEffect::Drop, "200000000001", None);
    let guarded = guarded(provider);
    let (stuck, served) = tokio::join!(guarded.assume(&slow.binding), guarded.assume(&quick.binding));
    let error = stuck.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("DEADLINE")));
    assert!(served.is_ok());
}

#[tokio::test]
async fn one_throttled_call_is_repeated_and_a_denied_one_is_not() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let guarded = guarded(provider);
    fault(&world, FaultEffect::Throttle, "200000000001", Some(1));
    assert!(guarded.assume(&tenant.binding).await.is_ok());
    assert_eq!(world.calls("AssumeRole").len(), 2);

    let stranger = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole" }],
    });
    world.aws().set_trust_policy(tenant.role(), stranger).unwrap();
    assert!(guarded.assume(&tenant.binding).await.unwrap_err().is_denial());
    assert_eq!(world.calls("AssumeRole").len(), 3);
}
