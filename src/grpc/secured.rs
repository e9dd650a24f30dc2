//! Accepts connections that are served only once it is known who made them.

use std::net::SocketAddr;

use leasehold_authz::Identity;
use leasehold_service::Room;
use tokio::net::{TcpListener, TcpStream};

use super::server::Server;
use crate::places::Place;
use crate::tls::Gate;

impl Server {
    /// Serves callers that `gate` lets in.
    ///
    /// Who has not shown a certificate yet takes none of the `room` for connections, and gives way to the next who has not.
    pub(super) async fn accept_secured(self, listener: TcpListener, gate: Gate, room: Room<Identity>) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.ending.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    let place = gate.stranger();
                    let secured = self.clone().secured(stream, from, gate.clone(), place, room.clone());
                    drop(self.tasks.spawn(secured));
                }
                Err(error) => self.cannot_accept(&error).await,
            }
        }
    }

    async fn secured(
        self,
        stream: TcpStream,
        from: SocketAddr,
        gate: Gate,
        place: Place,
        room: Room<Identity>,
    ) {
        // Without it an answer may wait for an acknowledgement; it is correct nevertheless.
        let _ = stream.set_nodelay(true);
        let turned_away = |from, reason| self.requests.witness.turned_away(from, reason);
        let admitted = tokio::select! {
            admitted = gate.admit(stream, from) => admitted,
            () = place.must_give_way() => None,
            () = self.ending.cancelled() => return,
        };
        drop(place);
        let Some((stream, peer)) = admitted else {
            return turned_away(leasehold_audit::network(from.ip()), "TLS_HANDSHAKE");
        };
        let Some(_place) = room.take(peer.identity()) else {
            return turned_away(peer.identity().to_string().into(), "OVER_LIMIT");
        };
        self.connection(stream, peer).await;
    }
}
