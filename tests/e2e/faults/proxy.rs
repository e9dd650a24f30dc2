//! A proxy in front of an endpoint of a cloud that can be told what to do to what passes through it, in each direction. TLS
//! passes unopened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use super::impostor::{self, Answer};
use super::pause;

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// They arrive.
    Open,
    /// They arrive this much later.
    Late(Duration),
    /// So many of them arrive in a second.
    Narrow(usize),
    /// None arrive, and nobody is told.
    Held,
    /// So many arrive, then the connection is reset.
    Reset(usize),
    /// So many arrive, then their end. The other direction stays as it is.
    Ended(usize),
    /// As many arrive, but others.
    Noise,
}

/// What a proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// Lets through what comes.
    Through {
        /// To the cloud.
        up: Way,
        /// From the cloud.
        down: Way,
    },
    /// Answers in the cloud's place.
    Impostor(Answer),
}

impl Line {
    pub(crate) const CLEAR: Self = Self::Through { up: Way::Open, down: Way::Open };

    pub(crate) const fn up(up: Way) -> Self {
        Self::Through { up, down: Way::Open }
    }

    pub(crate) const fn down(down: Way) -> Self {
        Self::Through { up: Way::Open, down }
    }
}

/// A proxy. Dropping it ends its connections.
pub(crate) struct Proxy {
    address: SocketAddr,
    inner: Arc<Inner>,
    _ending: DropGuard,
}

struct Inner {
    target: SocketAddr,
    tls: bool,
    line: watch::Sender<Line>,
    invented: Arc<AtomicU64>,
}

impl Proxy {
    /// One in front of `endpoint`, a URL with an address and a port.
    pub(crate) async fn before(endpoint: &str) -> Self {
        let url: Url = endpoint.parse().unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()).parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = watch::Sender::new(Line::CLEAR);
        let inner = Arc::new(Inner { target, tls: url.scheme() == "https", line, invented: Arc::default() });
        let ending = CancellationToken::new();
        tokio::spawn(ending.clone().run_until_cancelled_owned(accept(
            listener,
            Arc::clone(&inner),
            ending.clone(),
        )));
        Self { address, inner, _ending: ending.drop_guard() }
    }

    /// Where to connect in place of the endpoint.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.inner.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Does this from now on, to connections that are open as well.
    pub(crate) fn set(&self, line: Line) {
        self.inner.line.send_replace(line);
    }

    /// How many bytes of an invented answer were taken from it at most.
    pub(crate) fn invented(&self) -> u64 {
        self.inner.invented.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>, ending: CancellationToken) {
    loop {
        // Out of descriptors, for example; the next one may do better.
        let Ok((client, _)) = listener.accept().await else {
            pause(Duration::from_millis(50)).await;
            continue;
        };
        let _ = client.set_nodelay(true);
        let connection = Arc::clone(&inner).connection(client);
        tokio::spawn(ending.clone().run_until_cancelled_owned(connection));
    }
}

/// The connection is to end at once, with a reset.
struct Reset;

impl Inner {
    async fn connection(self: Arc<Self>, mut client: TcpStream) {
        let mut line = self.line.subscribe();
        let now = *line.borrow_and_update();
        if let Line::Impostor(answer) = now {
            tokio::select! {
                () = impostor::answer(client, self.tls, answer, &self.invented) => {}
                _ = line.changed() => {}
            }
            return;
        }
        let Ok(mut server) = TcpStream::connect(self.target).await else { return };
        let _ = server.set_nodelay(true);
        let ended = {
            let (from_client, to_client) = client.split();
            let (from_server, to_server) = server.split();
            let both = async {
                tokio::try_join!(
                    carry(from_client, to_server, Ways::new(&self.line, |line| line.0)),
                    carry(from_server, to_client, Ways::new(&self.line, |line| line.1)),
                )
            };
            let replaced = line.wait_for(|line| matches!(line, Line::Impostor(_)));
            tokio::select! {
                ended = both => ended.map(|_| ()),
                _ = replaced => Err(Reset),
            }
        };
        if ended.is_err() {
            let _ = client.set_zero_linger();
        }
    }
}

/// What one direction of a connection goes by.
struct Ways {
    line: watch::Receiver<Line>,
    of: fn((Way, Way)) -> Way,
    /// Bytes that arrived since what it goes by was changed.
    arrived: usize,
}

impl Ways {
    fn new(line: &watch::Sender<Line>, of: fn((Way, Way)) -> Way) -> Self {
        Self { line: line.subscribe(), of, arrived: 0 }
    }

    fn now(&mut self) -> Way {
        if self.line.has_changed().unwrap_or(false) {
            self.arrived = 0;
        }
        match *self.line.borrow_and_update() {
            Line::Through { up, down } => (self.of)((up, down)),
            Line::Impostor(_) => Way::Held,
        }
    }

    /// The same, once it is not to hold.
    async fn open(&mut self) -> Way {
        loop {
            match self.now() {
                Way::Held if self.line.changed().await.is_ok() => self.arrived = 0,
                way => return way,
            }
        }
    }
}

async fn carry(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, mut ways: Ways) -> Result<(), Reset> {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            let _ = to.shutdown().await;
            return Ok(());
        };
        let bytes = &mut buffer[..read];
        let way = ways.open().await;
        match way {
            Way::Open | Way::Held => write(&mut to, bytes).await?,
            Way::Late(by) => {
                pause(by).await;
                write(&mut to, bytes).await?;
            }
            Way::Narrow(rate) => narrowly(&mut to, bytes, rate, &mut ways).await?,
            Way::Noise => {
                rand::fill(bytes);
                write(&mut to, bytes).await?;
            }
            Way::Reset(after) | Way::Ended(after) => {
                let left = after.saturating_sub(ways.arrived);
                write(&mut to, &bytes[..left.min(read)]).await?;
                if read >= left && matches!(way, Way::Reset(_)) {
                    return Err(Reset);
                }
                if read >= left {
                    let _ = to.shutdown().await;
                    return Ok(());
                }
            }
        }
        ways.arrived += read;
    }
}

/// Eight pieces a second, for as long as it is to be narrow.
async fn narrowly(to: &mut WriteHalf<'_>, bytes: &[u8], rate: usize, ways: &mut Ways) -> Result<(), Reset> {
    for piece in bytes.chunks((rate / 8).max(1)) {
        write(to, piece).await?;
        if ways.now() == Way::Narrow(rate) {
            pause(Duration::from_millis(125)).await;
        }
    }
    Ok(())
}

/// Whoever does not take it any more is gone, and so is what it wanted.
async fn write(to: &mut WriteHalf<'_>, bytes: &[u8]) -> Result<(), Reset> {
    to.write_all(bytes).await.map_err(|_| Reset)
}
