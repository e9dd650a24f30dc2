//! Becoming a tenant's service account and using the tenant's Cloud KMS key.
//!
//! Owns everything that is particular to GCP: parsing resource names and a binding's settings, becoming the tenant's service
//! account, calling Cloud KMS with the session that came of it, the one table from Google's codes to
//! [`leasehold_provider::Fault`], what a tenant must paste, and why a binding does not work. Deliberately keeps nothing
//! between calls but connections and a token of our own; it sets no deadlines and repeats nothing, because
//! [`leasehold_provider::Guarded`] does that for every cloud alike.
//!
//! Invariants:
//! - Every [`assume`](leasehold_provider::KeyProvider::assume) asks IAM Credentials anew for the whole chain; no session is ever
//!   reused.
//! - Every Cloud KMS call names the *binding's* key: a wrap the version that the envelope's header will name, an unwrap the
//!   key, with the header's version bound into the ciphertext; and the answer must name the same.
//! - Nothing is taken as wrapped or unwrapped whose checksums were not verified at both ends.
//! - The caller's whole encryption context, the envelope's header and the purpose are bound into every ciphertext.
//! - A tenant's key carries the challenge that we issued for this binding, so that nobody binds another's key.
//!
//! Reading order: [`GcpConfig`], [`GcpProvider`]; then `settings` (what a binding says), `base` (who we are), `source`,
//! `metadata` and `credentials` (how that is found out), `assume`, `key`,
//! `state`, `error` (the table), `kit`, `explain` and `inspect`.

mod aad;
mod assume;
mod base;
mod call;
mod clients;
mod config;
mod credentials;
mod endpoint;
mod error;
mod explain;
mod inspect;
mod key;
mod kit;
mod kms;
mod metadata;
mod name;
mod policy;
mod provider;
mod proxy;
mod settings;
mod source;
mod state;
mod transport;

pub use config::{BaseIdentity, Endpoints, FixedToken, GcpConfig, GcpConfigError};
pub use name::{KeyName, Location, NameError, Principal, ProjectId, ServiceAccount};
pub use provider::GcpProvider;
