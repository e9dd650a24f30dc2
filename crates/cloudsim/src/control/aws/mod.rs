//! The control interface of the simulated AWS.

mod edits;
mod keys;
mod roles;
mod users;
mod world;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::aws::scenario::{self, Scenario, ScenarioSpec};
use crate::aws::trail;
use crate::error::SimError;
use crate::log::{CallFacts, CallQuery};
use crate::simulator::Shared;
use crate::tenants::TenantsControl;

/// The control interface of the simulated AWS. Clones control the same one.
#[derive(Clone)]
pub struct AwsControl {
    shared: Arc<Shared>,
}

impl fmt::Debug for AwsControl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AwsControl").finish_non_exhaustive()
    }
}

impl AwsControl {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Leaves the management event of an edit that was made.
    fn record(&self, event: Option<CallFacts>) {
        if let Some(event) = event {
            self.shared.log.append_management(self.shared.clock.now(), event);
        }
    }

    /// The management events after the one of this sequence number, each with its own, as the event buses of the
    /// accounts receive them; see [`trail::bus_event`].
    pub fn bus_events(&self, after: u64) -> Vec<(u64, Value)> {
        let query = CallQuery { management: true, after, ..CallQuery::default() };
        let records = self.shared.log.query(&query);
        records.iter().filter_map(|record| Some((record.sequence, trail::bus_event(record)?))).collect()
    }

    /// Makes a ready-made world; what it names must not exist yet, but for its accounts.
    ///
    /// # Errors
    /// When a name is taken or malformed.
    pub fn build(&self, spec: &ScenarioSpec) -> Result<Scenario, SimError> {
        let made = scenario::build(self, spec)?;
        TenantsControl::new(self.shared.clone()).note_aws(&made);
        Ok(made)
    }
}
