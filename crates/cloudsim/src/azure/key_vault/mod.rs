//! Azure Key Vault: the data plane of keys.
//!
//! A request runs [`auth`] (401 and its challenge) → the firewall → the vault's limit → role assignments, or access
//! policies → the key and its state → the operation.

mod auth;
mod crypto;
mod describe;
mod lookup;
mod owner;

pub(crate) use owner::{add_version, make as make_material};

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::Value;

use super::answer::Dialect;
use super::clouds::Cloud;
use super::error::AzureError;
use super::ids::VaultName;
use super::jwt::Claims;
use super::rbac::key_action;
use super::world::State;
use super::world::vault::Vault;
use crate::clock::Timestamp;
use crate::log::CallFacts;
use crate::simulator::Shared;
use auth::Caller;

/// The API versions that are served: those that the official clients send.
const API_VERSIONS: [&str; 9] = ["2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01"];

/// An operation on keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    GetKey,
    GetKeys,
    GetKeyVersions,
    WrapKey,
    UnwrapKey,
    Encrypt,
    Decrypt,
    CreateKey,
    UpdateKey,
    RotateKey,
    DeleteKey,
    GetDeletedKey,
    GetDeletedKeys,
    RecoverDeletedKey,
    PurgeDeletedKey,
}

impl Operation {
    /// Its name in the log, and the last part of the data action that it needs.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::GetKey => ("GetKey", "read"),
            Self::GetKeys => ("GetKeys", "read"),
            Self::GetKeyVersions => ("GetKeyVersions", "read"),
            Self::WrapKey => ("WrapKey", "wrap/action"),
            Self::UnwrapKey => ("UnwrapKey", "unwrap/action"),
            Self::Encrypt => ("Encrypt", "encrypt/action"),
            Self::Decrypt => ("Decrypt", "decrypt/action"),
            Self::CreateKey => ("CreateKey", "create/action"),
            Self::UpdateKey => ("UpdateKey", "update/action"),
            Self::RotateKey => ("RotateKey", "rotate/action"),
            Self::DeleteKey => ("DeleteKey", "delete"),
            Self::GetDeletedKey => ("GetDeletedKey", "read"),
            Self::GetDeletedKeys => ("GetDeletedKeys", "read"),
            Self::RecoverDeletedKey => ("RecoverDeletedKey", "recover/action"),
            Self::PurgeDeletedKey => ("PurgeDeletedKey", "purge/action"),
        }
    }

    /// The permission that an access policy has to give.
    fn permission(self) -> &'static str {
        match self {
            Self::GetKey | Self::GetDeletedKey => "get",
            Self::GetKeys | Self::GetKeyVersions | Self::GetDeletedKeys => "list",
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::CreateKey => "create",
            Self::UpdateKey => "update",
            Self::RotateKey => "rotate",
            Self::DeleteKey => "delete",
            Self::RecoverDeletedKey => "recover",
            Self::PurgeDeletedKey => "purge",
        }
    }

    /// Reads a path's parts; gives the key's name and version too, where there are any.
    fn parse<'a>(method: &Method, parts: &[&'a str]) -> Option<(Self, Option<&'a str>, Option<&'a str>)> {
        let get = method == Method::GET;
        let post = method == Method::POST;
        let found = match parts {
            ["keys"] if get => (Self::GetKeys, None, None),
            ["keys", name] if get => (Self::GetKey, Some(*name), None),
            ["keys", name] if method == Method::DELETE => (Self::DeleteKey, Some(*name), None),
            ["keys", name] if method == Method::PATCH => (Self::UpdateKey, Some(*name), None),
            ["keys", name, "versions"] if get => (Self::GetKeyVersions, Some(*name), None),
            ["keys", name, version] if get => (Self::GetKey, Some(*name), Some(*version)),
            ["keys", name, version] if method == Method::PATCH => {
                (Self::UpdateKey, Some(*name), Some(*version))
            }
            ["keys", name, operation] if post => (Self::posted(operation)?, Some(*name), None),
            ["keys", name, version, operation] if post => {
                (Self::posted(operation).filter(|found| found.takes_version())?, Some(*name), Some(*version))
            }
            ["deletedkeys"] if get => (Self::GetDeletedKeys, None, None),
            ["deletedkeys", name] if get => (Self::GetDeletedKey, Some(*name), None),
            ["deletedkeys", name] if method == Method::DELETE => (Self::PurgeDeletedKey, Some(*name), None),
            ["deletedkeys", name, "recover"] if post => (Self::RecoverDeletedKey, Some(*name), None),
            _ => return None,
        };
        Some(found)
    }

    fn posted(name: &str) -> Option<Self> {
        let known = [
            ("wrapkey", Self::WrapKey),
            ("unwrapkey", Self::UnwrapKey),
            ("encrypt", Self::Encrypt),
            ("decrypt", Self::Decrypt),
            ("create", Self::CreateKey),
            ("rotate", Self::RotateKey),
        ];
        known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, operation)| operation)
    }

    fn takes_version(self) -> bool {
        matches!(self, Self::WrapKey | Self::UnwrapKey | Self::Encrypt | Self::Decrypt)
    }
}

/// A request to a vault.
pub(crate) struct VaultCall {
    vault: VaultName,
    operation: Option<Operation>,
    /// The key's name.
    key: Option<String>,
    version: Option<String>,
    query: BTreeMap<String, String>,
    bearer: Option<String>,
    peer: Option<IpAddr>,
    body: Bytes,
}

impl VaultCall {
    /// Reads a request to the vault of this host name, if there is one.
    pub(crate) fn parse(
        request: &Request<Bytes>,
        host: &str,
        peer: Option<IpAddr>,
        shared: &Shared,
    ) -> Option<Self> {
        let (_, name) = Cloud::of_vault_host(host)?;
        let vault: VaultName = name.parse().ok()?;
        let exists = shared.azure.read().vaults.get(&vault).is_some_and(|vault| vault.host == host);
        if !exists {
            return None;
        }
        // Clients that name no version write two slashes where it would be.
        let parts: Vec<&str> = request.uri().path().split('/').filter(|part| !part.is_empty()).collect();
        let parsed = Operation::parse(request.method(), &parts);
        let query = request.uri().query().unwrap_or_default();
        let authorization =
            request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = authorization.and_then(|value| value.split_once(' ')).and_then(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        });
        Some(Self {
            vault,
            operation: parsed.map(|(operation, _, _)| operation),
            key: parsed.and_then(|(_, key, _)| key).map(str::to_owned),
            version: parsed.and_then(|(_, _, version)| version).map(str::to_owned),
            query: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            bearer,
            peer,
            body: request.body().clone(),
        })
    }

    fn json(&self) -> Result<Value, AzureError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| AzureError::bad_parameter("The request body is not valid JSON."))
    }

    /// The vault. Parsing saw it, but its owner may have deleted it since.
    fn vault<'a>(&self, state: &'a State) -> Result<&'a Vault, AzureError> {
        state.vaults.get(&self.vault).ok_or_else(AzureError::internal)
    }

    /// The resource id that roles are assigned at.
    fn resource(&self, vault: &Vault) -> String {
        match &self.key {
            Some(key) => format!("{}/keys/{key}", vault.resource_id()),
            None => vault.resource_id(),
        }
    }
}

/// What can be told about a call before it is authenticated; faults match on it.
pub(crate) fn facts(call: &VaultCall, shared: &Shared) -> CallFacts {
    let state = shared.azure.read();
    let vault = state.vaults.get(&call.vault);
    let claims = call.bearer.as_deref().and_then(Claims::read);
    let claim = |name: &str| claims.as_ref().and_then(|claims| claims.text(name)).map(str::to_owned);
    let mut facts = CallFacts {
        operation: call.operation.map_or("Unknown", |operation| operation.names().0).to_owned(),
        account: vault.map(|vault| vault.directory.to_string()),
        caller_account: claim("tid"),
        caller_role: claim("appid"),
        role: claim("appid"),
        principal: claim("appid"),
        key: call.key.as_ref().and_then(|key| Some(vault?.key_url(key).to_string())),
        key_version: call.version.clone(),
        ..CallFacts::default()
    };
    facts.parameters.insert("vault".to_owned(), call.vault.to_string());
    facts.parameters.insert("authenticated".to_owned(), claims.is_some().to_string());
    facts
}

pub(crate) fn execute(call: &VaultCall, shared: &Shared, facts: &mut CallFacts) -> Result<Value, AzureError> {
    let now = shared.clock.now();
    let caller = auth::authenticate(call, &shared.azure.read(), now)?;
    facts.parameters.insert("objectId".to_owned(), caller.object_id.to_string());
    check_version(call)?;
    let operation = call.operation.ok_or_else(|| {
        AzureError::new(StatusCode::METHOD_NOT_ALLOWED, "NotSupported", "The operation is not supported.")
    })?;
    check_firewall(call, &caller, &shared.azure.read(), now)?;
    check_limit(call, shared, now)?;
    check_permission(call, operation, &caller, &shared.azure.read(), now)?;
    match operation {
        Operation::GetKey => describe::get_key(call, &shared.azure.read(), now),
        Operation::GetKeys => describe::get_keys(call, &shared.azure.read(), now),
        Operation::GetKeyVersions => describe::get_key_versions(call, &shared.azure.read(), now),
        Operation::GetDeletedKey => describe::get_deleted_key(call, &shared.azure.read(), now),
        Operation::GetDeletedKeys => describe::get_deleted_keys(call, &shared.azure.read(), now),
        Operation::WrapKey | Operation::Encrypt => crypto::encrypt(call, operation, shared, facts),
        Operation::UnwrapKey | Operation::Decrypt => crypto::decrypt(call, operation, shared, facts),
        Operation::CreateKey => owner::create(call, shared),
        Operation::UpdateKey => owner::update(call, shared),
        Operation::RotateKey => owner::rotate(call, shared),
        Operation::DeleteKey => owner::delete(call, shared),
        Operation::RecoverDeletedKey => owner::recover(call, shared),
        Operation::PurgeDeletedKey => owner::purge(call, shared),
    }
}

fn check_version(call: &VaultCall) -> Result<(), AzureError> {
    match call.query.get("api-version").map(String::as_str) {
        None => Err(AzureError::bad_parameter("api-version must be specified")),
        Some(version) if API_VERSIONS.contains(&version) => Ok(()),
        Some(version) => {
            let message = format!(
                "The specified version ({version}) is not recognized. Consider using the latest supported version (2025-07-01)."
            );
            Err(AzureError::bad_parameter(message))
        }
    }
}

fn check_firewall(
    call: &VaultCall,
    caller: &Caller,
    state: &State,
    now: Timestamp,
) -> Result<(), AzureError> {
    let vault = call.vault(state)?;
    if vault.firewall.at(now).admits(call.peer) {
        return Ok(());
    }
    let address = call.peer.map(|peer| peer.to_string()).unwrap_or_default();
    let message = format!(
        "Client address is not authorized and caller is not a trusted service.\r\nClient address: {address}\r\nCaller: \
         {}\r\nVault: {};location={}",
        caller.described(),
        vault.name,
        vault.location
    );
    Err(AzureError::forbidden("ForbiddenByFirewall", message).denied())
}

fn check_limit(call: &VaultCall, shared: &Shared, now: Timestamp) -> Result<(), AzureError> {
    let mut state = shared.azure.write();
    let admitted = state.vaults.get_mut(&call.vault).is_none_or(|vault| vault.admit(now));
    if admitted { Ok(()) } else { Err(Dialect::KeyVault.throttled()) }
}

fn check_permission(
    call: &VaultCall,
    operation: Operation,
    caller: &Caller,
    state: &State,
    now: Timestamp,
) -> Result<(), AzureError> {
    let vault = call.vault(state)?;
    let permission = operation.permission();
    match vault.policy_permits(&caller.object_id, permission, now) {
        Some(true) => return Ok(()),
        Some(false) => return Err(not_in_policy(vault, caller, permission)),
        None => {}
    }
    let action = key_action(operation.names().1);
    let resource = call.resource(vault);
    if state.access.allows(&caller.object_id, &action, &resource, now) {
        return Ok(());
    }
    let message = format!(
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
         definitions were changed recently, please observe propagation time.\r\nCaller: {}\r\nAction: '{action}'\r\n\
         Resource: '{}'\r\nAssignment: (not found)\r\nDenyAssignmentId: null\r\nDecisionReason: \
         'DeniedWithNoValidRBAC' \r\nVault: {};location={}\r\n",
        caller.described(),
        resource.to_ascii_lowercase(),
        vault.name,
        vault.location
    );
    Err(AzureError::forbidden("ForbiddenByRbac", message).denied().because("no role assignment allows it"))
}

fn not_in_policy(vault: &Vault, caller: &Caller, permission: &str) -> AzureError {
    let message = format!(
        "The user, group or application '{}' does not have keys {} permission on key vault '{};location={}'. For help \
         resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125287",
        caller.described(),
        permission.to_ascii_lowercase(),
        vault.name,
        vault.location
    );
    AzureError::forbidden("ForbiddenByPolicy", message).denied().because("no access policy allows it")
}
