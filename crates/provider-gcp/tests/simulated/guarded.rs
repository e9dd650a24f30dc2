//! The provider behind the deadlines that it is always behind, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{SystemClock, TimeSource};
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallMatch;
use leasehold_provider::{Fault, Guarded, KeyProvider, Limits};

use crate::tenant::Tenant;
use crate::world::World;

fn guarded(provider: leasehold_provider_gcp::GcpProvider) -> Guarded {
    let clock: Arc<dyn TimeSource> = Arc::new(SystemClock::start());
    let limits = Limits {
        attempt: Duration::from_millis(300),
        total: Duration::from_millis(700),
        pause: Duration::from_millis(1),
        ..Limits::default()
    };
    Guarded::new(Arc::new(provider), clock, limits)
}

fn fault(world: &World, effect: FaultEffect, project: &str, count: Option<u32>) {
    let matching = CallMatch { account: Some(project.to_owned()), ..CallMatch::default() };
    world.control().inject(FaultSpec { matching, effect, count });
}

#[tokio::test]
async fn p9_a_cloud_that_never_answers_one_tenant_is_a_deadline_for_that_tenant_alone() {
    let world = World::start().await;
    let provider = world.provider().await;
    let slow = Tenant::onboard(&world, &provider, "slow", "slow-project").await;
    let quick = Tenant::onboard(&world, &provider, "quick", "quick-project").await;
    fault(&world, FaultEffect::Drop, "slow-project", None);
    let guarded = guarded(provider);
    let (stuck, served) = tokio::join!(guarded.assume(&slow.binding), guarded.assume(&quick.binding));
    let error = stuck.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Unavailable, Some("DEADLINE")));
    assert!(served.is_ok());
}

#[tokio::test]
async fn a_denied_call_is_not_repeated() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::bare(&world, "acme", "tenant-project", &[]);
    let guarded = guarded(provider);
    assert!(guarded.assume(&tenant.binding).await.unwrap_err().is_denial());
    assert_eq!(world.calls("GenerateAccessToken").len(), 1);
}
