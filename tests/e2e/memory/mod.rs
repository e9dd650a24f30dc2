//! The memory of the real process, looked at from outside: which keys and credentials are in it, where, and for how long.
//!
//! Run by `tests/run.sh memory` against the release binary, which `LEASEHOLD_BIN` names; a debug build spills more to its
//! stacks than is ever shipped. Each cloud is measured once, and every promise is then held against what was seen. The last
//! test compares what the report says, save its figures, with the one that is committed.

mod ends;
mod measure;
mod needle;
mod paths;
mod refused;
mod report;
mod scan;
mod wire;

use std::time::Duration;

use tokio::sync::OnceCell;

use crate::cloud::{Cloud, on_every_cloud};
use measure::{AT_MOST, Gone, Measured, REFUSED_AT_MOST, measure};

/// Where the report is committed.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/memory.md");

/// Set, it is written there instead of compared.
const WRITE: &str = "LEASEHOLD_WRITE_REPORT";

/// What was seen on `cloud`, which is looked at when it is first asked for.
async fn measured(cloud: Cloud) -> &'static Measured {
    static SEEN: [OnceCell<Measured>; 3] = [const { OnceCell::const_new() }; 3];
    SEEN[cloud as usize].get_or_init(|| measure(cloud)).await
}

#[track_caller]
fn assert_gone(what: &str, gone: &Gone, at_most: Duration) {
    match gone {
        Gone::After(passed) => assert!(*passed <= at_most, "{what}: it took {passed:?}"),
        Gone::Never(places) => panic!("{what}: left are {places:#?}"),
    }
}

async fn p4_under_a_live_lease_keys_are_in_buffers_of_open_connections_alone(cloud: Cloud) {
    for row in &measured(cloud).await.ways {
        assert_gone(row.what, &row.gone, AT_MOST);
    }
}

async fn p4_nothing_is_left_once_the_wipe_has_closed_the_connections(cloud: Cloud) {
    for end in &measured(cloud).await.ends {
        assert!(end.row.open > 0, "{}: there was something to wipe", end.row.what);
        assert_gone(end.row.what, &end.row.gone, AT_MOST);
    }
}

async fn p4_what_was_refused_goes_with_its_connection(cloud: Cloud) {
    let row = &measured(cloud).await.refused;
    assert!(row.keys > 0 && row.open > 0, "something was refused, and was held");
    assert_gone(row.what, &row.gone, REFUSED_AT_MOST);
}

async fn p1_what_no_reader_has_taken_when_the_lease_ends_is_reset(cloud: Cloud) {
    for end in &measured(cloud).await.ends {
        assert_eq!(end.taken, 0, "{}: an answer was taken after the lease ended", end.row.what);
        assert_eq!(end.waiting, 0, "{}: a stream was left open", end.row.what);
    }
}

async fn p4_p8_credentials_are_gone_with_their_sessions(cloud: Cloud) {
    let row = &measured(cloud).await.sessions;
    assert!(row.keys > 0 && row.open > 0, "sessions were issued, and held while they were live");
    assert_gone(row.what, &row.gone, AT_MOST);
}

async fn p4_p8_nothing_secret_is_written_down(cloud: Cloud) {
    let written = &measured(cloud).await.written;
    assert!(written.log > 0 && written.audit > 0, "there is a log, and decisions were recorded");
    assert_eq!(written.secrets, Vec::<String>::new(), "the log or the audit file shows a secret");
}

async fn p4_a_process_that_is_killed_leaves_no_core(cloud: Cloud) {
    let core = &measured(cloud).await.core;
    assert!(!core.dumped, "it dumped core");
    assert_eq!(core.copies, Vec::<String>::new(), "a copy of its memory shows a secret");
}

on_every_cloud!(
    p4_under_a_live_lease_keys_are_in_buffers_of_open_connections_alone,
    p4_nothing_is_left_once_the_wipe_has_closed_the_connections,
    p4_what_was_refused_goes_with_its_connection,
    p1_what_no_reader_has_taken_when_the_lease_ends_is_reset,
    p4_p8_credentials_are_gone_with_their_sessions,
    p4_p8_nothing_secret_is_written_down,
    p4_a_process_that_is_killed_leaves_no_core,
);

#[tokio::test(flavor = "multi_thread")]
async fn the_report_says_what_was_seen() {
    let mut seen = Vec::new();
    for cloud in Cloud::ALL {
        seen.push(measured(cloud).await);
    }
    let report = report::write(&seen);
    println!("{report}");
    if std::env::var_os(WRITE).is_some() {
        return std::fs::write(REPORT, &report).unwrap();
    }
    let committed = std::fs::read_to_string(REPORT).unwrap();
    let news: Vec<_> = report::promises(&report);
    let old: Vec<_> = report::promises(&committed);
    assert_eq!(news, old, "{REPORT} says otherwise ({WRITE}=1 writes it)");
}
