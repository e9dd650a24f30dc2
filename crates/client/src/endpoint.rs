//! Where the service is.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::Channel;

/// How long a connection attempt may take: the service is on this machine.
const CONNECT: Duration = Duration::from_secs(5);

/// Largest message accepted from the service: 1,000 leases or 1,000 tenants of some hundred bytes each.
pub(crate) const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Where the service listens, written as `http://127.0.0.1:7420` or `unix:/run/leasehold.sock`.
///
/// Leasehold serves loopback addresses and Unix sockets; it does not offer TLS, so neither does this client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Tcp(http::Uri),
    Unix(PathBuf),
}

/// Why text is not an [`Endpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// Neither of the two forms.
    #[error("an address has the form http://127.0.0.1:PORT or unix:/path/to/socket")]
    Malformed,
    /// An address that is not this machine's own: plaintext keys would cross a network unencrypted.
    #[error("only loopback addresses and Unix sockets are supported, because Leasehold does not offer TLS")]
    NotLocal,
}

impl Endpoint {
    /// A channel that connects when it is first used, and again whenever the connection broke.
    pub(crate) fn channel(&self) -> Channel {
        // The address of a Unix socket's channel is never looked at; it only becomes the `:authority` of requests.
        let uri = match &self.0 {
            Kind::Tcp(uri) => uri.clone(),
            Kind::Unix(_) => http::Uri::from_static("http://localhost"),
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
        }
    }
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
        let plain =
            uri.scheme_str() == Some("http") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        match (plain, is_loopback(host)) {
            (false, _) if uri.scheme_str() == Some("https") => Err(EndpointError::NotLocal),
            (false, _) => Err(EndpointError::Malformed),
            (true, false) => Err(EndpointError::NotLocal),
            (true, true) => Ok(Self(Kind::Tcp(uri))),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Tcp(uri) => f.write_str(uri.to_string().trim_end_matches('/')),
            Kind::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
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
            assert_eq!(endpoint.to_string(), good);
        }
        for (bad, why) in [
            ("http://10.0.0.1:7420", EndpointError::NotLocal),
            ("http://example.com", EndpointError::NotLocal),
            ("https://127.0.0.1:7420", EndpointError::NotLocal),
            ("http://127.0.0.1/path", EndpointError::Malformed),
            ("127.0.0.1:7420", EndpointError::Malformed),
            ("unix:relative", EndpointError::Malformed),
            ("", EndpointError::Malformed),
        ] {
            assert_eq!(bad.parse::<Endpoint>(), Err(why), "{bad}");
        }
    }
}
