//! Who calls a vault, as its access token says.

use http::StatusCode;

use super::VaultCall;
use crate::azure::entra::signer::Signer;
use crate::azure::entra::token::EPOCH_CLAIM;
use crate::azure::error::AzureError;
use crate::azure::ids::ObjectId;
use crate::azure::jwt::Claims;
use crate::azure::world::State;
use crate::azure::world::directory::Directory;
use crate::azure::world::vault::Vault;
use crate::clock::Timestamp;

/// The application id of Key Vault, by which tokens may name it too.
const KEY_VAULT_APP: &str = "cfa8b339-82a2-471a-a3c9-0fc0be7a4093";

/// An authenticated caller.
#[derive(Debug)]
pub(super) struct Caller {
    app: String,
    pub(super) object_id: ObjectId,
    issuer: String,
}

impl Caller {
    /// As refusals name it.
    pub(super) fn described(&self) -> String {
        format!("appid={};oid={};iss={}", self.app, self.object_id, self.issuer)
    }
}

/// Checks the token of a call.
pub(super) fn authenticate(call: &VaultCall, state: &State, now: Timestamp) -> Result<Caller, AzureError> {
    let vault = call.vault(state)?;
    let directory = state.directories.get(&vault.directory).ok_or_else(AzureError::internal)?;
    let refused = |message: String| AzureError {
        challenge: Some(challenge(vault, directory).into()),
        ..AzureError::new(StatusCode::UNAUTHORIZED, "Unauthorized", message)
    };
    let token = call
        .bearer
        .as_deref()
        .ok_or_else(|| refused("AKV10000: Request is missing a Bearer or PoP token.".to_owned()))?;
    let claims = Claims::read(token)
        .ok_or_else(|| refused("AKV10001: The Bearer or PoP token is malformed.".to_owned()))?;
    let keys = Signer::shared().and_then(|signer| signer.keys()).map_err(|_| AzureError::internal())?;
    if !claims.signed_by_one_of(&keys) {
        let message = "AKV10046: Unable to resolve the key used for signature validation.";
        return Err(refused(message.to_owned()));
    }
    let expected = resource(vault);
    let audience = claims.audiences().first().copied().unwrap_or_default().to_owned();
    if audience != expected && audience != KEY_VAULT_APP {
        let message = format!("AKV10022: Invalid audience. Expected {expected}, found: {audience}.");
        return Err(refused(message));
    }
    let issuer = claims.text("iss").unwrap_or_default().to_owned();
    let own = directory.issuer_v1();
    if issuer != own || claims.text("tid") != Some(directory.id.as_str()) {
        return Err(refused(format!("AKV10032: Invalid issuer. Expected one of {own}, found {issuer}.")));
    }
    if !is_current(&claims, state, now) {
        return Err(refused("[TokenExpired] Error validating token: 'S2S12086'.".to_owned()));
    }
    let object_id = claims.text("oid").and_then(|text| text.parse().ok()).ok_or_else(AzureError::internal)?;
    Ok(Caller { app: claims.text("appid").unwrap_or_default().to_owned(), object_id, issuer })
}

fn is_current(claims: &Claims<'_>, state: &State, now: Timestamp) -> bool {
    let seconds = now.unix_seconds();
    let epoch = claims.number(EPOCH_CLAIM).and_then(|epoch| u64::try_from(epoch).ok());
    claims.number("exp").is_some_and(|expires| seconds < expires)
        && claims.number("nbf").is_none_or(|from| from <= seconds)
        && epoch == Some(state.token_epoch)
}

/// The resource that tokens for a vault are for.
fn resource(vault: &Vault) -> String {
    let domain = vault.host.split_once('.').map_or(vault.cloud.vault_domain(), |(_, domain)| domain);
    format!("https://{domain}")
}

/// Tells a client which directory to get a token from, and for which resource.
fn challenge(vault: &Vault, directory: &Directory) -> String {
    format!(
        "Bearer authorization=\"https://{}/{}\", resource=\"{}\"",
        directory.cloud.login_host(),
        directory.id,
        resource(vault)
    )
}
