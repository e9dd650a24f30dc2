//! Where the service is.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tonic::transport::Channel;

use crate::tls::{Tls, TlsError, TlsFiles};

/// The port of an https address that names none.
const HTTPS: u16 = 443;

/// How long a connection attempt may take, handshakes included.
const CONNECT: Duration = Duration::from_secs(5);

/// Largest message accepted from the service: 1,000 leases or 1,000 tenants of some hundred bytes each.
pub(crate) const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Where the service listens, written as `http://127.0.0.1:7420`, `unix:/run/leasehold.sock` or
/// `https://leasehold.example:7421`, which needs [`TlsFiles`] too.
#[derive(Debug, Clone)]
pub struct Endpoint(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Tcp(http::Uri),
    Unix(PathBuf),
    /// None until there are files.
    Tls(http::Uri, Option<Arc<Tls>>),
}

/// Why text is not an [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// None of the forms.
    #[error("an address has the form http://127.0.0.1:PORT, unix:/path/to/socket or https://HOST:PORT")]
    Malformed,
    /// An address that is not this machine's own: plaintext keys would cross a network unencrypted.
    #[error("without TLS only loopback addresses and Unix sockets are supported: use https://HOST:PORT")]
    NotLocal,
}

impl Endpoint {
    /// The same with what TLS needs; nothing else uses it.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn with_tls(self, files: TlsFiles) -> Result<Self, TlsError> {
        Ok(match self.0 {
            Kind::Tls(uri, _) => {
                let tls = Tls::open(files, bare(uri.host().unwrap_or_default()))?;
                Self(Kind::Tls(uri, Some(Arc::new(tls))))
            }
            other => Self(other),
        })
    }

    /// Whether TLS is spoken there.
    #[must_use]
    pub fn is_secured(&self) -> bool {
        matches!(self.0, Kind::Tls(..))
    }

    /// A channel that connects when it is first used, and again whenever the connection broke.
    pub(crate) fn channel(&self) -> Channel {
        // The address of a Unix socket's channel is never looked at; it only becomes the `:authority` of requests. TLS is
        // spoken below the channel, which knows nothing of it.
        let uri = match &self.0 {
            Kind::Tcp(uri) => uri.clone(),
            Kind::Unix(_) => http::Uri::from_static("http://localhost"),
            Kind::Tls(uri, _) => plain(uri),
        };
        let endpoint = tonic::transport::Endpoint::from(uri).connect_timeout(CONNECT).tcp_nodelay(true);
        match &self.0 {
            Kind::Tcp(_) => endpoint.connect_lazy(),
            Kind::Unix(path) => {
                let path = path.clone();
                endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                }))
            }
            Kind::Tls(uri, tls) => {
                let (host, port) = (bare(uri.host().unwrap_or_default()).to_owned(), uri.port_u16());
                let tls = tls.clone();
                endpoint.connect_with_connector_lazy(tower::service_fn(move |_| {
                    let (host, tls) = (host.clone(), tls.clone());
                    async move {
                        let tls = tls.ok_or_else(|| io::Error::other("https needs TlsFiles"))?;
                        let stream = TcpStream::connect((&*host, port.unwrap_or(HTTPS))).await?;
                        // Without it a request may wait for an acknowledgement; it is correct nevertheless.
                        let _ = stream.set_nodelay(true);
                        tls.connect(stream).await.map(TokioIo::new)
                    }
                }))
            }
        }
    }
}

/// The same without TLS.
fn plain(uri: &http::Uri) -> http::Uri {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTP);
    // It stays as well-formed as it was.
    http::Uri::from_parts(parts).unwrap_or_else(|_| http::Uri::from_static("http://localhost"))
}

/// An address of version 6 without its brackets; anything else as it is.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self(Kind::Unix(path)))
            } else {
                Err(EndpointError::Malformed)
            };
        }
        let uri: http::Uri = text.parse().map_err(|_| EndpointError::Malformed)?;
        let host = uri.host().ok_or(EndpointError::Malformed)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(EndpointError::Malformed);
        }
        match (uri.scheme_str(), is_loopback(host)) {
            (Some("https"), _) => Ok(Self(Kind::Tls(uri, None))),
            (Some("http"), true) => Ok(Self(Kind::Tcp(uri))),
            (Some("http"), false) => Err(EndpointError::NotLocal),
            _ => Err(EndpointError::Malformed),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Tcp(uri) | Kind::Tls(uri, _) => f.write_str(uri.to_string().trim_end_matches('/')),
            Kind::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || bare(host).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_ever_spoken_to_in_the_clear() {
        for good in
            ["http://127.0.0.1:7420", "http://[::1]:1", "http://localhost:7420", "unix:/run/leasehold.sock"]
        {
            let endpoint: Endpoint = good.parse().unwrap();
            assert_eq!((&*endpoint.to_string(), endpoint.is_secured()), (good, false));
        }
        for good in ["https://10.0.0.1:7421", "https://leasehold.example", "https://[fd00::1]:7421"] {
            let endpoint: Endpoint = good.parse().unwrap();
            assert_eq!((&*endpoint.to_string(), endpoint.is_secured()), (good, true));
        }
        for (bad, why) in [
            ("http://10.0.0.1:7420", EndpointError::NotLocal),
            ("http://example.com", EndpointError::NotLocal),
            ("https://127.0.0.1:7420/path", EndpointError::Malformed),
            ("ftp://127.0.0.1:7420", EndpointError::Malformed),
            ("http://127.0.0.1/path", EndpointError::Malformed),
            ("127.0.0.1:7420", EndpointError::Malformed),
            ("unix:relative", EndpointError::Malformed),
            ("", EndpointError::Malformed),
        ] {
            assert_eq!(bad.parse::<Endpoint>().unwrap_err(), why, "{bad}");
        }
    }
}
