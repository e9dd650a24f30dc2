//! Who we are before we become anybody, and a token of our own that is kept and renewed.
//!
//! Whoever needs a token that there is none of joins a fetch that is under way, or begins one. A fetch belongs to
//! nobody: its token is kept even if everybody who waited for it has given up, so that a source that is slower than their
//! deadlines serves the next call. Whoever may have no token that was asked for earlier begins a second fetch beside one
//! that is too old; what the first attempt of a call asked for is not too old for the next one.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leasehold_provider::{Fault, ProviderError, at_first_attempt};
use tokio::sync::{OnceCell, watch};

use crate::config::{BaseIdentity, GcpConfig, GcpConfigError};
use crate::credentials::{ambient_file, check_urls, named_in, read_external_account, signer};
use crate::endpoint::Resolved;
use crate::metadata::MetadataServer;
use crate::name::{Principal, ProjectId};
use crate::proxy;
use crate::source::{Fetched, Source, Token, broken};

/// How long a token of our own is used at most. 180 s: a source may give one out that has 240 s left (the metadata server of
/// serverless platforms renews its own that long before the end), and the last call that starts with it has a minute.
const KEEP: Duration = Duration::from_secs(180);

/// How long before its end a token is no longer used, if its source says when that is: the minute of [`KEEP`].
const MARGIN: Duration = Duration::from_secs(60);

/// How long before its last use a token is renewed in the background, so that no call waits for it. 60 s: six fetches of
/// the longest kind.
const AHEAD: Duration = Duration::from_secs(60);

/// How long after a fetch in the background the next may begin. 10 s: the longest that one takes.
const PAUSE: Duration = Duration::from_secs(10);

/// Most fetches under way at once: one that is too old for those who wait for the other. Whoever finds both too old waits for
/// a place, and shares the fetch that begins then.
const MAX_FLIGHTS: usize = 2;

/// Our own identity.
pub(crate) struct Base {
    source: Source,
    principal: Option<Principal>,
    /// Those that the settings name, and those of the principal and of the credentials file.
    projects: Vec<ProjectId>,
    /// That of the machine, once it was asked; it never changes.
    machine: OnceCell<ProjectId>,
    shelf: Arc<Mutex<Shelf>>,
}

/// The token in use, and the fetches of the next.
#[derive(Default)]
struct Shelf {
    kept: Option<Kept>,
    /// Those under way, the oldest first.
    in_air: Vec<Flight>,
    /// Flights so far, those under way included.
    flights: u64,
    /// The newest of them that asks its source already.
    asking: u64,
}

struct Kept {
    fetched: Fetched,
    /// Of the flight that brought it.
    number: u64,
    since: Instant,
    /// How long after `since` it is used.
    good_for: Duration,
    /// When a flight to renew it may begin.
    renew: Instant,
}

/// A fetch that is under way.
#[derive(Clone)]
struct Flight {
    /// From 1.
    number: u64,
    began: Instant,
    landed: watch::Receiver<Option<Result<Fetched, ProviderError>>>,
}

/// What ends a flight, however it ends.
struct Landing {
    number: u64,
    began: Instant,
    shelf: Arc<Mutex<Shelf>>,
    landed: watch::Sender<Option<Result<Fetched, ProviderError>>>,
}

// === impl Base ===

impl Base {
    pub(crate) fn new(
        config: &GcpConfig,
        resolved: &Resolved,
        http: reqwest::Client,
    ) -> Result<Self, GcpConfigError> {
        // Who a credentials file says that we are.
        let mut named = None;
        let variable = |name: &str| std::env::var(name).ok();
        let metadata = || Source::Metadata(MetadataServer::new(resolved.metadata.clone(), http));
        let source = match &config.identity {
            BaseIdentity::Fixed(token) => Source::Fixed(Token::new(token.0.clone())),
            BaseIdentity::Metadata => metadata(),
            BaseIdentity::WorkloadIdentityFederation { file } => {
                let account = read_external_account(file, config, resolved)?;
                proxy::check(&account, config.danger_allow_endpoint_overrides, variable)?;
                named = named_in(&account);
                Source::Federated(Arc::new(account))
            }
            BaseIdentity::Ambient => match ambient_file()? {
                Some((path, credentials)) => {
                    check_urls(&path, &credentials, config.danger_allow_endpoint_overrides)?;
                    proxy::check(&credentials, config.danger_allow_endpoint_overrides, variable)?;
                    named = named_in(&credentials);
                    Source::Ambient { signs_as: signer(&credentials) }
                }
                None => metadata(),
            },
        };
        let mut projects = config.own_projects.clone();
        projects.extend([&config.principal, &named].into_iter().flatten().filter_map(Principal::project));
        let principal = config.principal.clone().or(named);
        Ok(Self { source, principal, projects, machine: OnceCell::new(), shelf: Arc::default() })
    }

    /// The service account whose key signs our tokens, if it is one: then nobody was asked whether it may.
    pub(crate) fn signs_as(&self) -> Option<&str> {
        match &self.source {
            Source::Ambient { signs_as } => signs_as.as_deref(),
            _ => None,
        }
    }

    /// A project of ours that is known without asking.
    pub(crate) fn named_project(&self) -> Option<&ProjectId> {
        self.projects.first()
    }

    /// Whether it can be known which projects are ours.
    pub(crate) fn knows_its_projects(&self) -> bool {
        !self.projects.is_empty() || matches!(self.source, Source::Metadata(_))
    }

    /// The projects that are ours, at least one of them.
    pub(crate) async fn projects(&self) -> Result<Vec<ProjectId>, ProviderError> {
        let mut projects = self.projects.clone();
        if let Source::Metadata(server) = &self.source {
            projects.push(self.machine.get_or_try_init(|| server.project()).await?.clone());
            projects.extend(self.principal().await?.project());
        }
        if projects.is_empty() {
            return Err(ProviderError::new(
                Fault::OwnIdentity,
                "nothing says which projects are ours: set gcp.own_projects",
            ));
        }
        Ok(projects)
    }

    /// A token that is good for a minute or more, unless it is revoked meanwhile; true if it was fetched just now.
    pub(crate) async fn token(&self) -> Result<(Token, bool), ProviderError> {
        if let Some((token, is_due)) = self.kept() {
            if is_due {
                self.flight_after(0);
            }
            return Ok((token, false));
        }
        self.flight_after(0).landed().await.map(|fetched| (fetched.token, true))
    }

    /// A token that was asked for after this call began, its earlier attempts included, as fresh as its source gives one; and
    /// how long ago that was.
    pub(crate) async fn fresh(&self) -> Result<(Fetched, Duration), ProviderError> {
        let before = at_first_attempt(lock(&self.shelf).asking);
        loop {
            if let Some(kept) = lock(&self.shelf).kept.as_ref().filter(|kept| kept.number > before) {
                return Ok((kept.fetched.clone(), kept.age(now())));
            }
            let flight = self.flight_after(before);
            let (number, began) = (flight.number, flight.began);
            let outcome = flight.landed().await;
            if number > before {
                return outcome.map(|fetched| (fetched, now().saturating_duration_since(began)));
            }
        }
    }

    /// What policies must call us.
    pub(crate) async fn principal(&self) -> Result<Principal, ProviderError> {
        match (&self.principal, &self.source) {
            (Some(principal), _) => Ok(principal.clone()),
            (None, Source::Metadata(server)) => server.principal().await,
            (None, _) => Err(ProviderError::new(
                Fault::OwnIdentity,
                "nothing says what our own principal is called: set gcp.principal",
            )),
        }
    }

    /// The token in use, if there is one, and whether to renew it; whoever is told to is the only one for a while.
    fn kept(&self) -> Option<(Token, bool)> {
        let mut shelf = lock(&self.shelf);
        let now = now();
        let kept = shelf.kept.as_mut().filter(|kept| kept.age(now) < kept.good_for)?;
        let is_due = now >= kept.renew;
        if is_due {
            kept.renew = now + PAUSE;
        }
        Some((kept.fetched.token.clone(), is_due))
    }

    /// A flight that came after the first `before`: one that is under way, or one that begins now. If there is no place for
    /// that, the oldest, to be waited for.
    fn flight_after(&self, before: u64) -> Flight {
        let (flight, landing) = {
            let mut shelf = lock(&self.shelf);
            let joined = shelf.in_air.iter().find(|flight| flight.number > before);
            let full = shelf.in_air.len() >= MAX_FLIGHTS;
            if let Some(flight) = joined.or(shelf.in_air.first().filter(|_| full)) {
                return flight.clone();
            }
            shelf.flights += 1;
            let (sender, landed) = watch::channel(None);
            let flight = Flight { number: shelf.flights, began: now(), landed };
            shelf.in_air.push(flight.clone());
            let shelf = Arc::clone(&self.shelf);
            let landing = Landing { number: flight.number, began: flight.began, shelf, landed: sender };
            (flight, landing)
        };
        let source = self.source.clone();
        tokio::spawn(async move {
            landing.ask();
            landing.land(source.token().await);
        });
        flight
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Base").field("principal", &self.principal).finish_non_exhaustive()
    }
}

// === impl Kept, Flight and Landing ===

impl Kept {
    fn new(fetched: &Fetched, number: u64, since: Instant) -> Self {
        let good_for = fetched.lasts.map_or(KEEP, |lasts| lasts.saturating_sub(MARGIN).min(KEEP));
        let renew = since + good_for.saturating_sub(AHEAD);
        Self { fetched: fetched.clone(), number, since, good_for, renew }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }
}

impl Flight {
    async fn landed(mut self) -> Result<Fetched, ProviderError> {
        match self.landed.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(broken("fetching our own token ended early")),
        }
    }
}

impl Landing {
    /// From here on it is too old for whoever comes now.
    fn ask(&self) {
        let mut shelf = lock(&self.shelf);
        shelf.asking = shelf.asking.max(self.number);
    }

    fn land(self, outcome: Result<Fetched, ProviderError>) {
        if let Ok(fetched) = &outcome {
            let mut shelf = lock(&self.shelf);
            // A later flight may have landed before.
            if shelf.kept.as_ref().is_none_or(|kept| kept.number < self.number) {
                shelf.kept = Some(Kept::new(fetched, self.number, self.began));
            }
        }
        self.end();
        self.landed.send_replace(Some(outcome));
    }

    /// From here on the next flight may begin.
    fn end(&self) {
        lock(&self.shelf).in_air.retain(|flight| flight.number != self.number);
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    // Each change leaves it whole.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The clock of a machine that was asleep may not have moved: a token that is too old then is refused, and fetched anew by
/// whoever finds out.
#[expect(clippy::disallowed_methods, reason = "how long we keep our own token is no promise to anybody")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
#[path = "base_tests.rs"]
mod tests;
