//! Connections, and what they carried.
//!
//! A transport's write buffer keeps what it last sent for as long as the connection lives, and so does the client's read
//! buffer. When a lease ends, the connections that carried plaintext under it are therefore closed, in good order
//! (promise P4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use leasehold_authz::Identity;
use leasehold_clock::TimeSource;
use leasehold_ids::{BindingName, TenantId};
use leasehold_lease::{LeaseEvent, LeaseState};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

/// Of how much one connection remembers that it carried it. Beyond it the connection counts as having carried everything.
const MAX_CARRIED: usize = 1024;

/// How many connections are closed at once of all there are, and what is waited for then: 2,048 are closed in 8 s, and half of
/// the room for handshakes is left to others.
const CLOSED_AT_ONCE: usize = 64;
const CLOSING_PAUSE: Duration = Duration::from_millis(250);

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    identity: Identity,
    called: AtomicBool,
    carried: Mutex<Carried>,
    /// That it is to be closed; and that it is to be cut soon, whatever is under way.
    close: CancellationToken,
    cut: CancellationToken,
    refused: CancellationToken,
    answers: Mutex<Answers>,
}

/// Answers with plaintext.
#[derive(Debug, Default)]
struct Answers {
    /// How many have not left yet, by their bindings.
    untaken: BTreeMap<BindingName, usize>,
    ended: Ended,
}

/// Whose leases ended while they had plaintext on a connection.
#[derive(Debug)]
enum Ended {
    These(BTreeSet<BindingName>),
    /// Nobody knows.
    Any,
}

#[derive(Debug)]
enum Carried {
    These(BTreeSet<Cargo>),
    Everything,
}

/// Whose plaintext it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cargo {
    Of(BindingName),
    /// It came with a request and may have been refused before it was under any binding.
    From(TenantId),
}

/// A request that nobody has read yet. If nobody ever does, because it is malformed, too large or was cut off, nobody knows
/// whose plaintext it brought, and its connection is closed.
#[derive(Debug)]
pub(crate) struct Unread {
    connection: Arc<Connection>,
    brings_plaintext: bool,
    read: AtomicBool,
}

/// An answer with plaintext that has not left yet.
#[derive(Debug)]
pub(crate) struct Untaken {
    connection: Arc<Connection>,
    binding: BindingName,
}

/// Every open connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Weak<Connection>>,
}

/// Strikes a connection off the list when it is over.
#[derive(Debug)]
pub(crate) struct Listed {
    connections: Connections,
    number: u64,
}

impl Connection {
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A call has come in on it.
    pub(crate) fn called(&self) {
        self.called.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_called(&self) -> bool {
        self.called.load(Ordering::Relaxed)
    }

    /// Completes when the connection is to be closed.
    pub(crate) async fn to_close(&self) {
        self.close.cancelled().await;
    }

    /// Has it closed as soon as what is under way on it is over.
    pub(crate) fn retire(&self) {
        self.close.cancel();
    }

    /// Has it closed, and cut soon.
    pub(crate) fn close(&self) {
        self.close.cancel();
        self.cut.cancel();
    }

    /// Completes when it is to be cut soon.
    pub(crate) async fn to_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Completes when plaintext that it brought was refused.
    pub(crate) async fn has_refused(&self) {
        self.refused.cancelled().await;
    }

    /// Plaintext that it brought is refused: no lease is certain to end with which it could go.
    pub(crate) fn refuses(&self) {
        self.refused.cancel();
    }

    /// Plaintext under `binding` travels on it.
    pub(crate) fn carries(&self, binding: &BindingName) {
        self.remember(Cargo::Of(binding.clone()));
    }

    /// A request brings plaintext that is to be `tenant`'s. Its caller may ask that of the tenant: otherwise the connection
    /// would tell a stranger when the tenant's leases end.
    pub(crate) fn brings(&self, tenant: &TenantId) {
        self.remember(Cargo::From(tenant.clone()));
    }

    fn remember(&self, cargo: Cargo) {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *carried {
            Carried::These(these) if these.contains(&cargo) => {}
            Carried::These(these) if these.len() < MAX_CARRIED => {
                these.insert(cargo);
            }
            _ => *carried = Carried::Everything,
        }
    }

    fn carried(&self, binding: Option<&BindingName>) -> bool {
        let carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*carried, binding) {
            (Carried::Everything, _) => true,
            (Carried::These(these), Some(binding)) => {
                these.contains(&Cargo::Of(binding.clone()))
                    || these.contains(&Cargo::From(binding.tenant().clone()))
            }
            (Carried::These(these), None) => !these.is_empty(),
        }
    }

    /// Has it closed, because the lease of `binding`, or of nobody knows which, has ended.
    fn end(&self, binding: Option<&BindingName>) {
        match (&mut self.answers().ended, binding) {
            (Ended::These(these), Some(binding)) => drop(these.insert(binding.clone())),
            (ended, _) => *ended = Ended::Any,
        }
        self.close();
    }

    /// Whether an answer whose lease has ended waits for a reader that does not take it.
    pub(crate) fn is_stalled(&self) -> bool {
        let answers = self.answers();
        answers.untaken.keys().any(|binding| answers.ended.includes(binding))
    }

    /// Every critical section is one look-up or change, so a panic elsewhere cannot have broken them.
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// A new connection of `identity`, on the list until what is returned with it is dropped.
    pub(crate) fn open(&self, identity: Identity) -> (Arc<Connection>, Listed) {
        let carried = Mutex::new(Carried::These(BTreeSet::new()));
        let connection = Arc::new(Connection {
            identity,
            called: AtomicBool::new(false),
            carried,
            close: CancellationToken::new(),
            cut: CancellationToken::new(),
            refused: CancellationToken::new(),
            answers: Mutex::default(),
        });
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.connections.insert(number, Arc::downgrade(&connection));
        (connection, Listed { connections: self.clone(), number })
    }

    /// Closes the connections that carried plaintext under `binding`, or, without one, under anything.
    pub(crate) fn close_carriers(&self, binding: Option<&BindingName>) {
        let open: Vec<_> = self.lock().connections.values().filter_map(Weak::upgrade).collect();
        for connection in open.iter().filter(|connection| connection.carried(binding)) {
            connection.end(binding);
        }
    }

    /// Closes every connection that is open now: whoever is still let in connects again, and what they ask for is decided
    /// anew. Not all at once, so that as many can be let in as come back.
    pub(crate) async fn close_all(&self, clock: &dyn TimeSource) {
        let open: Vec<_> = self.lock().connections.values().cloned().collect();
        for some in open.chunks(CLOSED_AT_ONCE) {
            some.iter().filter_map(Weak::upgrade).for_each(|connection| connection.close());
            clock.sleep(CLOSING_PAUSE).await;
        }
    }

    /// Closes carriers as leases end, until there are no more events.
    pub(crate) async fn follow(self, mut events: broadcast::Receiver<LeaseEvent>) {
        loop {
            match events.recv().await {
                Ok(event) if matches!(event.state, LeaseState::Live | LeaseState::Proving) => {}
                Ok(event) => self.close_carriers(Some(&event.binding)),
                Err(RecvError::Lagged(_)) => self.close_carriers(None),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Every critical section is one insertion, removal or copy, so a panic elsewhere cannot have broken the list.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unread {
    pub(crate) fn on(connection: &Arc<Connection>, brings_plaintext: bool) -> Self {
        Self { connection: Arc::clone(connection), brings_plaintext, read: AtomicBool::new(false) }
    }

    /// It became a call, which says itself what it carries.
    pub(crate) fn read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_read(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if self.brings_plaintext && !self.is_read() {
            self.connection.close();
        }
    }
}

impl Ended {
    fn includes(&self, binding: &BindingName) -> bool {
        match self {
            Self::These(these) => these.contains(binding),
            Self::Any => true,
        }
    }
}

impl Default for Ended {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Untaken {
    pub(crate) fn on(connection: &Arc<Connection>, binding: &BindingName) -> Self {
        *connection.answers().untaken.entry(binding.clone()).or_default() += 1;
        Self { connection: Arc::clone(connection), binding: binding.clone() }
    }

    /// Whether the lease ended, so that it may not leave any more.
    pub(crate) fn is_late(&self) -> bool {
        self.connection.answers().ended.includes(&self.binding)
    }
}

impl Drop for Untaken {
    fn drop(&mut self) {
        let untaken = &mut self.connection.answers().untaken;
        match untaken.get_mut(&self.binding) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(untaken.remove(&self.binding)),
        }
    }
}

#[cfg(test)]
impl Connections {
    pub(crate) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    pub(crate) fn only(&self) -> Weak<Connection> {
        let open = self.lock();
        assert_eq!(open.connections.len(), 1);
        open.connections.values().next().unwrap().clone()
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.lock().connections.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn binding(id: &str) -> BindingName {
        format!("tenants/acme/bindings/{id}").parse().unwrap()
    }

    fn is_to_close(connection: &Connection) -> bool {
        pin!(connection.to_close()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn p4_only_connections_that_carried_the_binding_are_closed() {
        let connections = Connections::default();
        let (carrier, _a) = connections.open(Identity::Loopback);
        let (other, _b) = connections.open(Identity::Loopback);
        carrier.carries(&binding("a"));
        other.carries(&binding("b"));
        connections.close_carriers(Some(&binding("a")));
        assert!(is_to_close(&carrier) && !is_to_close(&other));
    }

    #[test]
    fn p4_what_a_refused_request_brought_is_as_good_as_carried() {
        let connections = Connections::default();
        let (refused, _a) = connections.open(Identity::Loopback);
        let (unread, _b) = connections.open(Identity::Loopback);
        let (read, _c) = connections.open(Identity::Loopback);
        let (other, _d) = connections.open(Identity::Loopback);
        refused.brings(binding("a").tenant());
        drop(Unread::on(&unread, true));
        Unread::on(&read, true).read();
        other.brings(&"globex".parse().unwrap());
        assert!(is_to_close(&unread) && !is_to_close(&refused));
        connections.close_carriers(Some(&binding("a")));
        assert!(is_to_close(&refused) && !is_to_close(&read) && !is_to_close(&other));
    }

    #[test]
    fn p1_an_answer_is_late_when_its_own_lease_ended_and_not_before() {
        let connections = Connections::default();
        let (connection, _listed) = connections.open(Identity::Loopback);
        let [a, b] = ["a", "b"].map(binding);
        [&a, &b].iter().for_each(|binding| connection.carries(binding));
        let (of_a, of_b) = (Untaken::on(&connection, &a), Untaken::on(&connection, &b));
        assert!(!of_a.is_late() && !connection.is_stalled());
        connections.close_carriers(Some(&a));
        assert!(of_a.is_late() && !of_b.is_late() && connection.is_stalled());
        drop(of_a);
        assert!(!connection.is_stalled(), "a neighbour's answer has its time");
        connections.close_carriers(None);
        assert!(of_b.is_late() && connection.is_stalled());
    }

    #[test]
    fn p4_missed_events_close_every_carrier_and_nothing_else() {
        let connections = Connections::default();
        let (carrier, _a) = connections.open(Identity::Loopback);
        let (idle, _b) = connections.open(Identity::Loopback);
        carrier.carries(&binding("a"));
        connections.close_carriers(None);
        assert!(is_to_close(&carrier) && !is_to_close(&idle));
    }

    #[test]
    fn p9_a_connection_that_carried_too_much_to_remember_counts_as_having_carried_everything() {
        let connections = Connections::default();
        let (carrier, _a) = connections.open(Identity::Loopback);
        (0..=MAX_CARRIED).for_each(|n| carrier.carries(&binding(&n.to_string())));
        connections.close_carriers(Some(&binding("never-carried")));
        assert!(is_to_close(&carrier));
    }

    #[test]
    fn a_connection_is_off_the_list_when_it_is_over() {
        let connections = Connections::default();
        let (_connection, listed) = connections.open(Identity::Loopback);
        drop(listed);
        assert!(connections.lock().connections.is_empty());
    }
}
