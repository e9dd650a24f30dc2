//! Microsoft Azure: Entra ID, Key Vault keys and managed identities.
//!
//! A request runs `endpoint` (which service, by its `Host` header) → `entra` or `key_vault` → [`rbac`] → the call log; the
//! managed-identity endpoint is `identity`. Not simulated: Microsoft Graph and Azure Resource Manager, users and groups,
//! access policies of vaults, secrets and certificates in vaults, symmetric keys, signing.

mod answer;
pub(crate) mod clouds;
pub mod edits;
pub(crate) mod endpoint;
pub(crate) mod entra;
pub(crate) mod error;
pub(crate) mod identity;
pub mod ids;
pub(crate) mod jwt;
pub(crate) mod key_vault;
pub mod rbac;
pub mod scenario;
pub(crate) mod tls;
pub mod trail;
pub(crate) mod world;

pub use clouds::Cloud;
pub use world::Propagation;
pub use world::vault::{Firewall, FirewallAction, KeyKind};
