//! What can go wrong with the simulator itself, as opposed to what it answers on a cloud's behalf.

use std::net::SocketAddr;

/// A refusal of the control interface, or a failure to start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A listener could not be opened; choose another address.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Nothing by that name exists in the simulated world.
    #[error("no such {what}: {name}")]
    NotFound {
        /// The kind of thing: "role", "key", …
        what: &'static str,
        /// The name asked for.
        name: String,
    },
    /// Something by that name exists already.
    #[error("{what} exists already: {name}")]
    Exists {
        /// The kind of thing: "account", "alias", …
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A value is not what the cloud would accept there.
    #[error("invalid {what}: {reason}")]
    Invalid {
        /// The kind of value.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The operating system gave no random bytes or a key could not be made.
    #[error("cannot generate key material")]
    KeyMaterial,
}

impl SimError {
    pub(crate) fn not_found(what: &'static str, name: impl Into<String>) -> Self {
        Self::NotFound { what, name: name.into() }
    }

    pub(crate) fn invalid(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Invalid { what, reason: reason.into() }
    }
}
