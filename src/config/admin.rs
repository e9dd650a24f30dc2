//! The listener for orchestrators and Prometheus.

use std::net::SocketAddr;

use serde::Deserialize;

/// The listener for orchestrators and Prometheus: `/livez`, `/readyz` and `/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where to listen, in the clear: neither kubelet nor Prometheus brings a certificate. Any address may be given, because no
    /// tenant, key or caller is named there and nothing can be changed. Port 0 lets the system choose. Required.
    pub addresses: Vec<SocketAddr>,
}
