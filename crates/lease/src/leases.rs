//! All leases of a process, as the rest of Leasehold sees them.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::TimeSource;
use leasehold_ids::{BindingName, TenantId};
use leasehold_secret::Arena;
use leasehold_tenant::{RevocationBound, Tenant};
use tokio::sync::broadcast;

use crate::budget::{OverBudget, check_plan};
use crate::cell::{Cell, Run};
use crate::hub::Hub;
use crate::machine::Step;
use crate::subject::LeaseId;
use crate::{EndReason, LeaseError, LeaseEvent, LeaseView, Providers, Settings, Subject, canary::Canary};

/// How often a request looks at its lease anew because something changed while it waited: a superseded proof, the
/// sentinel's verdict, a lease that was forgotten in between.
const MAX_LOOKS: usize = 6;

/// How often the machine is checked for having been restored from a snapshot. Requests check by themselves; this is for
/// what is held and not asked for.
const RESTORE_CHECK: Duration = Duration::from_secs(1);

/// What leases are built from.
pub struct Parts {
    /// The clouds.
    pub providers: Providers,
    /// The clock.
    pub clock: Arc<dyn TimeSource>,
    /// Locked memory for keys.
    pub arena: Arena,
    /// The settings.
    pub settings: Settings,
}

/// All leases of a process. Cheap to clone; the clones share the leases.
#[derive(Clone)]
pub struct Leases(Arc<Hub>);

impl Leases {
    /// No leases yet. Must be called within a tokio runtime, on which proofs and timers will run.
    #[must_use]
    pub fn build(parts: Parts) -> Self {
        let hub = Arc::new(Hub::new(&parts.providers, parts.clock, parts.arena, parts.settings));
        hub.runtime.spawn(end_all_when_restored(Arc::downgrade(&hub)));
        Self(hub)
    }

    /// A proof that begins now, whatever is known already. It never grants what the cloud would not.
    ///
    /// # Errors
    /// What came of the proof, if it was no success.
    pub async fn reprove(&self, subject: &Subject) -> Result<LeaseView, LeaseError> {
        let id = LeaseId {
            binding: subject.name().clone(),
            key_version: Canary::of(&subject.binding)?.key_version().clone(),
        };
        let deadline = self.deadline();
        for _ in 0..MAX_LOOKS {
            let cell = self.0.cell(&id, subject)?;
            let asked = cell.enter(|machine, now| {
                machine.follow(subject, now);
                machine.reprove(now)
            });
            match asked {
                None => {}
                Some(Step::Fail(error)) => return Err(error),
                Some(Step::Wait(landing, start)) => {
                    if let Some(start) = start {
                        cell.launch(start);
                    }
                    cell.landed(landing, deadline).await?;
                    return Ok(self.view(subject.name()));
                }
                Some(Step::Serve(_) | Step::Pause(_)) => {
                    return Err(LeaseError::Internal("a reprove neither began nor waits"));
                }
            }
        }
        Err(LeaseError::LeaseOver)
    }

    /// Applies a tenant's record as it is now to its live leases, before it returns: new terms bind at once, and what
    /// may no longer be held is wiped. Call it after every change of the record.
    pub fn tenant_changed(&self, tenant: &Tenant) {
        self.0.announce(&tenant.id, tenant.revision);
        for cell in self.0.of_tenant(&tenant.id) {
            let binding = tenant.bindings.get(cell.id().binding.binding()).filter(|b| b.state.unwraps());
            let reason = match binding {
                _ if tenant.deleted.is_some() => Some(EndReason::Deleted),
                _ if !tenant.is_served() => Some(EndReason::Suspended),
                None => Some(EndReason::Changed),
                Some(_) => None,
            };
            cell.with(|machine, now| match (reason, binding) {
                (None, Some(binding)) => machine.follow(&Subject::of(tenant, binding), now),
                (reason, _) => machine.end(reason.unwrap_or(EndReason::Changed), tenant.revision),
            });
            // One that was suspended and is wanted by nobody has no keeper to do it.
            self.0.retire(&cell);
        }
    }

    /// The lease of a binding as it is now. Of several (one for each version of the key in use) the state that most needs
    /// attention, and the shortest time.
    #[must_use]
    pub fn view(&self, binding: &BindingName) -> LeaseView {
        let views =
            self.0.existing(binding).into_iter().map(|cell| cell.with(|machine, now| machine.view(now)));
        views.reduce(LeaseView::together).unwrap_or(LeaseView::IDLE)
    }

    /// Keeps the lease proving for as long as the guard lives, as an engine does that holds keys.
    ///
    /// # Errors
    /// [`LeaseError::NotActivated`], [`LeaseError::UnknownProvider`], or [`LeaseError::Ended`] if `subject` is outdated.
    pub fn hold(&self, subject: &Subject) -> Result<HoldGuard, LeaseError> {
        let id = LeaseId {
            binding: subject.name().clone(),
            key_version: Canary::of(&subject.binding)?.key_version().clone(),
        };
        for _ in 0..MAX_LOOKS {
            let cell = self.0.cell(&id, subject)?;
            let entered = cell.enter(|machine, now| {
                machine.follow(subject, now);
                machine.hold(now.at);
            });
            if entered.is_some() {
                return Ok(HoldGuard { cell });
            }
        }
        Err(LeaseError::LeaseOver)
    }

    /// Changes of state from now on. A receiver that lags must look at [`view`](Self::view) again.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<LeaseEvent> {
        self.0.events.subscribe()
    }

    /// Checks that bindings with these bounds, all in use, can be proven within the budget.
    ///
    /// # Errors
    /// [`OverBudget`] with the arithmetic.
    pub fn check_plan(&self, bounds: impl IntoIterator<Item = RevocationBound>) -> Result<(), OverBudget> {
        check_plan(bounds, self.0.settings.proofs_per_second)
    }

    /// Wipes everything that is held, as a shutdown does.
    pub fn end_all(&self) {
        for cell in self.0.all() {
            cell.with(|machine, _| machine.end(EndReason::Changed, u64::MAX));
        }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0
    }

    /// The live lease `id`, after a proof if there is none yet.
    pub(crate) async fn live(&self, id: &LeaseId, subject: &Subject) -> Result<Run, LeaseError> {
        let cell = self.0.cell(id, subject)?;
        self.look(cell, id, subject, |machine, now| machine.step(subject.binding.version, now)).await
    }

    /// The same lease with a session newer than that of `used`, which the cloud no longer honours.
    pub(crate) async fn live_with_newer_session(
        &self,
        used: &Run,
        subject: &Subject,
    ) -> Result<Run, LeaseError> {
        let (cell, id) = (Arc::clone(&used.cell), used.cell.id());
        self.look(cell, id, subject, |machine, now| {
            machine.renew_now(&used.live, subject.binding.version, now)
        })
        .await
    }

    async fn look(
        &self,
        mut cell: Arc<Cell>,
        id: &LeaseId,
        subject: &Subject,
        ask: impl Fn(&mut crate::machine::Machine, crate::machine::Now) -> Step,
    ) -> Result<Run, LeaseError> {
        let deadline = self.deadline();
        for _ in 0..MAX_LOOKS {
            let step = cell.enter(|machine, now| {
                machine.follow(subject, now);
                ask(machine, now)
            });
            match step {
                None => cell = self.0.cell(id, subject)?,
                Some(Step::Serve(live)) => return Ok(Run { cell, live }),
                Some(Step::Fail(error)) => return Err(error),
                Some(Step::Pause(landing)) => {
                    // Whatever the verdict, the next look sees what it did.
                    let _ = cell.landed(landing, deadline).await;
                }
                Some(Step::Wait(landing, start)) => {
                    if let Some(start) = start {
                        cell.launch(start);
                    }
                    match cell.landed(landing, deadline).await {
                        Ok(()) | Err(LeaseError::LeaseOver) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Err(LeaseError::LeaseOver)
    }

    fn deadline(&self) -> leasehold_clock::Moment {
        self.0.clock.now() + self.0.settings.proof_wait
    }
}

/// While it lives, the lease counts as in use.
#[must_use = "dropping the guard ends the hold"]
pub struct HoldGuard {
    cell: Arc<Cell>,
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        self.cell.with(|machine, now| machine.unhold(now.at));
    }
}

impl HoldGuard {
    /// Whose lease it holds.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.cell.id().binding.tenant()
    }
}

async fn end_all_when_restored(hub: std::sync::Weak<Hub>) {
    let Some(mut generation) = hub.upgrade().map(|hub| hub.clock.generation()) else { return };
    loop {
        let Some(pause) = hub.upgrade().map(|hub| hub.clock.sleep(RESTORE_CHECK)) else { return };
        pause.await;
        let Some(hub) = hub.upgrade() else { return };
        if std::mem::replace(&mut generation, hub.clock.generation()) != hub.clock.generation() {
            for cell in hub.all() {
                cell.with(|machine, now| machine.expire(now));
            }
        }
    }
}
