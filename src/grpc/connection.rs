//! Connections, and what they carried.
//!
//! A transport's write buffer keeps what it last sent for as long as the connection lives, and so does the client's read
//! buffer. When a lease ends, the connections that carried plaintext under it are therefore closed, in good order
//! (promise P4).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use leasehold_authz::Identity;
use leasehold_ids::BindingName;
use leasehold_lease::{LeaseEvent, LeaseState};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

/// Bindings that one connection remembers having carried. Beyond it the connection counts as having carried everything.
const MAX_CARRIED: usize = 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    identity: Identity,
    called: AtomicBool,
    carried: Mutex<Carried>,
    close: CancellationToken,
}

#[derive(Debug)]
enum Carried {
    These(BTreeSet<BindingName>),
    Everything,
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

    /// Has it closed.
    pub(crate) fn close(&self) {
        self.close.cancel();
    }

    pub(crate) fn carries(&self, binding: &BindingName) {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *carried {
            Carried::These(bindings) if bindings.contains(binding) => {}
            Carried::These(bindings) if bindings.len() < MAX_CARRIED => {
                bindings.insert(binding.clone());
            }
            _ => *carried = Carried::Everything,
        }
    }

    fn carried(&self, binding: Option<&BindingName>) -> bool {
        let carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*carried, binding) {
            (Carried::Everything, _) => true,
            (Carried::These(bindings), Some(binding)) => bindings.contains(binding),
            (Carried::These(bindings), None) => !bindings.is_empty(),
        }
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
            connection.close();
        }
    }

    /// Closes every connection: whoever is still let in connects again, and what they ask for is decided anew.
    pub(crate) fn close_all(&self) {
        let open: Vec<_> = self.lock().connections.values().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|connection| connection.close());
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
