//! Becoming a tenant's IAM role and using the tenant's AWS KMS key.
//!
//! Owns everything that is particular to AWS: parsing ARNs and a binding's settings, assuming the tenant's role, calling
//! KMS with the session that came of it, the one table from AWS's codes to [`leasehold_provider::Fault`], and what a
//! tenant must paste. Deliberately keeps nothing between calls but connections and our own base identity; it sets no
//! deadlines and repeats nothing, because [`leasehold_provider::Guarded`] does that for every cloud alike.
//!
//! Invariants:
//! - Every [`assume`](leasehold_provider::KeyProvider::assume) asks STS anew at every hop; no session is ever reused.
//! - Every KMS call names the *binding's* key, Decrypt included, and the answer must name the same.
//! - A session can do no more than six operations on that one key; a chain's earlier session no more than assume the
//!   next role.
//! - The caller's whole encryption context, the envelope's header and the purpose are bound into every ciphertext.
//!
//! Reading order: [`AwsConfig`], [`AwsProvider`]; then `settings` (what a binding says), `assume`, `key`, `error` (the
//! table) and `kit`.

mod arn;
mod assume;
mod base;
mod bounded;
mod clients;
mod config;
mod endpoint;
mod error;
mod explain;
mod inspect;
mod key;
mod kit;
mod policy;
mod pool;
#[cfg(test)]
mod proptests;
mod provider;
mod settings;

pub use arn::{AccountId, ArnError, KeyArn, Partition, Region, RoleArn};
pub use config::{AwsConfig, AwsConfigError, BaseIdentity, Endpoints};
pub use provider::AwsProvider;
