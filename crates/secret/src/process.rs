//! What the whole process does so that its memory stays its own.
#![expect(unsafe_code, reason = "prctl and setrlimit have no safe interface in std")]

use std::fmt;

use crate::error::OsError;

/// One measure of [`harden`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// `PR_SET_DUMPABLE` 0: no core dump whatever the core pattern, no `ptrace` and no `/proc/self/mem` for other
    /// processes of the same user (<https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html>).
    NotDumpable,
    /// `RLIMIT_CORE` 0, soft and hard: no core file, and no child can raise the limit again.
    NoCoreFile,
}

/// The name of the kernel's setting.
impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDumpable => "PR_SET_DUMPABLE",
            Self::NoCoreFile => "RLIMIT_CORE",
        })
    }
}

/// What [`harden`] achieved.
#[derive(Debug, Clone)]
#[must_use]
pub struct HardeningReport {
    failures: Vec<(Measure, OsError)>,
}

impl HardeningReport {
    /// Whether every measure is in force.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// The measures that are not in force, and why.
    pub fn failures(&self) -> impl Iterator<Item = (Measure, OsError)> + '_ {
        self.failures.iter().copied()
    }
}

impl fmt::Display for HardeningReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_complete() { "core dumps off" } else { "core dumps NOT fully off" })?;
        self.failures.iter().try_for_each(|(measure, os)| write!(f, "; {measure} failed: {os}"))
    }
}

/// Turns core dumps off for this process, as the first thing that a binary does. Each measure is tried; whether a failed
/// one is fatal is the caller's decision.
pub fn harden() -> HardeningReport {
    let measures = [(Measure::NotDumpable, set_not_dumpable()), (Measure::NoCoreFile, set_no_core_file())];
    let failures =
        measures.into_iter().filter_map(|(measure, result)| Some((measure, result.err()?))).collect();
    HardeningReport { failures }
}

fn set_not_dumpable() -> Result<(), OsError> {
    // SAFETY: this option takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) })
}

fn set_no_core_file() -> Result<(), OsError> {
    let limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel reads one `rlimit`, which outlives the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const limit) })
}

fn check(result: libc::c_int) -> Result<(), OsError> {
    if result == 0 { Ok(()) } else { Err(OsError::last()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_measure_is_reported_with_its_reason() {
        let os = OsError::from_code(libc::EPERM);
        let report = HardeningReport { failures: vec![(Measure::NoCoreFile, os)] };
        assert!(!report.is_complete());
        assert_eq!(report.failures().collect::<Vec<_>>(), [(Measure::NoCoreFile, os)]);
        let shown = report.to_string();
        assert!(shown.starts_with("core dumps NOT fully off; RLIMIT_CORE failed: "), "{shown}");
    }
}
