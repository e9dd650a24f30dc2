//! Core dumps, in a process of its own because the change cannot be undone.
#![expect(unsafe_code, reason = "asking for the dumpable flag has no safe interface in std")]

use std::fs;

#[test]
fn a_hardened_process_leaves_no_core_dump() {
    // SAFETY: this option takes no pointer.
    let dumpable = || unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) };
    assert_eq!(dumpable(), 1, "before");

    let report = leasehold_secret::process::harden();

    assert!(report.is_complete(), "{report}");
    assert_eq!(report.to_string(), "core dumps off");
    assert_eq!(dumpable(), 0);
    let limits = fs::read_to_string("/proc/self/limits").unwrap();
    let core = limits.lines().find_map(|l| l.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().take(2).collect::<Vec<_>>(), ["0", "0"], "soft and hard");
}
