//! Edits that can be undone, and their propagation.

use super::AzureControl;
use crate::azure::edits::{self, Edit, EditId, EditStatus};
use crate::azure::world::Propagation;
use crate::error::SimError;

impl AzureControl {
    /// Makes an edit that can be undone.
    ///
    /// # Errors
    /// When what it edits does not exist.
    pub fn edit(&self, edit: Edit) -> Result<EditId, SimError> {
        let (id, event) = edits::make(&mut self.shared.azure.write(), edit, self.shared.clock.now())?;
        self.record(event);
        Ok(id)
    }

    /// Undoes an edit.
    ///
    /// # Errors
    /// When it was undone already, or what it was laid over was set anew.
    pub fn undo(&self, id: EditId) -> Result<(), SimError> {
        let event = edits::undo(&mut self.shared.azure.write(), id, self.shared.clock.now())?;
        self.record(event);
        Ok(())
    }

    /// The edits that can be undone.
    pub fn edits(&self) -> Vec<EditStatus> {
        edits::list(&self.shared.azure.read())
    }

    /// How long edits take to take effect.
    pub fn propagation(&self) -> Propagation {
        self.shared.azure.read().propagation
    }

    /// Sets how long later edits take to take effect.
    pub fn set_propagation(&self, propagation: Propagation) {
        self.shared.azure.write().propagation = propagation;
    }
}
