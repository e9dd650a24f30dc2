//! The matrix as people read it.

use std::fmt::Write;
use std::time::Duration;

use crate::cloud::Cloud;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Generate,
    Wrap,
    Unwrap,
    UnwrapCached,
    UnwrapWithoutLease,
    Rewrap,
    Activate,
    Verify,
    Watch,
    Others,
    Recovery,
}

impl Column {
    const ALL: [Self; 11] = [
        Self::Generate,
        Self::Wrap,
        Self::Unwrap,
        Self::UnwrapCached,
        Self::UnwrapWithoutLease,
        Self::Rewrap,
        Self::Activate,
        Self::Verify,
        Self::Watch,
        Self::Others,
        Self::Recovery,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
            Self::UnwrapCached => "unwrap, cached",
            Self::UnwrapWithoutLease => "unwrap, no lease",
            Self::Rewrap => "rewrap",
            Self::Activate => "activate",
            Self::Verify => "verify",
            Self::Watch => "watch",
            Self::Others => "other tenants",
            Self::Recovery => "after it",
        }
    }

    /// Whether it is about the answer to one call of the tenant's.
    pub(crate) fn is_call(self) -> bool {
        self < Self::Watch
    }
}

/// What somebody got, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) column: Column,
    pub(crate) got: String,
    pub(crate) when: Took,
}

/// How soon something came, on a machine that is slow itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Took {
    /// If the machine was slow for every call that it is made of.
    pub(crate) least: When,
    likely: When,
    /// If the machine had no part in it.
    most: When,
}

/// How soon, so coarse that a busy machine says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum When {
    /// It is about no moment.
    Always,
    /// Nothing was waited for.
    Within3,
    /// One call to the cloud was given up: 5 s.
    Within8,
    /// So was a proof: 10 s, and 12 s until a request waits no longer.
    Within14,
    /// A call's deadline passed, or the lease's bound: 15 s.
    Within17,
    /// When the lease ended.
    AtTheBound,
    /// A cloud that says so is left alone for a minute.
    Within75,
    /// Later than anything may be.
    Never,
}

impl When {
    const SECONDS: [(Self, u64); 5] = [
        (Self::Within3, 3),
        (Self::Within8, 8),
        (Self::Within14, 14),
        (Self::Within17, 17),
        (Self::Within75, 75),
    ];

    fn after(span: Duration) -> Self {
        let fits = Self::SECONDS.into_iter().find(|(_, seconds)| span < Duration::from_secs(*seconds));
        fits.map_or(Self::Never, |(when, _)| when)
    }

    fn text(self) -> String {
        if self == Self::AtTheBound {
            return " at 15 s".to_owned();
        }
        let seconds = Self::SECONDS.iter().find(|(when, _)| *when == self);
        seconds.map(|(_, seconds)| format!(" < {seconds} s")).unwrap_or_default()
    }

    fn read(text: &str) -> Option<Self> {
        let all = Self::SECONDS.iter().map(|(when, _)| *when).chain([Self::Always, Self::AtTheBound]);
        all.into_iter().find(|when| when.text() == text)
    }
}

/// A call to us is up to three to a cloud, if the first two fail.
const CALLS: u32 = 3;

impl Took {
    /// After `span`, while the machine took `slowness` for a call that nothing holds up.
    pub(crate) fn measured(span: Duration, slowness: Duration) -> Self {
        let less = |slowness| When::after(span.saturating_sub(slowness));
        Self { least: less(slowness * CALLS), likely: less(slowness), most: less(Duration::ZERO) }
    }

    pub(crate) fn known(when: When) -> Self {
        Self { least: when, likely: when, most: when }
    }

    /// The later of both.
    pub(crate) fn max(self, other: Self) -> Self {
        let Self { least, likely, most } = other;
        Self { least: self.least.max(least), likely: self.likely.max(likely), most: self.most.max(most) }
    }
}

impl Cell {
    /// `committed`, if that is what was seen as far as this machine can tell.
    fn reconciled(&self, committed: Option<&str>) -> String {
        let Took { least, likely, most } = self.when;
        let allowed = committed.filter(|committed| {
            let when = committed.strip_prefix(self.got.as_str()).and_then(When::read);
            when.is_some_and(|when| (least..=most).contains(&when))
        });
        allowed.map_or_else(|| format!("{}{}", self.got, likely.text()), str::to_owned)
    }
}

/// The rows of one cloud: their names, and their cells in any order.
pub(crate) type Table = Vec<(&'static str, Vec<Cell>)>;

/// The whole report. What is as `committed` says stays as it is there.
pub(crate) fn render(tables: &[(Cloud, Table)], committed: &str) -> String {
    let mut text = FRAME.to_owned();
    for (cloud, table) in tables {
        let heading = heading(*cloud);
        let before = committed.split_once(&heading).map_or("", |(_, rest)| rest);
        let before = before.split_once("\n## ").map_or(before, |(section, _)| section);
        let names: Vec<_> = Column::ALL.iter().map(|column| column.name()).collect();
        write!(text, "{heading}\n| fault | {} |\n|{}\n", names.join(" | "), "---|".repeat(names.len() + 1))
            .unwrap();
        for (row, cells) in table {
            let start = format!("| {row} | ");
            let old = before.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix(" |"));
            let old: Vec<_> = old.map(|old| old.split(" | ").collect()).unwrap_or_default();
            let new = Column::ALL.iter().enumerate().map(|(at, column)| {
                let cell = cells.iter().find(|cell| cell.column == *column);
                cell.map_or_else(|| "?".to_owned(), |cell| cell.reconciled(old.get(at).copied()))
            });
            writeln!(text, "{start}{} |", new.collect::<Vec<_>>().join(" | ")).unwrap();
        }
    }
    text
}

fn heading(cloud: Cloud) -> String {
    let name = match cloud {
        Cloud::Aws => "AWS",
        Cloud::Azure => "Azure",
        Cloud::Gcp => "Google Cloud",
    };
    format!("\n## {name}\n")
}

const FRAME: &str = "\
# What callers get when something is wrong

Measured by `tests/run.sh faults`, which also compares what it sees with this file; `LEASEHOLD_WRITE_REPORT=1 tests/run.sh faults`
writes it anew. Each row is one fault between a server and one simulated cloud, under the deadlines that we ship and for a tenant
with the shortest bound, 15 s. A proxy stands between the server and each endpoint (where principals are become, where keys are
used); what *the cloud* does comes from the cloud itself. The fault begins right after a proof and lasts for 18 s, longer than any
lease and any call.

Cells say what a caller got, and by when: `served`, or the reason of the refusal (`leasehold.v1.ErrorReason`), and less than 3, 8,
14, 17 or 75 s after the call, without what the machine took at that time for calls that nothing held up.

- *generate* to *verify* are calls at the start of the fault, all at once, each on its own connection. The tenant has a live lease,
  except in *unwrap, no lease*; *unwrap* is of a key that is not cached; *activate* is of a new binding. What *verify* says is the
  verdict of its report.
- *watch* is what an engine that holds keys is told, and when after the proof.
- *other tenants* are served all the while by the same server, on another cloud, and on the same one if the fault is of single
  tenants; the time is the slowest of their calls.
- *after it* is how long after the end of the fault the lease is live again, with nobody acting.

In every row, besides: no fault is taken for a denial. Cached keys are served until the lease ends, which it does neither earlier
nor later than the bound after the last proof. Afterwards every key unwraps to what it was, the new binding can be activated, and
a verification passes.

Of the times: 5 s is the deadline of a call to a cloud with all its attempts, 2 s each; 10 s that of a proof, which is two calls;
12 s what a request waits for a proof; 15 s the deadline of a call to us, and the bound. Entra ID asks whom it throttles to stay
away for a minute, and we do.
";
