//! The control interface of the simulated AWS.

mod edits;
mod keys;
mod roles;
mod users;
mod world;

use std::fmt;
use std::sync::Arc;

use crate::aws::scenario::{self, Scenario, ScenarioSpec};
use crate::error::SimError;
use crate::simulator::Shared;

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

    /// Makes a ready-made world; what it names must not exist yet, but for its accounts.
    ///
    /// # Errors
    /// When a name is taken or malformed.
    pub fn build(&self, spec: &ScenarioSpec) -> Result<Scenario, SimError> {
        scenario::build(self, spec)
    }
}
