//! What could not be recorded, until it can be said.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::record::shorten;
use crate::{AuditError, Entry, Gap, OnFailure, Outcome, Record};

/// Counts what is lost.
#[derive(Debug, Default)]
pub(crate) struct Losses(Mutex<Option<Lost>>);

/// What was lost since something was.
#[derive(Debug, Clone)]
pub(crate) struct Lost {
    since: SystemTime,
    records: u64,
    served: u64,
    error: Box<str>,
}

impl Losses {
    /// Counts `record`, which could not be kept because of `error`.
    pub(crate) fn count(&self, record: &Record, error: &AuditError, now: SystemTime) {
        self.merge(Lost {
            since: now,
            records: 1,
            served: u64::from(record.outcome == Outcome::Served),
            error: described(error),
        });
    }

    /// What was lost so far, to be recorded; whoever cannot gives it back by [`merge`](Self::merge).
    pub(crate) fn take(&self) -> Option<Lost> {
        self.lost().take()
    }

    pub(crate) fn merge(&self, more: Lost) {
        let mut lost = self.lost();
        *lost = Some(match lost.take() {
            None => more,
            Some(lost) => {
                let (first, other) = if lost.since <= more.since { (lost, more) } else { (more, lost) };
                Lost { records: first.records + other.records, served: first.served + other.served, ..first }
            }
        });
    }

    /// Whether there is something to say.
    pub(crate) fn are_there(&self) -> bool {
        self.lost().is_some()
    }

    fn lost(&self) -> MutexGuard<'_, Option<Lost>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lost {
    pub(crate) fn to_entry(&self, on_failure: OnFailure, now: SystemTime) -> Entry {
        Entry::Gap(Gap {
            time: now,
            since: self.since,
            lost: self.records,
            lost_served: self.served,
            on_failure,
            error: self.error.clone(),
        })
    }
}

fn described(error: &AuditError) -> Box<str> {
    let mut described = match error {
        AuditError::Write(source) => source.to_string(),
        other => other.to_string(),
    };
    shorten(&mut described);
    described.into()
}
