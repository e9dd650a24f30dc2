//! What time brings: expiry, renewal, retries, release.

use leasehold_clock::Moment;

use super::{Machine, Now, Phase};
use crate::flights::{Start, Urgency};
use crate::schedule::WANTED_WITHIN;

impl Machine {
    /// Does whatever is due, and says which proof to begin.
    pub(crate) fn tick(&mut self, now: Now) -> Option<Start> {
        self.expire(now);
        if matches!(self.phase, Phase::Idle) && self.quiet_ends().is_some_and(|at| at <= now.at) {
            // Whoever holds is not forgotten: its retry is due, for we come late if the machine slept or its clock jumped.
            let retry_at = self.retry_at;
            self.forget_failures();
            self.retry_at = retry_at;
        }
        let asleep = matches!(self.phase, Phase::Idle | Phase::Suspended(_));
        if !asleep && self.idle_at().is_some_and(|at| at <= now.at) {
            self.release();
        }
        let urgency = match self.flights.can_dequeue() {
            true => self.wanted(now),
            false if self.due().is_some_and(|at| at <= now.at) => self.urgency(now),
            false => return None,
        };
        Some(self.begin(urgency).0)
    }

    /// Gives up what is held, for the next use to prove anew.
    pub(crate) fn release(&mut self) {
        self.ends += 1;
        self.leave(Phase::Idle);
    }

    /// How soon a proof is needed that nobody waits for. One of a lease that has lapsed already saves nothing from
    /// ending, so it goes behind the renewals of those that have not: an outage of one region's tenants must not
    /// starve the others' leases.
    pub(super) fn urgency(&self, now: Now) -> Urgency {
        match &self.phase {
            Phase::Denied { .. } => Urgency::Retry,
            Phase::Live(live) => Urgency::Needed { by: self.expires(live) },
            _ => Urgency::Needed { by: now.at + self.bound() },
        }
    }

    /// How soon a proof is needed that somebody wants now.
    pub(super) fn wanted(&self, now: Now) -> Urgency {
        let soon = now.at + WANTED_WITHIN;
        let by = match &self.phase {
            Phase::Live(live) => soon.min(self.expires(live)),
            _ => soon,
        };
        Urgency::Needed { by }
    }

    /// When to tick next; `None` if only somebody from outside can bring the lease to life.
    pub(crate) fn next_wake(&self) -> Option<Moment> {
        if self.flights.can_dequeue() {
            return Some(Moment::START);
        }
        match &self.phase {
            Phase::Live(live) => {
                [Some(self.expires(live)), self.idle_at(), self.due()].into_iter().flatten().min()
            }
            Phase::Denied { .. } | Phase::Lapsed => [self.idle_at(), self.due()].into_iter().flatten().min(),
            Phase::Idle => [self.due(), self.quiet_ends()].into_iter().flatten().min(),
            Phase::Suspended(_) => None,
        }
    }

    /// When the next proof is due by itself. While one is under way, none is.
    fn due(&self) -> Option<Moment> {
        if !self.flights.is_empty() {
            return None;
        }
        match &self.phase {
            // After a failed renewal its retry decides.
            Phase::Live(_) if self.failures == 0 => {
                Some(self.suspect_at.map_or(self.renew_at, |at| at.min(self.renew_at)))
            }
            Phase::Live(_) => [self.retry_at, self.suspect_at].into_iter().flatten().min(),
            Phase::Suspended(_) => None,
            _ => self.retry_at,
        }
    }

    /// When a lease that nobody uses is released.
    fn idle_at(&self) -> Option<Moment> {
        (!self.held).then(|| self.last_use + self.subject.terms.idle_after())
    }

    /// Ends a lease whose time is over.
    pub(crate) fn expire(&mut self, now: Now) {
        let Phase::Live(live) = &self.phase else { return };
        if live.generation != now.generation {
            self.ends += 1;
            self.leave(Phase::Idle);
            self.retry_at = self.held.then_some(now.at);
        } else if self.expires(live) <= now.at {
            self.leave(Phase::Lapsed);
            self.retry_at = Some(now.at);
        }
    }
}
