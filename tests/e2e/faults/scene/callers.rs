//! What the callers of a server get while one of its clouds is in trouble, and after it.

use std::time::Duration;

use leasehold_api::v1::{self, BindingState, LeaseState, Verdict};
use leasehold_client::{Client, ClientError, KeyLength, Leased, PlaintextKey, WrappedKey};
use leasehold_clock::{Moment, TimeSource};

use super::{FAULT, Props, Scene};
use crate::faults::pause;
use crate::faults::report::{Cell, Column, Took, When};
use crate::faults::rows::Expect;
use crate::watcher::Watcher;
use crate::world::{BINDING, BOUND, activate, context, id};

/// How long anything may take at all. Everything that does is a defect.
const HANG: Duration = Duration::from_secs(40);

/// How long after the end of the lease it is still tried.
const LITTLE: Duration = Duration::from_millis(1500);

/// The longest that a cloud asks us to stay away in these scenes, and the pause between two proofs.
const LONGEST_RECOVERY: Duration = Duration::from_secs(75);

const SERVED: &str = "served";
const PASSED: &str = "passed";
const FAILED: &str = "failed: ";
const HANGS: &str = "hangs";

/// What is no denial and passes by itself.
const PASSING: [&str; 4] = ["CLOUD_UNAVAILABLE", "THROTTLED", "LEASE_LAPSED", "DEADLINE_EXCEEDED"];

impl Scene {
    /// One call of each kind, all at once, each on a connection of its own.
    pub(super) async fn calls(&self) -> Vec<Cell> {
        let (user, props) = (id(&self.cast.user), &self.props);
        let [a, b, c, d, e, f, g] = [(); 7].map(|()| self.client());
        let own = PlaintextKey::generate(a.arena(), KeyLength::B32).unwrap();
        let main = context("main");
        let cells = tokio::join!(
            self.cell(Column::Generate, async {
                served(a.generate_data_key(&user, KeyLength::B32, &main).await)
            }),
            self.cell(Column::Wrap, async { served(b.wrap_key(&user, own, &main).await) }),
            self.cell(Column::Unwrap, async {
                served(unwrap(&c, &self.cast.user, &props.uncached, "uncached").await)
            }),
            self.cell(Column::UnwrapWithoutLease, async {
                served(unwrap(&d, &self.cast.cold, &props.cold, "cold").await)
            }),
            self.cell(Column::Rewrap, async {
                let rewrapped = e.rewrap_key(&user, &props.rewrapped.1, &context("rewrapped"), None).await;
                served(rewrapped)
            }),
            self.cell(Column::Activate, async { served(activate(&f, &self.cast.new, BINDING).await) }),
            self.cell(Column::Verify, async { verified(&g, &self.cast.user).await }),
        );
        let (generate, wrap, unwrap, without, rewrap, activate, verify) = cells;
        vec![generate, wrap, unwrap, without, rewrap, activate, verify]
    }

    /// What `call` comes to, and when.
    async fn cell(&self, column: Column, call: impl Future<Output = String>) -> Cell {
        let began = self.clock.now();
        let got = tokio::time::timeout(HANG, call).await.unwrap_or_else(|_| HANGS.to_owned());
        Cell { column, got, when: self.when(began, self.clock.now()) }
    }

    /// What is cached is served until the lease ends, and not longer.
    pub(super) async fn cached(&self, (least, most): (Moment, Moment)) -> (Cell, Vec<String>) {
        let (client, props) = (self.client(), &self.props);
        let (mut cell, mut wrong) = (None, Vec::new());
        let lasts = self.row.expect == Expect::Served;
        while self.clock.now() < most + LITTLE {
            let asked = self.clock.now();
            let answer = unwrap(&client, &self.cast.user, &props.cached, "cached").await;
            let (answered, expires) = (self.clock.now(), answer.as_ref().ok().map(|l| l.expires));
            let got = served(answer);
            match expires {
                Some(expires) if !lasts && (expires > most || asked > most) => {
                    wrong.push(format!("the lease was lengthened by {:?}", expires.max(asked).since(most)));
                }
                None if lasts || answered < least => {
                    wrong.push(format!("{got} {:?} before the end of the lease", least.since(answered)));
                }
                None if !PASSING.contains(&&*got) => wrong.push(format!("{got} at the end of the lease")),
                _ => {}
            }
            let when = self.when(asked, answered);
            cell.get_or_insert(Cell { column: Column::UnwrapCached, got, when });
            pause(Duration::from_millis(400)).await;
        }
        (cell.unwrap(), wrong)
    }

    /// What whoever holds copies is told, and when.
    pub(super) async fn watched(
        &self,
        watcher: &mut Watcher,
        began: Moment,
        (least, most): (Moment, Moment),
    ) -> (Cell, Vec<String>) {
        let mut wrong = Vec::new();
        let told = loop {
            let left = (began + FAULT).since(self.clock.now());
            match tokio::time::timeout(left, watcher.told()).await {
                Err(_) => break None,
                Ok(update) if update.state == LeaseState::Live => {
                    if self.row.expect == Expect::Outage && update.expires.is_some_and(|at| at > most) {
                        wrong.push("a holder was told of a longer lease".to_owned());
                    }
                }
                Ok(update) => break Some(update.state),
            }
        };
        let now = self.clock.now();
        match (self.row.expect, told) {
            (Expect::Served, None) | (Expect::Outage, Some(LeaseState::Lapsed)) => {}
            (_, state) => wrong.push(format!("the holder was told {state:?}")),
        }
        if told.is_some() && (now < least || self.when(most, now).least > When::Within3) {
            wrong.push(format!("the holder was told {:?} after the proof", now.since(least) + BOUND));
        }
        let (got, when) = match told {
            None => ("stays LIVE".to_owned(), Took::known(When::Always)),
            Some(state) => (state.as_str_name().replace("LEASE_STATE_", ""), Took::known(When::AtTheBound)),
        };
        (Cell { column: Column::Watch, got, when }, wrong)
    }

    /// Tenants who have no part in it: one on another cloud, and, if the cloud troubles single tenants, one on this.
    pub(super) async fn neighbours(&self, until: Moment) -> (Cell, Vec<String>) {
        let client = self.client();
        let mut wrong = Vec::new();
        let mut slowest = Took::known(When::Within3);
        let mut tenants = vec![&self.neighbour];
        if self.row.is_of_single_tenants() {
            tenants.push(&self.cast.beside);
        }
        while self.clock.now() < until {
            for tenant in &tenants {
                let asked = self.clock.now();
                let made = client.generate_data_key(&id(tenant), KeyLength::B32, &context("main")).await;
                if let Err(error) = made {
                    wrong.push(format!("{tenant}: {error}"));
                }
                slowest = slowest.max(self.when(asked, self.clock.now()));
            }
            pause(Duration::from_millis(500)).await;
        }
        if slowest.least > When::Within3 {
            wrong.push("others had to wait".to_owned());
        }
        let which = if tenants.len() == 1 { "served" } else { "served, on this cloud too" };
        (Cell { column: Column::Others, got: which.to_owned(), when: slowest }, wrong)
    }

    /// Nobody acts, and all is well again.
    pub(super) async fn recovered(&self, watcher: &mut Watcher, wrong: &mut Vec<String>) -> Cell {
        let ended = self.clock.now();
        let live = async {
            while watcher.last.state != LeaseState::Live {
                watcher.told().await;
            }
        };
        let (got, when) = match tokio::time::timeout(LONGEST_RECOVERY, live).await {
            Ok(()) if self.row.expect == Expect::Served => {
                ("never gone".to_owned(), Took::known(When::Always))
            }
            Ok(()) => {
                ("LIVE".to_owned(), self.when(ended, self.clock.now()).max(Took::known(When::Within14)))
            }
            Err(_) => (HANGS.to_owned(), Took::known(When::Never)),
        };
        if got == HANGS {
            wrong.push("the lease never came back".to_owned());
        }
        let (client, user) = (self.client(), &self.cast.user);
        let Props { cached, uncached, rewrapped, cold } = &self.props;
        let cold = async {
            while let Err(error) = unwrap(&client, &self.cast.cold, cold, "cold").await {
                assert!(is_passing(&error), "{error}");
                pause(Duration::from_millis(250)).await;
            }
        };
        if tokio::time::timeout(LONGEST_RECOVERY, cold).await.is_err() {
            wrong.push("a tenant without a lease never got one".to_owned());
        }
        for (made, branch) in [(cached, "cached"), (uncached, "uncached"), (rewrapped, "rewrapped")] {
            match unwrap(&client, user, made, branch).await {
                Ok(leased) if leased.value.matches(&made.0) => {}
                Ok(_) => wrong.push(format!("{branch} is another key after it")),
                Err(error) => wrong.push(format!("{branch} after it: {error}")),
            }
        }
        if let Err(error) = self.activated(&client).await {
            wrong.push(format!("a new binding after it: {error}"));
        }
        let after = verified(&client, user).await;
        if after != PASSED {
            wrong.push(format!("the verification after it: {after}"));
        }
        Cell { column: Column::Recovery, got, when }
    }

    /// The new tenant's binding, which is PENDING or ACTIVE and nothing else, can be activated if it is not.
    async fn activated(&self, client: &Client) -> Result<(), ClientError> {
        let name = format!("tenants/{}/bindings/{BINDING}", self.cast.new);
        let get = v1::GetBindingRequest { name };
        let binding = client.tenants(get, |mut t, q| async move { t.get_binding(q).await }).await?;
        match binding.binding.unwrap().state() {
            BindingState::Active => Ok(()),
            BindingState::Pending => activate(client, &self.cast.new, BINDING).await.map(|_| ()),
            state => panic!("the binding is {state:?}"),
        }
    }

    /// What no cell may say, whatever is committed.
    pub(super) fn wrong_answers(&self, cells: &[Cell], wrong: &mut Vec<String>) {
        for cell in cells.iter().filter(|cell| cell.column.is_call()) {
            let plain = cell.got.trim_start_matches(FAILED);
            let fine = plain == SERVED || plain == PASSED || PASSING.contains(&plain);
            if !fine || (self.row.expect == Expect::Served && PASSING.contains(&plain)) {
                wrong.push(format!("{}: {}", cell.column.name(), cell.got));
            }
            if cell.when.least == When::Never {
                wrong.push(format!("{} took longer than any deadline", cell.column.name()));
            }
        }
    }
}

fn is_passing(error: &ClientError) -> bool {
    matches!(error, ClientError::Refused(refusal) if refusal.is_passing() && !refusal.is_denial())
}

fn served<T>(result: Result<T, ClientError>) -> String {
    match result {
        Ok(_) => SERVED.to_owned(),
        Err(ClientError::Refused(refusal)) => match refusal.reason() {
            Some(reason) => reason.wire_name().to_owned(),
            None => format!("{:?}: {}", refusal.code(), refusal.message()),
        },
        Err(error) => error.to_string(),
    }
}

async fn verified(client: &Client, tenant: &str) -> String {
    let name = format!("tenants/{tenant}/bindings/{BINDING}");
    let verify = v1::VerifyBindingRequest { name, excess_permissions: false };
    let report = client.tenants(verify, |mut t, q| async move { t.verify_binding(q).await }).await;
    match report {
        Ok(report) if report.verdict() == Verdict::Failed => {
            format!("{FAILED}{}", report.reason().wire_name())
        }
        Ok(_) => PASSED.to_owned(),
        refused => served(refused),
    }
}

pub(super) async fn unwrap(
    client: &Client,
    tenant: &str,
    made: &(PlaintextKey, WrappedKey),
    branch: &str,
) -> Result<Leased<PlaintextKey>, ClientError> {
    client.unwrap_key(&id(tenant), &made.1, &context(branch)).await
}
