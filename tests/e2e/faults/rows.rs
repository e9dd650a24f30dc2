//! The faults: one row of the matrix each.

use std::time::Duration;

use leasehold_cloudsim::faults::FaultEffect;

use super::impostor::Answer;
use super::proxy::{Line, Way};

/// A fault.
pub(crate) struct Row {
    /// As the matrix names it.
    pub(crate) name: &'static str,
    pub(crate) harm: Harm,
    /// What may come of it.
    pub(crate) expect: Expect,
}

impl Row {
    /// Whether other tenants of the same cloud have no part in it.
    pub(crate) fn is_of_single_tenants(&self) -> bool {
        matches!(self.harm, Harm::Cloud(_))
    }
}

/// Where it strikes.
pub(crate) enum Harm {
    /// Between us and both endpoints of the cloud.
    Both(Line),
    /// Between us and where principals are become: STS, Entra ID, IAM Credentials.
    Trust(Line),
    /// Between us and where keys are: KMS, Key Vault, Cloud KMS.
    Key(Line),
    /// In the cloud, for what is asked of single tenants.
    Cloud(FaultEffect),
}

/// What may come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Everything is served, only later.
    Served,
    /// No proof succeeds, and the lease runs out.
    Outage,
}

const LATE: Way = Way::Late(Duration::from_secs(3));
const HELD: Line = Line::Through { up: Way::Held, down: Way::Held };

fn error(status: u16, code: &str) -> Harm {
    Harm::Cloud(FaultEffect::Error { status, code: code.to_owned(), message: String::new() })
}

/// All of them, in the order of the matrix.
pub(crate) fn all() -> Vec<Row> {
    let later = Way::Late(Duration::from_millis(10));
    let slower = Way::Narrow(64 * 1024);
    let trickle = Way::Narrow(16);
    [
        ("10 ms more in each direction", Harm::Both(Line::Through { up: later, down: later })),
        ("64 KiB/s in each direction", Harm::Both(Line::Through { up: slower, down: slower })),
    ]
    .map(|(name, harm)| Row { name, harm, expect: Expect::Served })
    .into_iter()
    .chain(
        [
            ("Requests arrive 3 s late", Harm::Both(Line::up(LATE))),
            ("Answers arrive 3 s late, after the deadline", Harm::Both(Line::down(LATE))),
            ("16 bytes/s in each direction", Harm::Both(Line::Through { up: trickle, down: trickle })),
            ("Connections are reset", Harm::Both(Line::up(Way::Reset(0)))),
            ("Reset in the middle of an answer", Harm::Both(Line::down(Way::Reset(60)))),
            ("Half-closed in place of an answer", Harm::Both(Line::down(Way::Ended(0)))),
            ("Answers end in the middle", Harm::Both(Line::down(Way::Ended(60)))),
            ("Requests end in the middle", Harm::Both(Line::up(Way::Ended(60)))),
            ("Black hole", Harm::Both(HELD)),
            ("Black hole, where principals are become", Harm::Trust(HELD)),
            ("Black hole, where keys are", Harm::Key(HELD)),
            ("Answers are lost", Harm::Both(Line::down(Way::Held))),
            ("Noise in place of answers", Harm::Both(Line::down(Way::Noise))),
            ("200 with garbage", Harm::Both(Line::Impostor(Answer::Garbage))),
            ("200 with an empty object", Harm::Both(Line::Impostor(Answer::Empty))),
            ("200 with a body cut short", Harm::Both(Line::Impostor(Answer::Short))),
            ("200 with a body of 64 MiB", Harm::Both(Line::Impostor(Answer::Endless))),
            ("403 with a middlebox's page", Harm::Both(Line::Impostor(Answer::Page))),
            ("302 to a captive portal", Harm::Both(Line::Impostor(Answer::Redirect))),
            ("The cloud throttles", Harm::Cloud(FaultEffect::Throttle)),
            ("The cloud says 500", error(500, "InternalFailure")),
            ("The cloud says 503", error(503, "ServiceUnavailable")),
            ("The cloud is silent about one tenant", Harm::Cloud(FaultEffect::Drop)),
        ]
        .map(|(name, harm)| Row { name, harm, expect: Expect::Outage }),
    )
    .collect()
}
