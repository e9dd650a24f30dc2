//! The simulated clouds as their owners see them: who lets whom in, which levers they pull, and what their logs say.
//!
//! A test that is to hold on every cloud takes a [`Cloud`] and is named in [`on_every_cloud!`]; what only one cloud has, it
//! asks of that cloud's own part of the simulator.

mod aws;

use std::sync::Arc;

use leasehold::config::Providers;
use leasehold_api::v1;
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::{CallDecision, CallMatch, CallQuery, CallRecord};

use crate::world::{World, soon};

pub(crate) use aws::Aws;

/// A cloud that tenants can be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloud {
    Aws,
}

/// Runs each of these tests, which take a [`Cloud`], on every one.
macro_rules! on_every_cloud {
    ($($test:ident),+ $(,)?) => {
        mod aws {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::cloud::Cloud::Aws).await;
            })+
        }
    };
}
pub(crate) use on_every_cloud;

/// A way to revoke that every cloud has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lever {
    /// We may not become the principal any more.
    Trust,
    /// The principal may not use the key any more.
    KeyUse,
    /// Nobody may use the key any more.
    DisableKey,
    /// The key is on its way out.
    DeleteKey,
}

impl Lever {
    pub(crate) const ALL: [Self; 4] = [Self::Trust, Self::KeyUse, Self::DisableKey, Self::DeleteKey];

    /// The edge that it cuts, as denials name it.
    pub(crate) fn edge(self) -> &'static str {
        if self == Self::Trust { "trust" } else { "key" }
    }
}

/// A lever that was pulled; dropped, it stays so.
pub(crate) struct Pulled(Box<dyn FnOnce() + Send>);

impl Pulled {
    /// One that is let go of in this way.
    pub(crate) fn undone_by(undo: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(undo))
    }

    /// Lets go of the lever: everything is as it was before.
    pub(crate) fn undo(self) {
        (self.0)();
    }
}

/// One cloud, with an application of ours and tenants that each have a key and a principal.
pub(crate) trait Estate: Send + Sync {
    /// Lets a server reach this cloud, as ourselves.
    fn configure(&self, providers: &mut Providers);

    /// Lets a process reach this cloud, and find out who it is as one does that runs there.
    fn environment(&self) -> Vec<(String, String)>;

    /// What the tenant hands over.
    fn binding(&self, tenant: &str) -> v1::binding::Cloud;

    /// The tenant's key, as the cloud names it.
    fn key(&self, tenant: &str) -> String;

    /// What the tenant does to let us in, under this external id.
    fn let_in(&self, tenant: &str, external_id: &str);

    /// What the tenant does to put us out.
    fn pull(&self, lever: Lever, tenant: &str) -> Pulled;

    /// The tenant's key gets a new version.
    fn rotate(&self, tenant: &str);

    /// Whatever is asked of the tenant's part of the cloud.
    fn about(&self, tenant: &str) -> CallMatch;

    /// Requests to become a principal.
    fn assumes(&self) -> CallMatch;

    /// Unwraps, of keys as well as of canaries.
    fn unwraps(&self) -> CallMatch;

    /// What must never be written down.
    fn secrets(&self) -> Vec<String>;
}

/// The part of `simulator` that is `cloud`, with tenants of these names who have let nobody in yet.
pub(crate) fn estate(cloud: Cloud, simulator: &Simulator, tenants: &[&str]) -> Arc<dyn Estate> {
    match cloud {
        Cloud::Aws => Arc::new(Aws::build(simulator, tenants)),
    }
}

/// All calls of `operation`.
pub(crate) fn of(operation: &str) -> CallMatch {
    CallMatch { operation: Some(operation.to_owned()), ..CallMatch::default() }
}

impl World {
    pub(crate) fn count(&self, matching: CallMatch) -> usize {
        self.count_where(matching, None)
    }

    fn count_where(&self, matching: CallMatch, decision: Option<CallDecision>) -> usize {
        self.cloud.control().count_calls(&CallQuery { matching, decision, ..CallQuery::default() })
    }

    /// How often we asked to become a principal.
    pub(crate) fn assumes(&self) -> usize {
        self.count(self.estate.assumes())
    }

    /// How often we unwrapped a key for somebody: all unwraps but those of proofs, each of which becomes the principal and
    /// unwraps one canary.
    pub(crate) fn key_unwraps(&self) -> usize {
        let proofs = self.count_where(self.estate.assumes(), Some(CallDecision::Allowed));
        self.count(self.estate.unwraps()).saturating_sub(proofs)
    }

    /// Waits until `wanted` calls came.
    pub(crate) async fn calls(&self, matching: CallMatch, wanted: usize) -> Vec<CallRecord> {
        let (control, query) = (self.cloud.control(), CallQuery { matching, ..CallQuery::default() });
        soon(control.wait_for_calls(&query, wanted)).await
    }

    pub(crate) fn forget_calls(&self) {
        self.cloud.control().clear_calls();
    }

    /// Pulls one of the tenant's levers.
    pub(crate) fn pull(&self, lever: Lever, tenant: &str) -> Pulled {
        self.estate.pull(lever, tenant)
    }

    /// Does this to every call that matches.
    pub(crate) fn inject(&self, matching: CallMatch, effect: FaultEffect) {
        self.cloud.control().inject(FaultSpec { matching, effect, count: None });
    }
}
