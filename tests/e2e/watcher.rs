//! A stream of one tenant's leases.

use leasehold_api::v1::{LeaseState, WatchMode};
use leasehold_client::{Client, LeaseStream, LeaseUpdate, TenantId};

use crate::world::soon;

/// An open `WatchLeases` on a tenant with one binding.
pub(crate) struct Watcher {
    stream: LeaseStream,
    /// The newest that was told.
    pub(crate) last: LeaseUpdate,
}

impl Watcher {
    pub(crate) async fn open(client: &Client, tenant: &TenantId, mode: WatchMode) -> Self {
        let mut stream = client.leases().await.unwrap();
        stream.watch(std::slice::from_ref(tenant), mode).await.unwrap();
        let last = next(&mut stream).await;
        Self { stream, last }
    }

    /// Waits until the lease is in this state. Asks for nothing: only what is told unasked counts.
    #[track_caller]
    pub(crate) fn until(&mut self, state: LeaseState) -> impl Future<Output = &LeaseUpdate> {
        let waited = async move {
            while self.last.state != state {
                self.last = next(&mut self.stream).await;
            }
            &self.last
        };
        soon(waited)
    }

    /// What is told next, unasked.
    pub(crate) async fn told(&mut self) -> &LeaseUpdate {
        self.last = only(self.stream.next().await.unwrap());
        &self.last
    }

    /// Asks how the lease stands.
    pub(crate) async fn renew(&mut self) -> &LeaseUpdate {
        self.stream.renew().await.unwrap();
        self.last = next(&mut self.stream).await;
        &self.last
    }

    /// How the stream ends.
    pub(crate) async fn end(mut self) -> Option<leasehold_client::ClientError> {
        soon(async {
            loop {
                match self.stream.next().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return None,
                    Err(error) => return Some(error),
                }
            }
        })
        .await
    }
}

async fn next(stream: &mut LeaseStream) -> LeaseUpdate {
    only(soon(stream.next()).await.unwrap())
}

/// Of the one binding that the tenant has.
fn only(updates: Option<Vec<LeaseUpdate>>) -> LeaseUpdate {
    let mut updates = updates.expect("the stream goes on");
    assert_eq!(updates.len(), 1, "the tenant has one binding");
    updates.remove(0)
}
