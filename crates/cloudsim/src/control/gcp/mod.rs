//! The control interface of the simulated Google Cloud.

mod edits;
mod federation;
mod keys;
pub mod model;
mod policies;
mod projects;
mod service_accounts;
mod world;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub use model::{
    KeyInfo, KeyInput, PolicyPlace, ProjectInfo, ProviderSpec, ServiceAccountInfo, VersionInfo, WorldInfo,
};

use crate::error::SimError;
use crate::gcp::scenario::{self, Scenario, ScenarioSpec, Tenant};
use crate::gcp::trail;
use crate::gcp::world::EditKind;
use crate::gcp::world::layered::EditTime;
use crate::log::{CallFacts, CallQuery};
use crate::simulator::Shared;
use crate::tenants::TenantsControl;

/// The control interface of the simulated Google Cloud. Clones control the same one.
#[derive(Clone)]
pub struct GcpControl {
    shared: Arc<Shared>,
}

impl fmt::Debug for GcpControl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GcpControl").finish_non_exhaustive()
    }
}

impl GcpControl {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The management events after the one of this sequence number, each with its own, as the audit logs of the projects
    /// have them; see [`trail::log_entry`].
    pub fn log_entries(&self, after: u64) -> Vec<(u64, Value)> {
        let query = CallQuery { management: true, after, ..CallQuery::default() };
        let records = self.shared.log.query(&query);
        records.iter().filter_map(|record| Some((record.sequence, trail::log_entry(record)?))).collect()
    }

    /// Makes a ready-made world; what it names must not exist yet, but for its projects.
    ///
    /// # Errors
    /// When a name is taken or malformed.
    pub fn build(&self, spec: &ScenarioSpec) -> Result<Scenario, SimError> {
        let made = scenario::build(self, spec)?;
        TenantsControl::new(Arc::clone(&self.shared)).note_gcp(&made);
        Ok(made)
    }

    /// Does what the onboarding asks of a tenant: lets the platform's service account become the tenant's, lets that one
    /// use the key, and labels the key with the challenge.
    ///
    /// # Errors
    /// When the service account or the key does not exist, or the challenge is no label's value.
    pub fn onboard(&self, tenant: &Tenant, challenge: &str) -> Result<(), SimError> {
        scenario::onboard(self, tenant, challenge)
    }

    fn edit_time(&self, kind: EditKind) -> EditTime {
        self.shared.gcp.read().edit_time(kind, self.shared.clock.now())
    }

    /// Records an owner's edit as its audit log would.
    fn record(&self, event: CallFacts) {
        self.shared.log.append_management(self.shared.clock.now(), event);
    }
}
