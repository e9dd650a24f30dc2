//! The routes about Azure. Keys are addressed by `?key=`, because their URLs hold slashes.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, RawQuery, State};
use axum::routing::{delete, get, post, put};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Control;
use super::azure::model::{
    AppSpec, CertificateSpec, DirectorySpec, FederatedCredentialSpec, KeySpec, KeyValidity,
    ManagedIdentitySpec, VaultSpec,
};
use super::http::{After, Reply, body, done, events, name, reply};
use crate::azure::edits::{Edit, EditId};
use crate::azure::ids::KeyUrl;
use crate::azure::scenario::{ScenarioSpec, Tenant};
use crate::azure::world::Propagation;
use crate::azure::world::vault::Firewall;
use crate::error::SimError;

pub(super) fn routes() -> Router<Control> {
    Router::new()
        .route("/world", get(world))
        .route("/scenario", post(scenario))
        .route("/onboard", post(onboard))
        .route("/directories/{directory}", put(put_directory))
        .route("/directories/{directory}/principals/{app}", put(consent).delete(delete_principal))
        .route("/directories/{directory}/principals/{app}/enabled", put(set_principal_enabled))
        .route("/apps/{app}", put(put_app))
        .route("/apps/{app}/enabled", put(set_app_enabled))
        .route("/apps/{app}/secrets", post(add_secret))
        .route("/apps/{app}/secrets/{id}", delete(remove_secret))
        .route("/apps/{app}/certificates", post(add_certificate))
        .route("/apps/{app}/federated-credentials", put(put_federated_credential))
        .route("/apps/{app}/federated-credentials/{name}", delete(remove_federated_credential))
        .route("/managed-identities/{client}", put(put_managed_identity))
        .route("/managed-identity", put(set_default_identity))
        .route("/tokens", delete(expire_tokens))
        .route("/tokens/lifetime", put(set_token_lifetime))
        .route("/role-assignments", post(put_role_assignment))
        .route("/role-assignments/{name}", delete(delete_role_assignment))
        .route("/role-definitions", post(put_role_definition))
        .route("/vaults/{vault}", put(put_vault).delete(delete_vault))
        .route("/vaults/{vault}/firewall", put(set_firewall))
        .route("/vaults/{vault}/access-policies/{principal}", put(set_access_policy))
        .route("/vaults/{vault}/limit", put(set_vault_limit))
        .route("/keys", post(create_key).delete(delete_key))
        .route("/keys/rotate", post(rotate_key))
        .route("/keys/recover", post(recover_key))
        .route("/keys/purge", post(purge_key))
        .route("/keys/enabled", put(set_key_enabled))
        .route("/keys/validity", put(set_key_validity))
        .route("/keys/operations", put(set_key_ops))
        .route("/keys/tags", put(set_tags))
        .route("/edits", get(list_edits).post(make_edit))
        .route("/edits/{id}", delete(undo_edit))
        .route("/events", get(list_events))
        .route("/propagation", get(propagation).put(set_propagation))
}

/// A parameter of the query.
fn parameter(query: Option<&str>, wanted: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.into_iter().find(|(known, _)| known == wanted).map(|(_, value)| value.into_owned())
}

/// Reads `?key=…`.
fn key(query: Option<&str>) -> Result<KeyUrl, SimError> {
    let text = parameter(query, "key").ok_or_else(|| SimError::invalid("query", "it needs ?key="))?;
    name(&text)
}

/// Reads `&version=…`.
fn version(query: Option<&str>) -> Option<String> {
    parameter(query, "version")
}

async fn world(State(control): State<Control>) -> Reply {
    reply(control.azure().world())
}

async fn scenario(State(control): State<Control>, bytes: Bytes) -> Reply {
    let spec: ScenarioSpec = body(&bytes)?;
    reply(control.azure().build(&spec)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Onboard {
    tenant: Tenant,
    challenge: String,
}

async fn onboard(State(control): State<Control>, bytes: Bytes) -> Reply {
    let Onboard { tenant, challenge } = body(&bytes)?;
    reply(json!({"principal": control.azure().onboard(&tenant, &challenge)?}))
}

// === directories and principals ===

async fn put_directory(State(control): State<Control>, Path(directory): Path<String>, bytes: Bytes) -> Reply {
    let spec: DirectorySpec = body(&bytes)?;
    reply(json!({"subscription": control.azure().put_directory(&name(&directory)?, spec)?}))
}

async fn consent(State(control): State<Control>, Path((directory, app)): Path<(String, String)>) -> Reply {
    reply(json!({"object_id": control.azure().consent(&name(&directory)?, &name(&app)?)?}))
}

async fn delete_principal(
    State(control): State<Control>,
    Path((directory, app)): Path<(String, String)>,
) -> Reply {
    done(control.azure().delete_service_principal(&name(&directory)?, &name(&app)?))
}

async fn set_principal_enabled(
    State(control): State<Control>,
    Path((directory, app)): Path<(String, String)>,
    bytes: Bytes,
) -> Reply {
    let enabled = body(&bytes)?;
    done(control.azure().set_service_principal_enabled(&name(&directory)?, &name(&app)?, enabled))
}

// === applications and managed identities ===

async fn put_app(State(control): State<Control>, Path(app): Path<String>, bytes: Bytes) -> Reply {
    let spec: AppSpec = body(&bytes)?;
    done(control.azure().put_app(&name(&app)?, spec))
}

async fn set_app_enabled(State(control): State<Control>, Path(app): Path<String>, bytes: Bytes) -> Reply {
    done(control.azure().set_app_enabled(&name(&app)?, body(&bytes)?))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NewSecret {
    expires_in_seconds: Option<u64>,
}

async fn add_secret(State(control): State<Control>, Path(app): Path<String>, bytes: Bytes) -> Reply {
    let spec = if bytes.is_empty() { NewSecret::default() } else { body(&bytes)? };
    let lifetime = spec.expires_in_seconds.map(Duration::from_secs);
    reply(control.azure().add_secret(&name(&app)?, lifetime)?)
}

async fn remove_secret(State(control): State<Control>, Path((app, id)): Path<(String, String)>) -> Reply {
    done(control.azure().remove_secret(&name(&app)?, &id))
}

async fn add_certificate(State(control): State<Control>, Path(app): Path<String>, bytes: Bytes) -> Reply {
    let spec: CertificateSpec = body(&bytes)?;
    reply(json!({"thumbprint": control.azure().add_certificate(&name(&app)?, &spec)?}))
}

async fn put_federated_credential(
    State(control): State<Control>,
    Path(app): Path<String>,
    bytes: Bytes,
) -> Reply {
    let spec: FederatedCredentialSpec = body(&bytes)?;
    done(control.azure().put_federated_credential(&name(&app)?, spec))
}

async fn remove_federated_credential(
    State(control): State<Control>,
    Path((app, credential)): Path<(String, String)>,
) -> Reply {
    done(control.azure().remove_federated_credential(&name(&app)?, &credential))
}

async fn put_managed_identity(
    State(control): State<Control>,
    Path(client): Path<String>,
    bytes: Bytes,
) -> Reply {
    let spec: ManagedIdentitySpec = body(&bytes)?;
    reply(json!({"object_id": control.azure().put_managed_identity(&name(&client)?, spec)?}))
}

async fn set_default_identity(State(control): State<Control>, bytes: Bytes) -> Reply {
    done(control.azure().set_default_identity(body(&bytes)?))
}

async fn expire_tokens(State(control): State<Control>) -> Reply {
    control.azure().expire_tokens();
    done(Ok(()))
}

async fn set_token_lifetime(State(control): State<Control>, bytes: Bytes) -> Reply {
    control.azure().set_token_lifetime(body(&bytes)?);
    done(Ok(()))
}

// === roles ===

async fn put_role_assignment(State(control): State<Control>, bytes: Bytes) -> Reply {
    let assignment: Value = body(&bytes)?;
    reply(json!({"name": control.azure().put_role_assignment(&assignment)?}))
}

async fn delete_role_assignment(State(control): State<Control>, Path(assignment): Path<String>) -> Reply {
    done(control.azure().delete_role_assignment(&assignment))
}

async fn put_role_definition(State(control): State<Control>, bytes: Bytes) -> Reply {
    let definition: Value = body(&bytes)?;
    reply(json!({"id": control.azure().put_role_definition(&definition)?}))
}

// === vaults and keys ===

async fn put_vault(State(control): State<Control>, Path(vault): Path<String>, bytes: Bytes) -> Reply {
    let spec: VaultSpec = body(&bytes)?;
    reply(json!({"url": control.azure().put_vault(&name(&vault)?, spec)?}))
}

async fn delete_vault(State(control): State<Control>, Path(vault): Path<String>) -> Reply {
    done(control.azure().delete_vault(&name(&vault)?))
}

async fn set_firewall(State(control): State<Control>, Path(vault): Path<String>, bytes: Bytes) -> Reply {
    let firewall: Firewall = body(&bytes)?;
    done(control.azure().set_firewall(&name(&vault)?, firewall))
}

async fn set_access_policy(
    State(control): State<Control>,
    Path((vault, principal)): Path<(String, String)>,
    bytes: Bytes,
) -> Reply {
    let permissions: Vec<String> = body(&bytes)?;
    done(control.azure().set_access_policy(&name(&vault)?, &name(&principal)?, &permissions))
}

async fn set_vault_limit(State(control): State<Control>, Path(vault): Path<String>, bytes: Bytes) -> Reply {
    done(control.azure().set_vault_limit(&name(&vault)?, body(&bytes)?))
}

async fn create_key(State(control): State<Control>, bytes: Bytes) -> Reply {
    let spec: KeySpec = body(&bytes)?;
    reply(json!({"key": control.azure().create_key(spec)?}))
}

async fn delete_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.azure().delete_key(&key(query.as_deref())?))
}

async fn rotate_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    reply(json!({"version": control.azure().rotate_key(&key(query.as_deref())?)?}))
}

async fn recover_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.azure().recover_key(&key(query.as_deref())?))
}

async fn purge_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.azure().purge_key(&key(query.as_deref())?))
}

async fn set_key_enabled(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let (key, version) = (key(query.as_deref())?, version(query.as_deref()));
    done(control.azure().set_key_enabled(&key, version.as_deref(), body(&bytes)?))
}

async fn set_key_validity(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let (key, version) = (key(query.as_deref())?, version(query.as_deref()));
    let validity: KeyValidity = body(&bytes)?;
    done(control.azure().set_key_validity(&key, version.as_deref(), validity))
}

async fn set_key_ops(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let operations: Vec<String> = body(&bytes)?;
    done(control.azure().set_key_ops(&key(query.as_deref())?, &operations))
}

async fn set_tags(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let tags: BTreeMap<String, String> = body(&bytes)?;
    done(control.azure().set_tags(&key(query.as_deref())?, tags))
}

// === edits and propagation ===

async fn list_edits(State(control): State<Control>) -> Reply {
    reply(control.azure().edits())
}

async fn make_edit(State(control): State<Control>, bytes: Bytes) -> Reply {
    let edit: Edit = body(&bytes)?;
    reply(json!({"id": control.azure().edit(edit)?}))
}

async fn undo_edit(State(control): State<Control>, Path(id): Path<u64>) -> Reply {
    let id: EditId = serde_json::from_value(json!(id)).map_err(|_| SimError::invalid("edit", "its id"))?;
    done(control.azure().undo(id))
}

async fn list_events(State(control): State<Control>, Query(After { after }): Query<After>) -> Reply {
    events(control.azure().grid_events(after))
}

async fn propagation(State(control): State<Control>) -> Reply {
    reply(control.azure().propagation())
}

async fn set_propagation(State(control): State<Control>, bytes: Bytes) -> Reply {
    let propagation: Propagation = body(&bytes)?;
    control.azure().set_propagation(propagation);
    done(Ok(()))
}
