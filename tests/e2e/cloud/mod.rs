//! The simulated clouds as their owners see them: who lets whom in, which levers they pull, and what their logs say.
//!
//! A test that is to hold on every cloud takes a [`Cloud`] and is named in [`on_every_cloud!`]; what only one cloud has, it
//! asks of that cloud's own part of the simulator.

mod aws;
mod azure;
mod gcp;

use std::sync::Arc;

use leasehold::config::Providers;
use leasehold_api::v1;
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::{CallDecision, CallMatch, CallQuery, CallRecord};
pub(crate) use leasehold_cloudsim::tenants::{Cloud, Lever};
use leasehold_cloudsim::tenants::{Tenant, TenantsControl};

use crate::world::{World, soon};

pub(crate) use aws::Aws;
pub(crate) use azure::Azure;
pub(crate) use gcp::Gcp;

/// Runs each of these tests, which take a [`Cloud`], on every one.
macro_rules! on_every_cloud {
    ($($test:ident),+ $(,)?) => {
        mod aws {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::cloud::Cloud::Aws).await;
            })+
        }
        mod azure {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::cloud::Cloud::Azure).await;
            })+
        }
        mod gcp {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(crate::cloud::Cloud::Gcp).await;
            })+
        }
    };
}
pub(crate) use on_every_cloud;

/// The edge that `lever` cuts, as denials name it.
pub(crate) fn edge(lever: Lever) -> &'static str {
    if lever == Lever::Trust { "trust" } else { "key" }
}

/// One cloud, with an application of ours and tenants that each have a key and a principal.
pub(crate) trait Estate: Send + Sync {
    fn cloud(&self) -> Cloud;

    /// What the tenants' administrators can do.
    fn tenants(&self) -> &TenantsControl;

    /// Lets a server reach this cloud, as ourselves.
    fn configure(&self, providers: &mut Providers);

    /// Lets a process reach this cloud, and find out who it is as one does that runs there.
    fn environment(&self) -> Vec<(String, String)>;

    /// What must never be written down.
    fn secrets(&self) -> Vec<String>;

    /// What the tenant hands over.
    fn binding(&self, tenant: &str) -> v1::binding::Cloud {
        let Tenant { cloud, key, principal, .. } = self.tenants().get(tenant).unwrap();
        match cloud {
            Cloud::Aws => v1::binding::Cloud::Aws(v1::AwsBinding {
                kms_key_arn: key,
                role_arn: principal,
                ..Default::default()
            }),
            Cloud::Azure => {
                v1::binding::Cloud::Azure(v1::AzureBinding { key_url: key, directory_id: principal })
            }
            Cloud::Gcp => v1::binding::Cloud::Gcp(v1::GcpBinding {
                kms_key_name: key,
                service_account: principal,
                ..Default::default()
            }),
        }
    }

    /// What the tenant does to let us in, under this external id.
    fn let_in(&self, tenant: &str, external_id: &str) {
        self.tenants().let_in(tenant, external_id).unwrap();
    }

    /// What the tenant does to put us out.
    fn pull(&self, lever: Lever, tenant: &str) {
        self.tenants().pull(tenant, lever).unwrap();
    }

    /// Whatever is asked of the tenant's part of the cloud.
    fn about(&self, tenant: &str) -> CallMatch {
        self.tenants().calls_about(tenant).unwrap()
    }
}

/// The part of `simulator` that is `cloud`, with tenants of these names who have let nobody in yet.
pub(crate) fn estate(cloud: Cloud, simulator: &Simulator, tenants: &[&str]) -> Arc<dyn Estate> {
    match cloud {
        Cloud::Aws => Arc::new(Aws::build(simulator, tenants)),
        Cloud::Azure => Arc::new(Azure::build(simulator, tenants)),
        Cloud::Gcp => Arc::new(Gcp::build(simulator, tenants)),
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
        self.count(self.estate.cloud().assumes())
    }

    /// How often we unwrapped a key for somebody: all unwraps but those of proofs, each of which becomes the principal and
    /// unwraps one canary.
    pub(crate) fn key_unwraps(&self) -> usize {
        let proofs = self.count_where(self.estate.cloud().assumes(), Some(CallDecision::Allowed));
        self.count(self.estate.cloud().unwraps()).saturating_sub(proofs)
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
    pub(crate) fn pull(&self, lever: Lever, tenant: &str) {
        self.estate.pull(lever, tenant);
    }

    /// Lets go of all that the tenant pulled.
    pub(crate) fn restore(&self, tenant: &str) {
        assert!(self.estate.tenants().restore(tenant, None).unwrap() > 0);
    }

    /// Does this to every call that matches.
    pub(crate) fn inject(&self, matching: CallMatch, effect: FaultEffect) {
        self.cloud.control().inject(FaultSpec { matching, effect, count: None });
    }
}
