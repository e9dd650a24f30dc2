//! TLS on the listeners: certificates that may be replaced while connections are open, and who may connect.
//!
//! Owns the certificates that the process shows, the authorities that may vouch for callers, and the way from a handshake to
//! an identity. Deliberately knows nothing of HTTP, and nothing of what an identity may do. Revocation lists are not read:
//! a caller's certificate should be short-lived, and an authority that is taken out of its file is trusted no longer.
//!
//! Invariants: a caller's identity comes from a certificate that is valid now and that an authority signed which may vouch
//! for that identity; every handshake is a full one, so that none is taken for an earlier one; a connection is over before
//! its certificate is.
//!
//! Reading order: `certificate` (ours), `leaf` (a caller's), `trust`, `peer`, `gate`, `handshake`.

mod certificate;
mod gate;
mod handshake;
mod leaf;
mod peer;
mod trust;

use std::path::PathBuf;

pub(crate) use certificate::{acceptor, open, valid_until};
pub(crate) use gate::Gate;
pub(crate) use handshake::shake;
pub(crate) use peer::Peer;

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{file} cannot be read")]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{file} is not a PEM file with {wanted}")]
    NotPem {
        /// Which file.
        file: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The key is not the certificate's, or of a kind that is not supported.
    #[error("the certificate {certificate} and its key do not work together")]
    Mismatch {
        /// The certificate.
        certificate: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// An authority cannot vouch for anybody.
    #[error("the authorities in {file} cannot be used: {what}")]
    Authorities {
        /// Which file.
        file: PathBuf,
        /// Why.
        what: String,
    },
    /// There is no common version of the protocol: a defect of the build.
    #[error("TLS cannot be set up")]
    Protocol(#[source] rustls::Error),
}
