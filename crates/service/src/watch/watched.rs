//! One tenant of a watch: what is held of it, and what the watcher was told.

use std::collections::BTreeMap;

use leasehold_ids::{BindingId, BindingName, LeaseEpoch};
use leasehold_lease::{HoldGuard, LeaseEvent, LeaseState, LeaseView, Leases};
use leasehold_tenant::Tenant;

use super::{LeaseStatus, WatchMode};
use crate::directory::{Known, subjects};

/// One tenant of a watch.
pub(super) struct Watched {
    pub(super) known: Known,
    pub(super) mode: WatchMode,
    leases: Leases,
    holds: BTreeMap<BindingId, HoldGuard>,
    /// What the watcher was told of each binding. Ids of bindings are never reused, so that there are at most as many as
    /// a tenant may ever have.
    told: BTreeMap<BindingId, Told>,
}

/// What the watcher was told of one lease.
#[derive(Default)]
struct Told {
    /// The epoch that it believes to be live.
    live: Option<LeaseEpoch>,
    /// The newest epoch that it was ever told.
    newest: Option<LeaseEpoch>,
}

impl Watched {
    pub(super) fn new(known: Known, mode: WatchMode, leases: Leases) -> Self {
        let mut watched = Self { known, mode, leases, holds: BTreeMap::new(), told: BTreeMap::new() };
        watched.hold();
        watched
    }

    /// From now on in another mode. What the watcher was told, it still knows.
    pub(super) fn change_to(&mut self, known: Known, mode: WatchMode) {
        (self.known, self.mode) = (known, mode);
        self.hold();
    }

    /// Holds what is to be held: in HOLD mode every binding that unwraps, otherwise nothing.
    pub(super) fn hold(&mut self) {
        let wanted = match self.mode {
            WatchMode::Hold => subjects(&self.known.tenant),
            WatchMode::Observe | WatchMode::Forget => Vec::new(),
        };
        self.holds.retain(|id, _| wanted.iter().any(|subject| subject.name().binding() == id));
        for subject in wanted {
            let id = subject.name().binding();
            if self.holds.contains_key(id) {
                continue;
            }
            match self.leases.hold(&subject) {
                Ok(guard) => drop(self.holds.insert(id.clone(), guard)),
                // The record that we have is outdated; the newer one is on its way, or the next message tries again.
                Err(error) => tracing::debug!(binding = %subject.name(), %error, "not held yet"),
            }
        }
    }

    /// How all leases stand, to be told now.
    pub(super) fn statuses(&mut self) -> Vec<LeaseStatus> {
        let tenant = std::sync::Arc::clone(&self.known.tenant);
        let unwrapping = tenant.bindings.values().filter(|binding| binding.state.unwraps());
        let view = |name: &BindingName| match tenant.is_served() {
            true => self.leases.view(name),
            false => LeaseView::over(LeaseState::Suspended),
        };
        let views: Vec<_> = unwrapping.map(|b| (b.name.clone(), view(&b.name))).collect();
        views.into_iter().map(|(binding, view)| self.tell(binding, view)).collect()
    }

    /// Follows a newer record, and says what to tell of it.
    pub(super) fn follow(&mut self, known: Known) -> Vec<LeaseStatus> {
        let before = std::mem::replace(&mut self.known, known);
        self.hold();
        if before.tenant.revision == self.known.tenant.revision {
            return Vec::new();
        }
        let mut statuses = self.statuses();
        for name in gone(&before.tenant, &self.known.tenant) {
            statuses.push(self.tell(name, LeaseView::over(LeaseState::Suspended)));
        }
        statuses
    }

    /// What an event of one of the leases means to the watcher. The event may be old, and the watcher may know of it.
    pub(super) fn learn(&mut self, event: LeaseEvent) -> Option<LeaseStatus> {
        let view = self.leases.view(&event.binding);
        let believed = self.told.get(event.binding.binding()).and_then(|told| told.live);
        let view = match event.state {
            // What came of the proof, or ended the life that it began, is told by the event that follows.
            LeaseState::Proving | LeaseState::Live if view.state != event.state => return None,
            LeaseState::Proving if believed.is_none() => return None,
            LeaseState::Live if view.epoch == believed => return None,
            state if state == view.state => view,
            // What has ended must be told even if a new life has begun since.
            state => LeaseView::over(state),
        };
        Some(self.tell(event.binding, view))
    }

    /// Whether the watcher can know of this epoch of a binding's lease; zero stands for none.
    pub(super) fn was_told(&self, binding: &BindingId, epoch: u64) -> bool {
        let newest = self.told.get(binding).and_then(|told| told.newest).map_or(0, LeaseEpoch::get);
        self.known.tenant.bindings.contains_key(binding) && epoch <= newest
    }

    fn tell(&mut self, binding: BindingName, view: LeaseView) -> LeaseStatus {
        let told = self.told.entry(binding.binding().clone()).or_default();
        told.live = view.epoch;
        told.newest = told.newest.max(view.epoch);
        LeaseStatus { binding, view }
    }
}

/// Bindings that no longer unwrap.
fn gone(before: &Tenant, after: &Tenant) -> Vec<BindingName> {
    let unwraps =
        |tenant: &Tenant, id: &BindingId| tenant.bindings.get(id).is_some_and(|b| b.state.unwraps());
    let gone = before.bindings.iter().filter(|(id, _)| unwraps(before, id) && !unwraps(after, id));
    gone.map(|(_, binding)| binding.name.clone()).collect()
}
