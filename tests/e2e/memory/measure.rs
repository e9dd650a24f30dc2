//! One cloud from its tenants' first keys to their last denial, with a look at the memory at every turn.

use std::ops::Range;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::time::Duration;

use leasehold_clock::{Moment, SystemClock, TimeSource};

use super::ends::{End, Ended};
use super::needle::{Needles, spellings};
use super::paths::{Subject, Way};
use super::refused::Refused;
use super::scan::{Extent, Look, look};
use super::wire::{Reader, Wire};
use crate::cloud::Cloud;
use crate::served::Process;

/// How long anything may stay behind once its lease has ended.
pub(crate) const AT_MOST: Duration = Duration::from_secs(5);

/// How long what was refused may stay with its connection, which is closed 30 s after it.
pub(crate) const REFUSED_AT_MOST: Duration = Duration::from_secs(35);

/// How often it is looked when seconds count.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The tenant whose lease lasts until the end.
pub(super) const STEADY: &str = "steady";

/// How many copies of some secrets there were, and how long until there was none.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) keys: usize,
    /// While their connections were open, or their sessions live.
    pub(crate) open: usize,
    pub(crate) gone: Gone,
}

/// When nothing was left.
#[derive(Debug)]
pub(crate) enum Gone {
    /// So long after the connections were closed, the lease ended, or the calls were refused.
    After(Duration),
    /// This was left when looking ended.
    Never(Vec<String>),
}

/// What was written to files.
#[derive(Debug)]
pub(crate) struct Written {
    /// Bytes of each.
    pub(crate) log: usize,
    pub(crate) audit: usize,
    /// What of it is secret.
    pub(crate) secrets: Vec<String>,
}

/// What a dump of the process would hold, and whether it made one when it was killed.
#[derive(Debug)]
pub(crate) struct Core {
    /// What killed it.
    pub(crate) signal: &'static str,
    pub(crate) dumped: bool,
    /// Memory that was read.
    pub(crate) bytes: usize,
    /// Mappings that the kernel shows to nobody.
    pub(crate) unreadable: Vec<String>,
    pub(crate) copies: Vec<String>,
}

/// All that was seen on one cloud.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) cloud: Cloud,
    pub(crate) ways: Vec<Row>,
    pub(crate) ends: Vec<Ended>,
    pub(crate) refused: Row,
    pub(crate) sessions: Row,
    pub(crate) written: Written,
    pub(crate) core: Core,
}

/// A process under observation.
pub(crate) struct Scene {
    pub(crate) process: Process,
    /// Every key that was sent.
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) real: SystemClock,
}

pub(crate) async fn measure(cloud: Cloud) -> Measured {
    let mut tenants: Vec<_> = End::ALL.iter().map(|(_, tenant, _)| *tenant).collect();
    tenants.push(STEADY);
    let process = Process::of(cloud, &tenants).await;
    let mut scene = Scene { process, keys: Vec::new(), real: SystemClock::start() };
    // Something that is in its memory for certain, so that looking is known to find.
    let control = Needles::of_texts(["LEASEHOLD__LISTEN__UNIX"]);
    assert!(!scene.look(&control, Extent::Writable).copies.is_empty());
    let refused = Refused::by(&mut scene).await;
    let mut ways = Vec::new();
    for (way, what) in Way::ALL {
        ways.push(scene.walk(way, what).await);
    }
    let mut ends = Vec::new();
    for (end, tenant, what) in End::ALL {
        ends.push(scene.end(end, tenant, what).await);
    }
    let refused = refused.until_gone().await;
    let sessions = scene.end_sessions().await;
    let written = scene.written();
    let core = scene.kill(cloud).await;
    Measured { cloud, ways, ends, refused, sessions, written, core }
}

impl Scene {
    /// Sends keys along a way, then closes the connection.
    async fn walk(&mut self, way: Way, what: &'static str) -> Row {
        let subject = Subject { process: &self.process, tenant: STEADY };
        let wire = Wire::open(&self.process.socket(), Reader::Ready).await;
        let keys = subject.send(way, &wire).await;
        let needles = Needles::of_keys(&keys);
        let open = self.look(&needles, Extent::Writable).copies.len();
        drop(wire);
        let gone = self.until_gone(&needles).await;
        let row = Row { what, keys: keys.len(), open, gone };
        self.keys.extend(keys);
        row
    }

    /// Ends the last live lease, and with it the last session.
    async fn end_sessions(&self) -> Row {
        let issued = self.issued();
        let needles = Needles::of_texts(&issued);
        let open = self.look(&needles, Extent::Writable).copies.len();
        self.suspend(STEADY).await;
        let gone = self.until_gone(&needles).await;
        Row { what: "credentials of sessions", keys: issued.len(), open, gone }
    }

    /// The secrets of sessions. Of a token with claims in it, which others share, only the signature is one.
    fn issued(&self) -> Vec<String> {
        let issued = self.process.cloud.control().issued_secrets();
        issued.iter().map(|secret| secret.expose().rsplit('.').next().unwrap().to_owned()).collect()
    }

    async fn suspend(&self, tenant: &str) {
        let name = format!("tenants/{tenant}");
        let suspend = leasehold_api::v1::SuspendTenantRequest { name, ..Default::default() };
        let call = |mut t: crate::world::Tenants, q| async move { t.suspend_tenant(q).await };
        self.process.client.tenants(suspend, call).await.unwrap();
    }

    /// What is in the log and the audit file, in any spelling.
    fn written(&self) -> Written {
        let (log, audit) = (self.process.log(), self.process.audit());
        let debug = |key: &[u8]| format!("{key:?}").trim_matches(['[', ']']).to_owned().into_bytes();
        let keys = self.keys.iter().flat_map(|key| {
            let forms = spellings(key).into_iter().map(|(_, bytes)| bytes);
            forms.chain([debug(key)]).collect::<Vec<_>>()
        });
        let secrets: Vec<Vec<u8>> = keys.chain(self.issued().into_iter().map(String::into_bytes)).collect();
        let shown = |text: &str| {
            let lines = text.lines().map(str::as_bytes);
            let shows = |line: &&[u8]| secrets.iter().any(|secret| contains(line, secret));
            lines.filter(shows).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>()
        };
        Written { log: log.len(), audit: audit.len(), secrets: [shown(&log), shown(&audit)].concat() }
    }

    /// Looks at all that can be read, which is more than a core dump has, then kills the process in the way that dumps core.
    async fn kill(&mut self, cloud: Cloud) -> Core {
        let everything = Needles::of_keys(&self.keys);
        let look = self.look(&everything, Extent::Everything);
        // Whoever may lift the limit that the process set for itself does so; its other measure has to do then.
        let pid = self.process.pid().to_string();
        let lifted = Command::new("prlimit").args(["--core=unlimited:unlimited", "--pid", &pid]).output();
        drop(lifted);
        // Three of those that dump core.
        let signal = match cloud {
            Cloud::Aws => "ABRT",
            Cloud::Azure => "QUIT",
            Cloud::Gcp => "BUS",
        };
        self.process.signal(signal);
        if signal == "BUS" {
            // The runtime takes the first for an overflow of a stack, finds none, and lets the next one through.
            self.real.sleep(Duration::from_millis(100)).await;
            self.process.signal(signal);
        }
        let status = self.process.ended().await;
        assert!(status.signal().is_some(), "it was killed: {status}");
        Core {
            signal,
            dumped: status.core_dumped(),
            bytes: look.bytes,
            unreadable: look.unreadable,
            copies: look.copies,
        }
    }

    pub(crate) fn look(&self, needles: &Needles, extent: Extent) -> Look {
        look(self.process.pid(), needles, extent)
    }

    /// Looks again and again until nothing is left.
    pub(crate) async fn until_gone(&self, needles: &Needles) -> Gone {
        let begun = self.real.now();
        until_gone(self.process.pid(), needles, &self.real, begun..begun + AT_MOST, LOOK_EVERY).await
    }
}

/// Looks every so often until nothing is left of `needles`, counting from the start of `span`, or the span is over.
pub(crate) async fn until_gone(
    pid: u32,
    needles: &Needles,
    clock: &SystemClock,
    span: Range<Moment>,
    every: Duration,
) -> Gone {
    loop {
        let look = look(pid, needles, Extent::Writable);
        let now = clock.now();
        if look.copies.is_empty() {
            return Gone::After(now.since(span.start));
        }
        if now > span.end {
            return Gone::Never(look.copies);
        }
        clock.sleep(every).await;
    }
}

fn contains(text: &[u8], secret: &[u8]) -> bool {
    text.windows(secret.len()).any(|window| window == secret)
}
