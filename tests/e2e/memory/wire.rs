//! Connections of clients, the ill-behaved ones included.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper_util::rt::TokioIo;
use leasehold_api::v1::key_service_client::KeyServiceClient;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

pub(crate) type Keys = KeyServiceClient<Channel>;

/// How a client takes its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// As they come.
    Ready,
    /// It grants each of them a window of so many bytes, and no more.
    Window(u32),
    /// It reads nothing from its socket any more, once it is told to stop.
    Deaf,
}

/// One connection. It is open until this is dropped.
pub(crate) struct Wire {
    pub(crate) keys: Keys,
    pub(crate) channel: Channel,
    deaf: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) async fn open(socket: &Path, reader: Reader) -> Self {
        let (socket, deaf) = (socket.to_owned(), Arc::new(AtomicBool::new(false)));
        let heard = Arc::clone(&deaf);
        let window = if let Reader::Window(bytes) = reader { Some(bytes) } else { None };
        let endpoint = Endpoint::from_static("http://localhost").initial_stream_window_size(window);
        let connect = tower::service_fn(move |_| {
            let (socket, deaf) = (socket.clone(), Arc::clone(&heard));
            async move { UnixStream::connect(socket).await.map(|stream| TokioIo::new(Socket { stream, deaf })) }
        });
        let channel = endpoint.connect_with_connector(connect).await.unwrap();
        Self { keys: KeyServiceClient::new(channel.clone()), channel, deaf }
    }

    pub(crate) fn stop_reading(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }
}

/// A socket that can be told to read no more.
struct Socket {
    stream: UnixStream,
    deaf: Arc<AtomicBool>,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Nobody is woken: it never reads again.
        if self.deaf.load(Ordering::Relaxed) {
            Poll::Pending
        } else {
            Pin::new(&mut self.stream).poll_read(cx, out)
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
