//! What has to hold before a server is put together, as far as it can be told without listening, writing or asking a cloud.
//!
//! The one place for it: a server does this before anything else, so that one which cannot start leaves nothing behind, and
//! `leasehold config check` does nothing else. What is not looked at here and can keep a server from starting is what belongs to the
//! machine at that moment: ports, disks, the registry, and how much memory may be locked.

use std::sync::Arc;

use leasehold_audit::SigningKey;
use leasehold_clock::TimeSource;
use leasehold_lease::Providers;
use leasehold_secret::Arena;

use crate::app::StartError;
use crate::config::Config;
use crate::listen::{self, ListenError};
use crate::tls::Gate;
use crate::{providers, reprove};

/// Holds `config` and every file that it names to what a server needs; gives the clouds, which hold keys in `arena`. A region of AWS's
/// that neither the configuration nor the environment names is asked of this machine.
///
/// # Errors
/// [`StartError`].
pub(crate) async fn validate(
    config: &Config,
    arena: &Arena,
    clock: &Arc<dyn TimeSource>,
) -> Result<Providers, StartError> {
    config.rules()?;
    listen::check(&config.listen)?;
    if let Some(tls) = &config.listen.tls {
        Gate::open(tls.clone(), Arc::clone(clock)).map_err(ListenError::from)?;
    }
    if let Some(reprove) = &config.reprove {
        reprove::check(reprove.clone(), Arc::clone(clock))?;
    }
    // One that is not there is made.
    if let Some(key) = config.audit.signing_key().filter(|key| key.exists()) {
        SigningKey::read(&key)?;
    }
    let providers = providers::build(config.providers.clone(), arena, clock).await?;
    Ok(providers::with_sentinels(providers, config.sentinels.clone(), &config.deployment, clock)?)
}
