//! Google Cloud: Cloud KMS, IAM Credentials, the Security Token Service, OAuth tokens and the metadata server.
//!
//! A request runs `endpoint` → `auth` (tokens, expiry, scopes) → `kms`, `credentials`, `sts` or `oauth` → `iam` → the call
//! log. Not simulated: the APIs of IAM and Resource Manager, folders and organisations, groups, signatures by service
//! accounts, keys that are not symmetric, AWS and SAML federation.

pub(crate) mod auth;
pub(crate) mod call;
pub(crate) mod cel;
pub(crate) mod credentials;
pub mod edits;
pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod iam;
pub(crate) mod kms;
pub(crate) mod metadata;
pub mod name;
pub(crate) mod oauth;
pub mod scenario;
pub(crate) mod sts;
pub mod trail;
pub(crate) mod world;

pub use iam::role::CustomRole;
pub use world::Propagation;
pub use world::key::{ExternalAnswer, ProtectionLevel, Purpose, VersionState};
