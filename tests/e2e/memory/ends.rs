//! How leases end, with connections that carried their keys still open.

use leasehold_api::v1::{self, LeaseState, WatchMode};
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use tonic::Streaming;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic_prost::ProstCodec;

use super::measure::{AT_MOST, Row, Scene};
use super::needle::Needles;
use super::paths::{Subject, Way};
use super::scan::Extent;
use super::wire::{Reader, Wire};
use crate::cloud::Lever;
use crate::watcher::Watcher;
use crate::world::{client_of, id, reprove, soon};

/// What ends a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Lever(Lever),
    Outage,
}

/// What was seen when a lease ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) row: Row,
    /// Stalled readers that were given their answer all the same.
    pub(crate) taken: usize,
    /// Stalled readers that are told nothing.
    pub(crate) waiting: usize,
}

/// A call that was answered, and whose answer nobody takes.
struct Stalled {
    answer: Option<Streaming<v1::UnwrapKeyResponse>>,
    /// Its connection, which the client keeps.
    wire: Wire,
}

impl End {
    /// Each with a tenant of its own.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Lever(Lever::Trust), "trust", "trust withdrawn"),
        (Self::Lever(Lever::KeyUse), "key-use", "use of the key forbidden"),
        (Self::Lever(Lever::DisableKey), "disable", "key disabled"),
        (Self::Lever(Lever::DeleteKey), "delete", "key to be deleted"),
        (Self::Outage, "outage", "outage past the bound"),
    ];
}

impl Scene {
    /// Uses keys of `tenant` in every way, ends its lease, and waits until nothing of them is left. No client closes anything.
    pub(crate) async fn end(&mut self, end: End, tenant: &'static str, what: &'static str) -> Ended {
        let subject = Subject { process: &self.process, tenant };
        let apart = client_of(&self.process.endpoint, &self.process.clock);
        let mut watcher = Watcher::open(&apart, &id(tenant), WatchMode::Hold).await;
        watcher.until(LeaseState::Live).await;
        let wire = Wire::open(&self.process.socket(), Reader::Ready).await;
        let mut keys = Vec::new();
        for way in [Way::Generate, Way::Wrap, Way::UnwrapCold, Way::UnwrapCached] {
            keys.extend(subject.send(way, &wire).await);
        }
        // What never came to be under the lease is on connections of its own.
        let mut refused = Vec::new();
        for way in [Way::ReservedContext, Way::WrongLength, Way::TooLarge, Way::Malformed] {
            let wire = Wire::open(&self.process.socket(), Reader::Ready).await;
            keys.extend(subject.send(way, &wire).await);
            refused.push(wire);
        }
        let mut stalled = Vec::new();
        for reader in [Reader::Window(0), Reader::Window(10), Reader::Deaf] {
            let (key, call) = self.stall(subject, reader).await;
            keys.push(key);
            stalled.push(call);
        }
        let needles = Needles::of_keys(&keys);
        let open = self.look(&needles, Extent::Writable).copies.len();
        self.cut_off(end, tenant, &mut watcher).await;
        let gone = self.until_gone(&needles).await;
        let row = Row { what, keys: keys.len(), open, gone };
        self.keys.extend(keys);
        drop((wire, refused));
        tell(row, stalled).await
    }

    /// A call that the service has answered and whose reader does not take the answer.
    async fn stall(&self, subject: Subject<'_>, reader: Reader) -> (Vec<u8>, Stalled) {
        let (key, wrapped) = subject.wrapped(1).await.remove(0);
        let wire = Wire::open(&self.process.socket(), reader).await;
        let request = subject.unwrap_request(&wrapped);
        if reader == Reader::Deaf {
            // It hears nothing from here on, not even that it was answered.
            wire.stop_reading();
            let mut client = wire.keys.clone();
            tokio::spawn(async move { client.unwrap_key(request).await });
            return (key, Stalled { answer: None, wire });
        }
        // As a stream of one message, which is asked for when it is wanted.
        let mut grpc = Grpc::new(wire.channel.clone());
        grpc.ready().await.unwrap();
        let path = PathAndQuery::from_static("/leasehold.v1.KeyService/UnwrapKey");
        let codec = ProstCodec::<v1::UnwrapKeyRequest, v1::UnwrapKeyResponse>::default();
        let answer = soon(grpc.server_streaming(tonic::Request::new(request), path, codec)).await;
        (key, Stalled { answer: Some(answer.unwrap().into_inner()), wire })
    }

    /// Ends the lease, and waits until its watcher is told.
    async fn cut_off(&self, end: End, tenant: &str, watcher: &mut Watcher) {
        match end {
            End::Lever(lever) => {
                self.process.estate.pull(lever, tenant);
                reprove(&self.process.client, tenant).await.unwrap();
                watcher.until(LeaseState::Denied).await;
            }
            End::Outage => {
                let matching = self.process.estate.about(tenant);
                let fault = FaultSpec { matching, effect: FaultEffect::Reset, count: None };
                self.process.cloud.control().inject(fault);
                watcher.until(LeaseState::Lapsed).await;
            }
        }
    }
}

/// What the stalled readers get, now that they read. A deaf one does not hear that its connection was closed.
async fn tell(row: Row, stalled: Vec<Stalled>) -> Ended {
    let mut ended = Ended { row, taken: 0, waiting: 0 };
    for Stalled { answer, wire } in stalled {
        let Some(mut answer) = answer else { continue };
        match tokio::time::timeout(AT_MOST, answer.message()).await {
            Ok(Ok(Some(_))) => ended.taken += 1,
            Ok(_) => {}
            Err(_) => ended.waiting += 1,
        }
        drop(wire);
    }
    ended
}
