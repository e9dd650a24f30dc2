//! Something that may be spent in a burst after a quiet time, and then comes back one by one.

use std::time::Duration;

use leasehold_clock::Moment;

/// What may be spent. Counted by what is spent, so that nothing has to be counted while nothing is.
#[derive(Debug)]
pub(crate) struct Tokens {
    burst: u32,
    refill: Duration,
    spent: u32,
    /// Since when the next one comes back.
    since: Moment,
}

impl Tokens {
    /// `burst` of them, of which one comes back in each `refill`.
    pub(crate) fn new(burst: u32, refill: Duration, now: Moment) -> Self {
        Self { burst, refill, spent: 0, since: now }
    }

    /// Spends one.
    ///
    /// # Errors
    /// How long until the next one is back.
    pub(crate) fn take(&mut self, now: Moment) -> Result<(), Duration> {
        self.any(now)?;
        if self.spent == 0 {
            self.since = now;
        }
        self.spent += 1;
        Ok(())
    }

    /// Whether there is one to spend.
    ///
    /// # Errors
    /// How long until the next one is back.
    pub(crate) fn any(&mut self, now: Moment) -> Result<(), Duration> {
        self.refill(now);
        match self.spent < self.burst {
            true => Ok(()),
            false => Err(self.refill.saturating_sub(now.since(self.since))),
        }
    }

    /// Gives back what was spent for nothing.
    pub(crate) fn give_back(&mut self, count: u32) {
        self.spent = self.spent.saturating_sub(count);
    }

    /// Whether nothing is spent.
    pub(crate) fn is_full(&mut self, now: Moment) -> bool {
        self.refill(now);
        self.spent == 0
    }

    fn refill(&mut self, now: Moment) {
        let back = now.since(self.since).as_nanos() / self.refill.as_nanos();
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        self.spent = self.spent.saturating_sub(back);
        self.since = self.since + self.refill.saturating_mul(back);
    }
}
