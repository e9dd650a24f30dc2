//! The larger of two clocks, as a pure function of their readings.

use std::time::Duration;

/// How far the wall clock may run ahead of `CLOCK_BOOTTIME` before the difference counts as time passed. Wide enough
/// that the two readings, taken one after the other, never add up to drift; small beside the least bound of 15 s.
const TOLERANCE: Duration = Duration::from_millis(20);

/// Turns readings of `CLOCK_BOOTTIME` and of the wall clock into a span that never shrinks and never lags behind either.
///
/// The plain maximum of the two spans would freeze for an hour after a wall clock that was set forward by an hour is set
/// back, and a frozen clock ends no lease. So a jump forward of the wall clock is *added* once, and from then on the boot
/// clock goes on.
#[derive(Debug)]
pub(crate) struct Elapsed {
    boot_at_start: Duration,
    /// The least lead (in nanoseconds, wall minus boot) of the wall clock seen since the last jump.
    least_lead: i128,
    /// Time that passed by the wall clock alone.
    jumped: Duration,
    latest: Duration,
}

impl Elapsed {
    pub(crate) fn starting_at(boot: Duration, wall: Duration) -> Self {
        Self {
            boot_at_start: boot,
            least_lead: lead(boot, wall),
            jumped: Duration::ZERO,
            latest: Duration::ZERO,
        }
    }

    pub(crate) fn read(&mut self, boot: Duration, wall: Duration) -> Duration {
        let lead = lead(boot, wall);
        let ahead = Duration::from_nanos(u64::try_from((lead - self.least_lead).max(0)).unwrap_or(u64::MAX));
        if ahead > TOLERANCE {
            self.jumped = self.jumped.saturating_add(ahead);
            self.least_lead = lead;
        }
        self.least_lead = self.least_lead.min(lead);
        let elapsed = boot.saturating_sub(self.boot_at_start).saturating_add(self.jumped);
        self.latest = self.latest.max(elapsed);
        self.latest
    }
}

fn lead(boot: Duration, wall: Duration) -> i128 {
    let nanos = |d: Duration| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX / 2);
    nanos(wall) - nanos(boot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn suspend_counts_by_the_boot_clock() {
        let mut elapsed = Elapsed::starting_at(s(100), s(1_000));
        assert_eq!(elapsed.read(s(160), s(1_060)), s(60));
    }

    #[test]
    fn a_restored_snapshot_counts_by_the_wall_clock() {
        let mut elapsed = Elapsed::starting_at(s(100), s(1_000));
        assert_eq!(elapsed.read(s(101), s(4_601)), s(3_601));
    }

    #[test]
    fn time_goes_on_after_the_wall_clock_was_set_back() {
        let mut elapsed = Elapsed::starting_at(s(100), s(5_000));
        assert_eq!(elapsed.read(s(110), s(1_000)), s(10));
        assert_eq!(elapsed.read(s(120), s(1_010)), s(20));
    }

    #[test]
    fn a_wall_clock_set_forward_and_back_does_not_freeze_time() {
        let mut elapsed = Elapsed::starting_at(s(100), s(5_000));
        assert_eq!(elapsed.read(s(101), s(8_601)), s(3_601), "the jump counts: leases end early, never late");
        assert_eq!(elapsed.read(s(102), s(5_002)), s(3_602), "and time still passes after it was taken back");
    }

    #[test]
    fn readings_a_little_apart_do_not_add_up_to_drift() {
        let mut elapsed = Elapsed::starting_at(Duration::ZERO, Duration::ZERO);
        for tick in 1..=100_000u64 {
            let boot = Duration::from_micros(tick * 100);
            let noise = Duration::from_micros(if tick % 2 == 0 { 60 } else { 0 });
            elapsed.read(boot, boot + noise);
        }
        assert_eq!(elapsed.read(s(10), s(10)), s(10));
    }
}
