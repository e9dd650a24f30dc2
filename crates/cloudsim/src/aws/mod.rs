//! Amazon Web Services: STS, KMS, the instance metadata service and container credentials.
//!
//! A request runs `endpoint` → `auth` (SigV4, tokens, expiry) → `sts` or `kms` → [`policy`] → the call log.
//! Not simulated: IAM's own API, organisation policies, KMS grants, multi-region keys, asymmetric encryption, role
//! paths, partitions other than `aws`.

pub(crate) mod ambient;
pub mod arn;
pub(crate) mod auth;
pub(crate) mod call;
pub(crate) mod container;
pub mod edits;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod imds;
pub(crate) mod kms;
pub(crate) mod oidc;
pub mod policy;
pub mod scenario;
pub mod sigv4;
pub(crate) mod sts;
pub mod trail;
pub(crate) mod world;
pub(crate) mod xml;

pub use crate::{issuer, secret};
pub use world::Propagation;
pub use world::key::{KeyOrigin, KeySpec, KeyState, KeyUsage};
