//! Token buckets: how often something may be done.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_clock::{Moment, TimeSource};

/// Buckets held before full ones, which are as good as none, are dropped. 16,384 of some 100 bytes are 2 MiB.
const MAX_HELD: usize = 16_384;

/// How often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    pub(crate) burst: f64,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Moment,
}

/// A bucket for each of something.
pub(crate) struct Buckets<K> {
    rate: Rate,
    clock: Arc<dyn TimeSource>,
    held: Mutex<HashMap<K, Bucket>>,
}

impl<K: Hash + Eq + Clone> Buckets<K> {
    pub(crate) fn new(rate: Rate, clock: Arc<dyn TimeSource>) -> Self {
        Self { rate, clock, held: Mutex::default() }
    }

    /// Takes a token of `key`'s.
    ///
    /// # Errors
    /// How long until there is one.
    pub(crate) fn take(&self, key: &K) -> Result<(), Duration> {
        let now = self.clock.now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX_HELD && !held.contains_key(key) {
            held.retain(|_, bucket| !bucket.is_full(self.rate, now));
            if held.len() >= MAX_HELD {
                return Err(self.rate.refill());
            }
        }
        let bucket = held.entry(key.clone()).or_insert(Bucket { tokens: self.rate.burst, filled: now });
        bucket.take(self.rate, now)
    }
}

impl Rate {
    /// How long one token takes to grow.
    fn refill(self) -> Duration {
        Duration::from_secs_f64((1.0 / self.per_second).clamp(0.001, 3600.0))
    }
}

impl Bucket {
    fn take(&mut self, rate: Rate, now: Moment) -> Result<(), Duration> {
        self.tokens = self.grown(rate, now);
        self.filled = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(rate.refill().mul_f64(1.0 - self.tokens))
    }

    fn is_full(&self, rate: Rate, now: Moment) -> bool {
        self.grown(rate, now) >= rate.burst
    }

    fn grown(&self, rate: Rate, now: Moment) -> f64 {
        (self.tokens + now.since(self.filled).as_secs_f64() * rate.per_second).min(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use leasehold_clock::ManualClock;

    use super::*;

    fn buckets(clock: &ManualClock) -> Buckets<u32> {
        Buckets::new(Rate { per_second: 0.2, burst: 3.0 }, Arc::new(clock.clone()))
    }

    #[tokio::test]
    async fn p9_a_burst_and_then_the_rate() {
        let clock = ManualClock::new();
        let buckets = buckets(&clock);
        for _ in 0..3 {
            assert_eq!(buckets.take(&1), Ok(()));
        }
        assert_eq!(buckets.take(&1), Err(Duration::from_secs(5)));
        assert_eq!(buckets.take(&2), Ok(()), "another's bucket is another");
        clock.advance(Duration::from_secs(4)).await;
        let wait = buckets.take(&1).unwrap_err();
        assert!((0.9..1.1).contains(&wait.as_secs_f64()), "{wait:?}");
        clock.advance(Duration::from_secs(2)).await;
        assert_eq!(buckets.take(&1), Ok(()));
        assert!(buckets.take(&1).is_err());
        clock.advance(Duration::from_secs(3600)).await;
        assert_eq!((0..9).filter(|_| buckets.take(&1).is_ok()).count(), 3, "never more than the burst");
    }

    #[tokio::test]
    async fn p9_the_number_of_buckets_is_bounded_and_full_ones_make_room() {
        let clock = ManualClock::new();
        let buckets = buckets(&clock);
        for key in 0..u32::try_from(MAX_HELD).unwrap() {
            assert_eq!(buckets.take(&key), Ok(()));
        }
        assert!(buckets.take(&u32::MAX).is_err());
        clock.advance(Duration::from_secs(5)).await;
        assert_eq!(buckets.take(&u32::MAX), Ok(()));
        assert_eq!(buckets.held.lock().unwrap().len(), 1);
    }
}
