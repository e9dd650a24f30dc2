//! Becoming our application's service principal in a tenant's directory and using the tenant's Key Vault key.
//!
//! Owns everything that is particular to Azure: parsing key URLs and a binding's settings, proving to Entra ID who our
//! application is, getting a token in the tenant's directory, calling Key Vault or Managed HSM with it, the one table from
//! Azure's codes to [`leasehold_provider::Fault`], and what a tenant must paste. Deliberately keeps nothing between calls
//! but connections and the platform's own managed-identity token; it sets no deadlines and repeats nothing, because
//! [`leasehold_provider::Guarded`] does that for every cloud alike.
//!
//! Invariants:
//! - Every [`assume`](leasehold_provider::KeyProvider::assume) asks Entra ID anew; no token for a vault is ever reused.
//! - Every use of a key addresses the *binding's* key and one version, and the answer must name the same.
//! - RSA has no additional authenticated data, so the purpose, the envelope's header and the caller's whole encryption
//!   context are inside what is wrapped, and compared in constant time when it is unwrapped.
//! - A binding is activated only if its key carries the challenge that we issued for it, and until then nobody learns
//!   anything else about the key.
//!
//! Reading order: [`AzureConfig`], [`AzureProvider`]; then `settings` (what a binding says), `base` and `assertion` (who we
//! are), `assume`, `payload` and `key`, `error` (the
//! table), `explain`, `inspect` and `kit`.

mod assertion;
mod assume;
mod base;
mod clients;
mod cloud;
mod commands;
mod config;
mod endpoint;
mod error;
mod explain;
mod ids;
mod inspect;
mod key;
mod kit;
mod payload;
mod provider;
mod settings;
mod transport;

pub use cloud::Cloud;
pub use config::{AzureConfig, AzureConfigError, Endpoints, Identity};
pub use ids::{ClientId, DirectoryId, IdError, KeyUrl};
pub use provider::AzureProvider;
