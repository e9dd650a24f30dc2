//! The documents by which clients find endpoints and keys.

use serde_json::{Value, json};

use super::signer::Signer;
use super::{EntraCall, refusals};
use crate::azure::clouds::Cloud;
use crate::azure::error::AzureError;
use crate::azure::world::State;
use crate::azure::world::directory::Directory;
use crate::simulator::Shared;

/// The directory that a call names, if it is one of the cloud that was called.
pub(super) fn directory<'a>(call: &EntraCall, state: &'a State) -> Result<&'a Directory, AzureError> {
    if matches!(call.directory.as_str(), "common" | "organizations" | "consumers") {
        return Err(refusals::no_directory());
    }
    state
        .directory_named(&call.directory)
        .filter(|directory| call.cloud.is_none_or(|cloud| cloud == directory.cloud))
        .ok_or_else(|| refusals::directory_not_found(&call.directory))
}

/// <https://learn.microsoft.com/en-us/entra/identity-platform/v2-protocols-oidc#fetch-the-openid-configuration-document>
pub(super) fn openid_configuration(call: &EntraCall, shared: &Shared) -> Result<Value, AzureError> {
    let state = shared.azure.read();
    // MSAL asks for a directory that does not exist to learn that it does not: the code is the token endpoint's, the
    // OAuth error is not.
    let directory =
        directory(call, &state).map_err(|error| AzureError { oauth: Some("invalid_tenant"), ..error })?;
    let (base, id) = (&call.base, &directory.id);
    Ok(json!({
        "token_endpoint": format!("{base}/{id}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "jwks_uri": format!("{base}/{id}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": directory.issuer_v2(),
        "authorization_endpoint": format!("{base}/{id}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{base}/{id}/oauth2/v2.0/devicecode"),
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "tid", "ver"],
        "tenant_region_scope": "EU",
        "cloud_instance_name": directory.cloud.login_host(),
    }))
}

/// Which names of Entra ID are one and the same, as official clients ask before they send a secret anywhere.
pub(super) fn instance(call: &EntraCall) -> Value {
    let metadata = [Cloud::Public, Cloud::UsGovernment, Cloud::China].map(|cloud| {
        json!({
            "preferred_network": cloud.login_host(),
            "preferred_cache": cloud.login_host(),
            "aliases": cloud.login_hosts(),
        })
    });
    let asked = call.text("authorization_endpoint").and_then(|url| url.split('/').nth(3)).unwrap_or("common");
    json!({
        "tenant_discovery_endpoint": format!("{}/{asked}/v2.0/.well-known/openid-configuration", call.base),
        "api-version": "1.1",
        "metadata": metadata,
    })
}

/// The keys that tokens are signed with.
pub(super) fn keys() -> Result<Value, AzureError> {
    let signer = Signer::shared().map_err(|_| AzureError::internal())?;
    Ok(json!({"keys": [signer.key()]}))
}
