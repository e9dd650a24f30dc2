//! All leases of a process, as the rest of Leasehold sees them.

use std::sync::Arc;
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};
use leasehold_envelope::KeyVersion;
use leasehold_ids::{BindingName, TenantId};
use leasehold_secret::Arena;
use leasehold_tenant::{RevocationBound, Tenant};
use tokio::sync::broadcast;

use crate::budget::{OverBudget, check_plan};
use crate::cell::{Cell, Run};
use crate::family::Family;
use crate::flights::Landing;
use crate::hub::Hub;
use crate::lent::Loan;
use crate::machine::{Machine, Now, Step};
use crate::subject::LeaseId;
use crate::{EndReason, LeaseError, LeaseEvent, LeaseView, Providers, Settings, Subject};

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

    /// Proofs that begin now, whatever is known already, of the version of the key that wraps and of each other that is in
    /// use; and a look at which version wraps. They never grant what the cloud would not.
    ///
    /// # Errors
    /// What came of the proof of the version that wraps, if it was no success and no other version wraps in its place.
    pub async fn reprove(&self, subject: &Subject) -> Result<LeaseView, LeaseError> {
        let deadline = self.deadline();
        let family = self.0.family(subject)?;
        family.look_again();
        let wrapping = family.wrapping();
        let others = self.reprove_others(&wrapping, subject);
        let landed = self.reprove_one(&wrapping, subject, deadline).await;
        for (cell, landing) in others {
            // What came of these is told as the events of leases are.
            let _ = cell.landed(landing, deadline).await;
        }
        match landed {
            Err(error) if self.0.family(subject)?.wrapping() == wrapping => Err(error),
            _ => Ok(self.view(subject.name())),
        }
    }

    async fn reprove_one(
        &self,
        version: &KeyVersion,
        subject: &Subject,
        deadline: Moment,
    ) -> Result<(), LeaseError> {
        let id = LeaseId { binding: subject.name().clone(), key_version: version.clone() };
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
                    return cell.landed(landing, deadline).await;
                }
                Some(Step::Serve(_) | Step::Pause(_)) => {
                    return Err(LeaseError::Internal("a reprove neither began nor waits"));
                }
            }
        }
        Err(LeaseError::LeaseOver)
    }

    /// Begins a proof of each version in use but one. Whatever is being proven for the first time, is so anew.
    fn reprove_others(&self, version: &KeyVersion, subject: &Subject) -> Vec<(Arc<Cell>, Landing)> {
        let mut begun = Vec::new();
        for cell in self.0.existing(subject.name()) {
            let asked = cell.enter(|machine, now| {
                machine.follow(subject, now);
                match cell.id().key_version != *version {
                    true if machine.is_in_use() => Some(machine.reprove(now)),
                    true => {
                        machine.outdate_first_proofs();
                        None
                    }
                    false => None,
                }
            });
            if let Some(Some(Step::Wait(landing, start))) = asked {
                if let Some(start) = start {
                    cell.launch(start);
                }
                begun.push((cell, landing));
            }
        }
        begun
    }

    /// Applies a tenant's record as it is now to its live leases, before it returns: new terms bind at once, and what
    /// may no longer be held is wiped. Call it after every change of the record.
    pub fn tenant_changed(&self, tenant: &Tenant) {
        // Of a tenant that is deleted only a newer record may be served, although no lease is left to say so.
        self.0.announce(&tenant.id, tenant.revision + u64::from(tenant.deleted.is_some()));
        for cell in self.0.of_tenant(&tenant.id) {
            let binding = tenant.bindings.get(cell.id().binding.binding()).filter(|b| b.state.unwraps());
            let reason = match binding {
                _ if tenant.deleted.is_some() => Some(EndReason::Deleted),
                _ if !tenant.is_served() => Some(EndReason::Suspended),
                None => Some(EndReason::Changed),
                Some(_) => None,
            };
            if matches!(reason, Some(EndReason::Deleted | EndReason::Changed)) {
                cell.family().end();
            }
            cell.with(|machine, now| match (reason, binding) {
                (None, Some(binding)) => machine.follow(&Subject::of(tenant, binding), now),
                (reason, _) => machine.end(reason.unwrap_or(EndReason::Changed), tenant.revision),
            });
            // One that is wanted by nobody any more has no keeper to do it.
            self.0.retire(&cell);
        }
        let unwraps = |name: &BindingName| {
            tenant.deleted.is_none() && tenant.bindings.get(name.binding()).is_some_and(|b| b.state.unwraps())
        };
        self.0.forget(&tenant.id, unwraps);
    }

    /// The lease of a binding as it is now. Where there are several, one for each version of the key in use, what may be
    /// said of them at once: see [`LeaseView`].
    #[must_use]
    pub fn view(&self, binding: &BindingName) -> LeaseView {
        let Some((family, cells)) = self.0.known(binding) else { return LeaseView::IDLE };
        let view =
            |cell: Arc<Cell>| (cell.id().key_version.clone(), cell.with(|machine, now| machine.view(now)));
        family.view(cells.into_iter().map(view).collect())
    }

    /// Keeps the binding proving for as long as the guard lives, as an engine does that holds keys: the version of the key
    /// that wraps, and each other one for as long as its lease lives, because keys may have been given out under it. A
    /// version that was denied or lapsed meanwhile, and does not wrap, is asked again only while requests want it.
    ///
    /// # Errors
    /// [`LeaseError::NotActivated`], [`LeaseError::UnknownProvider`], or [`LeaseError::Ended`] if `subject` is outdated.
    pub fn hold(&self, subject: &Subject) -> Result<HoldGuard, LeaseError> {
        for _ in 0..MAX_LOOKS {
            let key_version = self.0.family(subject)?.wrapping();
            let cell = self.0.cell(&LeaseId { binding: subject.name().clone(), key_version }, subject)?;
            // Whoever finds that the lease was forgotten lets go again.
            let guard = HoldGuard::new(&self.0, &cell);
            if cell.enter(|machine, now| machine.follow(subject, now)).is_some() {
                return Ok(guard);
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
            cell.with(|machine, _| machine.end(EndReason::ShuttingDown, u64::MAX));
        }
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0
    }

    /// The live lease `id`, after a proof if there is none yet; by what is `lent`, if nothing else proves it.
    pub(crate) async fn live(
        &self,
        id: &LeaseId,
        subject: &Subject,
        lent: Option<Loan<'_>>,
    ) -> Result<Run, LeaseError> {
        let cell = self.0.cell(id, subject)?;
        self.look(cell, subject, lent, |cell, machine, now| {
            let may_begin = || cell.family().may_begin(&id.key_version, lent.is_some(), now.at);
            machine.step_if(subject.binding.version, now, may_begin)
        })
        .await
    }

    /// The same lease with a session newer than that of `used`, which the cloud no longer honours.
    pub(crate) async fn live_with_newer_session(
        &self,
        used: &Run,
        subject: &Subject,
        lent: Option<Loan<'_>>,
    ) -> Result<Run, LeaseError> {
        self.look(Arc::clone(&used.cell), subject, lent, |_, machine, now| {
            machine.renew_now(&used.live, subject.binding.version, now)
        })
        .await
    }

    /// Waits for the newest proof under way of one version, if there is one, whatever comes of it.
    pub(crate) async fn proofs_under_way(&self, version: &KeyVersion, subject: &Subject) {
        let mut cells = self.0.existing(subject.name()).into_iter();
        if let Some(cell) = cells.find(|cell| cell.id().key_version == *version)
            && let Some(Some(landing)) = cell.enter(|machine, _| machine.under_way())
        {
            let _ = cell.landed(landing, self.deadline()).await;
        }
    }

    async fn look(
        &self,
        mut cell: Arc<Cell>,
        subject: &Subject,
        lent: Option<Loan<'_>>,
        ask: impl Fn(&Cell, &mut Machine, Now) -> Step,
    ) -> Result<Run, LeaseError> {
        let deadline = self.deadline();
        for _ in 0..MAX_LOOKS {
            if let Some(lent) = lent {
                cell.family().recall(&cell.id().key_version, lent, self.0.clock.now())?;
            }
            let step = cell.enter(|machine, now| {
                machine.follow(subject, now);
                ask(&cell, machine, now)
            });
            match step {
                None => cell = self.0.cell(cell.id(), subject)?,
                Some(Step::Serve(live)) => return Ok(Run { cell, live }),
                Some(Step::Fail(error)) => {
                    lent.into_iter().for_each(|lent| cell.lent.offer(lent));
                    return Err(error);
                }
                Some(Step::Pause(landing)) => {
                    // Whatever the verdict, the next look sees what it did.
                    let _ = cell.landed(landing, deadline).await;
                }
                Some(Step::Wait(landing, start)) => {
                    let ours = start.is_some();
                    if let Some(start) = start {
                        lent.into_iter().for_each(|lent| cell.lent.offer(lent));
                        cell.launch_with(start, lent);
                    }
                    match cell.landed(landing, deadline).await {
                        Ok(()) | Err(LeaseError::LeaseOver) => {}
                        // What was refused is what another caller lent. Of anything else the next look tells.
                        Err(LeaseError::Rejected(_) | LeaseError::RequestDenied(_)) if !ours => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Err(LeaseError::LeaseOver)
    }

    fn deadline(&self) -> Moment {
        self.0.clock.now() + self.0.settings.proof_wait
    }
}

/// While it lives, the binding counts as in use.
#[must_use = "dropping the guard ends the hold"]
pub struct HoldGuard {
    hub: Arc<Hub>,
    family: Arc<Family>,
    binding: BindingName,
}

impl HoldGuard {
    fn new(hub: &Arc<Hub>, cell: &Cell) -> Self {
        cell.family().hold();
        let (hub, family) = (Arc::clone(hub), Arc::clone(cell.family()));
        let guard = Self { hub, family, binding: cell.id().binding.clone() };
        guard.tell();
        guard
    }

    /// Whose lease it holds.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.binding.tenant()
    }

    /// Every lease looks at who holds whenever it is looked at itself.
    fn tell(&self) {
        for cell in self.hub.existing(&self.binding) {
            cell.with(|_, _| ());
        }
    }
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        self.family.unhold();
        for cell in self.hub.existing(&self.binding) {
            // One that is over, and was kept for its holders alone, is forgotten with the last of them.
            if cell.with(|machine, _| machine.is_dormant()) {
                self.hub.retire(&cell);
            }
        }
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
