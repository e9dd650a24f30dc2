//! The provider behind the deadlines that it is always behind, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{SystemClock, TimeSource};
use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallMatch;
use leasehold_provider::{Fault, Guarded, KeyProvider, Limits};

use crate::tenant::Tenant;
use crate::world::World;

fn guarded(provider: leasehold_provider_azure::AzureProvider) -> Guarded {
    let clock: Arc<dyn TimeSource> = Arc::new(SystemClock::start());
    let limits = Limits {
        attempt: Duration::from_millis(600),
        total: Duration::from_millis(1400),
        pause: Duration::from_millis(1),
        ..Limits::default()
    };
    Guarded::new(Arc::new(provider), clock, limits)
}

fn fault(world: &World, effect: FaultEffect, directory: &str, count: Option<u32>) {
    let matching = CallMatch { account: Some(directory.to_owned()), ..CallMatch::default() };
    world.control().inject(FaultSpec { matching, effect, count });
}

#[tokio::test]
async fn p9_a_directory_that_never_answers_is_a_deadline_for_that_tenant_alone() {
    let world = World::start().await;
    let provider = world.provider().await;
    let slow = Tenant::onboard(&world, &provider, "slow", 1).await;
    let quick = Tenant::onboard(&world, &provider, "quick", 2).await;
    fault(&world, FaultEffect::Drop, &slow.directory.to_string(), None);
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
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let guarded = guarded(provider);
    let before = world.calls("Token").len();
    let error =
        FaultEffect::Error { status: 503, code: "ServiceUnavailable".to_owned(), message: String::new() };
    fault(&world, error, &tenant.directory.to_string(), Some(1));
    assert!(guarded.assume(&tenant.binding).await.is_ok());
    assert_eq!(world.calls("Token").len(), before + 2);

    let (directory, app) = (tenant.directory.clone(), world.scenario.client_id.clone());
    world.azure().edit(Edit::RemoveConsent { directory, app }).unwrap();
    assert!(guarded.assume(&tenant.binding).await.unwrap_err().is_denial());
    assert_eq!(world.calls("Token").len(), before + 3, "nothing below us repeats either");
}
