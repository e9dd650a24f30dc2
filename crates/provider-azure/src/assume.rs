//! Becoming our application's service principal in the tenant's directory.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use leasehold_provider::{Answer, Fault, OwnIdentity, ProviderError, Session};
use zeroize::Zeroizing;

use crate::base::{Application, Fresh};
use crate::clients::Clients;
use crate::cloud::{Cloud, Store};
use crate::error::Call;
use crate::ids::{DirectoryId, KeyUrl};
use crate::settings::Plan;
use crate::transport::Introduced;

/// What a session of this provider holds.
pub(crate) struct VaultSession {
    pub(crate) key: KeyUrl,
    pub(crate) store: Store,
    /// A client of its own, because the SDK's clients keep the token that they were first given.
    pub(crate) client: KeyClient,
    pub(crate) held: Arc<Held>,
    /// Why nothing is told about the key with this session.
    withheld: Mutex<Option<ProviderError>>,
}

impl VaultSession {
    /// Withholds the key from whoever holds this session, or gives it back.
    pub(crate) fn withhold(&self, why: Option<ProviderError>) {
        *self.withheld.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Whether the key may be used and told about.
    pub(crate) fn check(&self) -> Result<(), ProviderError> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }
}

/// A token, for as long as a session lives; wiped when the last clone of the session is dropped.
pub(crate) struct Held {
    token: Zeroizing<String>,
    expires_on: OffsetDateTime,
    scope: String,
}

/// Becomes the plan's principal. Entra is asked, every time.
pub(crate) async fn assume(
    application: &Application,
    clients: &Clients,
    cloud: Cloud,
    plan: &Plan,
) -> Result<Answer<Session>, ProviderError> {
    let scope = cloud.scope(plan.store);
    let Answer { value, request_id } = application.token(Call::Assume, &plan.directory, &scope).await?;
    let Fresh { token, expires_on } = value;
    let held = Arc::new(Held { token, expires_on, scope });
    let session = VaultSession {
        key: plan.key.clone(),
        store: plan.store,
        client: client(clients, cloud, &plan.key, plan.store, &held)?,
        held,
        withheld: Mutex::default(),
    };
    Ok(Answer { value: Session::new(SystemTime::from(expires_on), session), request_id })
}

/// Who we are by Entra's word: a token of our own application in our own directory, which only that application gets.
pub(crate) async fn own_identity(
    application: &Application,
    cloud: Cloud,
    home: &DirectoryId,
) -> Result<OwnIdentity, ProviderError> {
    application.token(Call::WhoAmI, home, &cloud.scope(Store::Vault)).await?;
    let principal = application.client_id.as_str().to_owned();
    Ok(OwnIdentity { principal, account: home.as_str().to_owned() })
}

/// A client for the vault of `key` that shows `held`, with connections of its own.
pub(crate) fn client(
    clients: &Clients,
    cloud: Cloud,
    key: &KeyUrl,
    store: Store,
    held: &Arc<Held>,
) -> Result<KeyClient, ProviderError> {
    let mut client_options = clients.options()?;
    client_options.per_try_policies.push(Arc::new(Introduced::new(cloud, &cloud.resource(store))));
    let options = KeyClientOptions { client_options, ..KeyClientOptions::default() };
    let credential: Arc<dyn TokenCredential> = held.clone();
    KeyClient::new(key.vault_url(), credential, Some(options))
        .map_err(|_| ProviderError::new(Fault::Misconfigured, "the SDK does not take the vault's URL"))
}

impl Held {
    /// The claims of the token, as far as they can be read. Entra does not promise that they can: good for telling people
    /// what they have, and for nothing else.
    pub(crate) fn claims(&self) -> Option<serde_json::Value> {
        let claims = self.token.split('.').nth(1)?;
        let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).ok()?;
        serde_json::from_slice(&claims).ok()
    }
}

#[async_trait]
impl TokenCredential for Held {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        // A vault may ask for any token in its challenge. It gets the one for vaults or none.
        if scopes != [self.scope.as_str()] {
            return Err(Error::with_message(
                ErrorKind::Credential,
                "the vault asks for a token for something else",
            ));
        }
        Ok(AccessToken::new(self.token.to_string(), self.expires_on))
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("scope", &self.scope).finish_non_exhaustive()
    }
}
