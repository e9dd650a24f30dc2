//! The secrets that sessions were issued, for tests that look for them where they should be no more.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::secret::SecretText;

/// How many are remembered, the newest. A session of AWS has two, all others one.
const CAPACITY: usize = 4096;

/// The secrets of tenants' sessions. They leave the simulator in process alone, never over its control interface.
#[derive(Debug, Default)]
pub(crate) struct Issued(Mutex<VecDeque<SecretText>>);

impl Issued {
    pub(crate) fn note(&self, secret: SecretText) {
        let mut secrets = self.lock();
        if secrets.len() == CAPACITY {
            secrets.pop_front();
        }
        secrets.push_back(secret);
    }

    pub(crate) fn all(&self) -> Vec<SecretText> {
        self.lock().iter().cloned().collect()
    }

    /// A panic elsewhere cannot have broken the list: every critical section is a push, a pop or a copy.
    fn lock(&self) -> MutexGuard<'_, VecDeque<SecretText>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
