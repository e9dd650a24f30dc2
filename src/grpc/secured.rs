//! Accepts connections that are served only once it is known who made them.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::server::Server;
use crate::places::Place;
use crate::tls::Gate;

impl Server {
    /// Serves callers that `gate` lets in.
    ///
    /// Who has not shown a certificate yet takes none of the `room` for connections, and gives way to the next who has not.
    pub(super) async fn accept_secured(self, listener: TcpListener, gate: Gate, room: Arc<Semaphore>) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.ending.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, from)) => {
                    let (server, gate, place, room) =
                        (self.clone(), gate.clone(), gate.stranger(), Arc::clone(&room));
                    drop(
                        self.tasks
                            .spawn(async move { server.secured(stream, from, &gate, place, room).await }),
                    );
                }
                Err(error) => self.cannot_accept(&error).await,
            }
        }
    }

    async fn secured(
        self,
        stream: TcpStream,
        from: SocketAddr,
        gate: &Gate,
        place: Place,
        room: Arc<Semaphore>,
    ) {
        // Without it an answer may wait for an acknowledgement; it is correct nevertheless.
        let _ = stream.set_nodelay(true);
        let entered = async {
            let Some((stream, peer)) = gate.admit(stream, from).await else {
                self.witness.not_let_in(from.ip());
                return None;
            };
            // While there is none, who came first may have to give way. The semaphore is never closed.
            let room = room.acquire_owned().await.ok()?;
            Some((stream, peer, room))
        };
        let entered = tokio::select! {
            entered = entered => entered,
            () = place.must_give_way() => return,
            () = self.ending.cancelled() => return,
        };
        drop(place);
        if let Some((stream, peer, _room)) = entered {
            self.connection(stream, peer).await;
        }
    }
}
