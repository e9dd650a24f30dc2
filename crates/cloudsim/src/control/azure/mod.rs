//! The control interface of the simulated Azure.

mod access;
mod edits;
mod entra;
mod keys;
pub mod model;
mod world;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::azure::ids::ObjectId;
use crate::azure::scenario::{self, Scenario, ScenarioSpec, Tenant};
use crate::azure::trail;
use crate::error::SimError;
use crate::log::{CallFacts, CallQuery, CallRecord};
use crate::simulator::Shared;
use crate::tenants::TenantsControl;

/// The control interface of the simulated Azure. Clones control the same one.
#[derive(Clone)]
pub struct AzureControl {
    shared: Arc<Shared>,
}

impl fmt::Debug for AzureControl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AzureControl").finish_non_exhaustive()
    }
}

impl AzureControl {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Leaves the management event of an edit that was made.
    fn record(&self, event: Option<CallFacts>) {
        if let Some(event) = event {
            self.shared.log.append_management(self.shared.clock.now(), event);
        }
    }

    /// The management events after the one of this sequence number, each with its own, as Event Grid delivers those of
    /// Azure Resource Manager; see [`trail::grid_event`].
    pub fn grid_events(&self, after: u64) -> Vec<(u64, Value)> {
        self.events(after, trail::grid_event)
    }

    /// The other ones, as the rows of a workspace's tables; see [`trail::log_row`].
    pub fn log_rows(&self, after: u64) -> Vec<(u64, (&'static str, Value))> {
        self.events(after, trail::log_row)
    }

    fn events<T>(&self, after: u64, shown: impl Fn(&CallRecord) -> Option<T>) -> Vec<(u64, T)> {
        let query = CallQuery { management: true, after, ..CallQuery::default() };
        let records = self.shared.log.query(&query);
        records.iter().filter_map(|record| Some((record.sequence, shown(record)?))).collect()
    }

    /// Makes a ready-made world; what it names must not exist yet.
    ///
    /// # Errors
    /// When a name is taken or malformed.
    pub fn build(&self, spec: &ScenarioSpec) -> Result<Scenario, SimError> {
        let made = scenario::build(self, spec)?;
        TenantsControl::new(self.shared.clone()).note_azure(&made);
        Ok(made)
    }

    /// Does what the onboarding asks of a tenant: lets the application in, gives it the role Key Vault Crypto Service
    /// Encryption User at the key, and puts the challenge on the key's current version. Gives the principal let in.
    ///
    /// # Errors
    /// When something of the tenant's does not exist any more, or the role was assigned already.
    pub fn onboard(&self, tenant: &Tenant, challenge: &str) -> Result<ObjectId, SimError> {
        scenario::onboard(self, tenant, challenge)
    }
}
