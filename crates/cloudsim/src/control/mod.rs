//! The control interface: what the simulated world's owners, administrators and misfortunes do.
//!
//! [`Control`] is the in-process form; `http` offers the same over HTTP and JSON.

mod aws;
pub mod azure;
mod calls;
pub mod gcp;
pub(crate) mod http;
mod http_aws;
mod http_azure;
mod http_gcp;
pub(crate) mod model;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::SimClock;
use crate::error::SimError;
use crate::faults::{FaultId, FaultSpec, FaultStatus};
use crate::log::{CallQuery, CallRecord};
use crate::secret::SecretText;
use crate::simulator::Shared;
use crate::tenants::TenantsControl;

pub use aws::AwsControl;
pub use azure::AzureControl;
pub use gcp::GcpControl;
pub use model::{
    AccessKeySpec, IssuerSpec, KeyInfo, KeyInput, OidcProviderSpec, RoleInfo, RoleSpec, UserSpec, WorldInfo,
};

/// The path that every route of the HTTP form begins with.
pub(crate) const BASE: &str = "/control/v1";

/// The control interface of one simulator. Clones control the same one.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Control").finish_non_exhaustive()
    }
}

impl Control {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The part about AWS.
    pub fn aws(&self) -> AwsControl {
        AwsControl::new(self.shared.clone())
    }

    /// The part about Azure.
    pub fn azure(&self) -> AzureControl {
        AzureControl::new(self.shared.clone())
    }

    /// The part about Google Cloud.
    pub fn gcp(&self) -> GcpControl {
        GcpControl::new(self.shared.clone())
    }

    /// The part about tenants, whichever cloud they are on.
    pub fn tenants(&self) -> TenantsControl {
        TenantsControl::new(self.shared.clone())
    }

    /// Injects a fault.
    pub fn inject(&self, fault: FaultSpec) -> FaultId {
        self.shared.faults.inject(fault)
    }

    /// Clears a fault.
    ///
    /// # Errors
    /// When it is not in force any more.
    pub fn clear_fault(&self, id: FaultId) -> Result<(), SimError> {
        let known = self.shared.faults.clear(id);
        if known { Ok(()) } else { Err(SimError::not_found("fault", id.0.to_string())) }
    }

    /// Clears all faults. Calls that a fault is holding stay held.
    pub fn clear_faults(&self) {
        self.shared.faults.clear_all();
    }

    /// The faults in force.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.shared.faults.list()
    }

    /// The calls that match, oldest first.
    pub fn calls(&self, query: &CallQuery) -> Vec<CallRecord> {
        self.shared.log.query(query)
    }

    /// How many calls match.
    pub fn count_calls(&self, query: &CallQuery) -> usize {
        self.shared.log.count(query)
    }

    /// Waits until at least `wanted` calls match, and gives them, oldest first. It waits for ever if they do not come:
    /// put a timeout around it.
    pub async fn wait_for_calls(&self, query: &CallQuery, wanted: usize) -> Vec<CallRecord> {
        self.shared.log.wait(query, wanted).await
    }

    /// Forgets all calls.
    pub fn clear_calls(&self) {
        self.shared.log.clear();
    }

    /// The secrets of the sessions that tenants' principals were issued, oldest first: secret access keys and session
    /// tokens on AWS, access tokens elsewhere. For tests that look for them where they should be no more.
    pub fn issued_secrets(&self) -> Vec<SecretText> {
        self.shared.issued.all()
    }

    /// The simulator's clock.
    pub fn clock(&self) -> &SimClock {
        &self.shared.clock
    }

    /// Moves the simulated time forward: sessions expire, delayed edits take effect.
    pub fn advance(&self, by: Duration) {
        self.shared.clock.advance(by);
    }
}
