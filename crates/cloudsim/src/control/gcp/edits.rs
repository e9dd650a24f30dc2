//! Edits that can be undone, their propagation, tokens, and the platform's machine.

use super::GcpControl;
use crate::error::SimError;
use crate::gcp::edits::{self, Edit, EditId, EditStatus};
use crate::gcp::name::ServiceAccountEmail;
use crate::gcp::trail;
use crate::gcp::world::{Propagation, State};

impl GcpControl {
    /// Makes an edit that can be undone.
    ///
    /// # Errors
    /// When what it edits does not exist.
    pub fn edit(&self, edit: Edit) -> Result<EditId, SimError> {
        let mut state = self.shared.gcp.write();
        let id = edits::make(&mut state, edit.clone(), self.shared.clock.now())?;
        let events = trail::made(id, &edit, &versions(&state, &edit));
        drop(state);
        events.into_iter().for_each(|event| self.record(event));
        Ok(id)
    }

    /// Undoes an edit.
    ///
    /// # Errors
    /// When it was undone already, or the policy it was laid over was replaced.
    pub fn undo(&self, id: EditId) -> Result<(), SimError> {
        let mut state = self.shared.gcp.write();
        let edit = edits::undo(&mut state, id, self.shared.clock.now())?;
        let events = trail::undone(id, &edit, &versions(&state, &edit));
        drop(state);
        events.into_iter().for_each(|event| self.record(event));
        Ok(())
    }

    /// The edits that can be undone.
    pub fn edits(&self) -> Vec<EditStatus> {
        edits::list(&self.shared.gcp.read())
    }

    /// How long edits take to take effect.
    pub fn propagation(&self) -> Propagation {
        self.shared.gcp.read().propagation
    }

    /// Sets how long later edits take to take effect.
    pub fn set_propagation(&self, propagation: Propagation) {
        self.shared.gcp.write().propagation = propagation;
    }

    /// Ends all access tokens now, those that the metadata server would hand out again included, and gives how many were
    /// alive. Tokens that the holders of service-account keys sign for themselves are nobody's to end.
    pub fn expire_tokens(&self) -> usize {
        let mut state = self.shared.gcp.write();
        state.machine.forget_tokens();
        state.tokens.expire_all(self.shared.clock.now())
    }

    /// Sets the service account of the platform's machine, which the metadata server hands out tokens of.
    pub fn set_instance_service_account(&self, email: Option<ServiceAccountEmail>) {
        let mut state = self.shared.gcp.write();
        state.machine.project = email.as_ref().map(|email| email.project.clone());
        state.machine.service_account = email;
    }
}

fn versions(state: &State, edit: &Edit) -> Vec<u32> {
    match edit {
        Edit::KeyVersionsDisabled { key } => {
            state.key(key).map(|key| key.versions.keys().copied().collect()).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}
