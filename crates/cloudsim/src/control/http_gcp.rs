//! The routes about Google Cloud. What has slashes in its name is addressed by the query: `?key=`, `?service_account=`, …

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, Query, RawQuery, State};
use axum::routing::{delete, get, post, put};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Control;
use super::gcp::{KeyInput, PolicyPlace, ProviderSpec};
use super::http::{After, Reply, body, done, events, name, reply};
use super::model::IssuerSpec;
use crate::error::SimError;
use crate::gcp::VersionState;
use crate::gcp::edits::{Edit, EditId};
use crate::gcp::name::{KeyName, PoolName, ProjectId, ProviderName, RoleName, ServiceAccountEmail};
use crate::gcp::scenario::{ScenarioSpec, Tenant};
use crate::gcp::world::Propagation;
use crate::issuer::TokenAlgorithm;

pub(super) fn routes() -> Router<Control> {
    Router::new()
        .route("/world", get(world))
        .route("/scenario", post(scenario))
        .route("/onboard", post(onboard))
        .route("/projects/{project}", put(put_project).delete(delete_project))
        .route("/projects/{project}/deny-policies/{id}", put(put_deny_policy).delete(delete_deny_policy))
        .route("/projects/{project}/pools/{id}", put(put_pool))
        .route("/roles", put(put_role).delete(delete_role))
        .route("/policies", get(get_policy).put(set_policy))
        .route("/policies/grant", post(grant))
        .route("/service-accounts", put(put_service_account).delete(delete_service_account))
        .route("/service-accounts/disabled", put(set_service_account_disabled))
        .route("/service-accounts/lifetime-extended", put(set_lifetime_extended))
        .route("/service-accounts/keys", post(create_service_account_key).delete(delete_service_account_key))
        .route("/users/{email}", put(put_user).delete(delete_user))
        .route("/keys", post(create_key).delete(delete_key))
        .route("/keys/labels", put(set_labels))
        .route("/keys/rotate", post(rotate_key))
        .route("/keys/primary", put(set_primary))
        .route("/keys/external", put(set_external))
        .route("/keys/versions", post(add_version))
        .route("/keys/versions/{number}/state", put(set_version_state))
        .route("/keys/versions/{number}/external", put(set_version_external))
        .route("/pools/disabled", put(set_pool_disabled))
        .route("/providers", put(put_provider).delete(delete_provider))
        .route("/edits", get(list_edits).post(make_edit))
        .route("/edits/{id}", delete(undo_edit))
        .route("/events", get(list_events))
        .route("/propagation", get(propagation).put(set_propagation))
        .route("/tokens", delete(expire_tokens))
        .route("/instance/service-account", put(set_instance_service_account))
        .route("/issuers", put(put_issuer))
        .route("/issuers/tokens", post(mint_token))
}

/// A parameter of the query.
fn named<T: DeserializeOwned>(query: Option<&str>, parameter: &str) -> Result<T, SimError> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut found = pairs.filter(|(key, _)| key == parameter);
    let (_, text) =
        found.next().ok_or_else(|| SimError::invalid("query", format!("it needs ?{parameter}=")))?;
    name(&text)
}

/// The place of a policy: the one that the query names.
fn place(query: Option<&str>) -> Result<PolicyPlace, SimError> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let places = pairs.map(|(kind, text)| json!({kind.as_ref(): text}));
    let mut known = places.filter_map(|place| serde_json::from_value(place).ok());
    let needs = "it needs ?project=, ?key_ring=, ?key= or ?service_account=";
    known.next().ok_or_else(|| SimError::invalid("query", needs))
}

async fn world(State(control): State<Control>) -> Reply {
    reply(control.gcp().world())
}

async fn scenario(State(control): State<Control>, bytes: Bytes) -> Reply {
    let spec: ScenarioSpec = body(&bytes)?;
    reply(control.gcp().build(&spec)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Onboarding {
    tenant: Tenant,
    challenge: String,
}

async fn onboard(State(control): State<Control>, bytes: Bytes) -> Reply {
    let Onboarding { tenant, challenge } = body(&bytes)?;
    done(control.gcp().onboard(&tenant, &challenge))
}

// === projects, roles and policies ===

async fn put_project(State(control): State<Control>, Path(project): Path<String>) -> Reply {
    let project: ProjectId = name(&project)?;
    reply(json!({"number": control.gcp().put_project(&project)}))
}

async fn delete_project(State(control): State<Control>, Path(project): Path<String>) -> Reply {
    done(control.gcp().delete_project(&name(&project)?))
}

async fn put_deny_policy(
    State(control): State<Control>,
    Path((project, id)): Path<(String, String)>,
    bytes: Bytes,
) -> Reply {
    done(control.gcp().put_deny_policy(&name(&project)?, &id, body(&bytes)?))
}

async fn delete_deny_policy(
    State(control): State<Control>,
    Path((project, id)): Path<(String, String)>,
) -> Reply {
    done(control.gcp().delete_deny_policy(&name(&project)?, &id))
}

async fn put_role(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let role: RoleName = named(query.as_deref(), "name")?;
    done(control.gcp().put_custom_role(&role, body(&bytes)?))
}

async fn delete_role(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.gcp().delete_custom_role(&named(query.as_deref(), "name")?))
}

async fn get_policy(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    reply(control.gcp().policy(&place(query.as_deref())?)?)
}

async fn set_policy(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let policy: Value = body(&bytes)?;
    done(control.gcp().set_policy(&place(query.as_deref())?, &policy))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    role: String,
    member: String,
}

async fn grant(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let Grant { role, member } = body(&bytes)?;
    done(control.gcp().grant(&place(query.as_deref())?, &role, &member))
}

// === service accounts and users ===

fn account(query: Option<&str>) -> Result<ServiceAccountEmail, SimError> {
    named(query, "service_account")
}

async fn put_service_account(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.gcp().put_service_account(&account(query.as_deref())?))
}

async fn delete_service_account(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.gcp().delete_service_account(&account(query.as_deref())?))
}

async fn set_service_account_disabled(
    State(control): State<Control>,
    RawQuery(query): RawQuery,
    bytes: Bytes,
) -> Reply {
    done(control.gcp().set_service_account_disabled(&account(query.as_deref())?, body(&bytes)?))
}

async fn set_lifetime_extended(
    State(control): State<Control>,
    RawQuery(query): RawQuery,
    bytes: Bytes,
) -> Reply {
    done(control.gcp().set_lifetime_extended(&account(query.as_deref())?, body(&bytes)?))
}

async fn create_service_account_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    let file = control.gcp().create_service_account_key(&account(query.as_deref())?)?;
    reply(json!({"file": file}))
}

async fn delete_service_account_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    let id: String = named(query.as_deref(), "id")?;
    done(control.gcp().delete_service_account_key(&account(query.as_deref())?, &id))
}

async fn put_user(State(control): State<Control>, Path(email): Path<String>) -> Reply {
    reply(json!({"file": control.gcp().put_user(&email)?}))
}

async fn delete_user(State(control): State<Control>, Path(email): Path<String>) -> Reply {
    done(control.gcp().delete_user(&email))
}

// === keys ===

fn key(query: Option<&str>) -> Result<KeyName, SimError> {
    named(query, "key")
}

async fn create_key(State(control): State<Control>, bytes: Bytes) -> Reply {
    let input: KeyInput = body(&bytes)?;
    done(control.gcp().create_key(input))
}

async fn delete_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.gcp().delete_key(&key(query.as_deref())?))
}

async fn set_labels(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let labels: BTreeMap<String, String> = body(&bytes)?;
    done(control.gcp().set_labels(&key(query.as_deref())?, labels))
}

async fn rotate_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    reply(json!({"version": control.gcp().rotate_key(&key(query.as_deref())?)?}))
}

async fn set_primary(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    done(control.gcp().set_primary(&key(query.as_deref())?, body(&bytes)?))
}

async fn set_external(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    done(control.gcp().set_external(&key(query.as_deref())?, body(&bytes)?))
}

async fn add_version(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let state: VersionState = body(&bytes)?;
    reply(json!({"version": control.gcp().add_version(&key(query.as_deref())?, state)?}))
}

async fn set_version_state(
    State(control): State<Control>,
    Path(number): Path<u32>,
    RawQuery(query): RawQuery,
    bytes: Bytes,
) -> Reply {
    let wanted: VersionState = body(&bytes)?;
    done(control.gcp().set_version_state(&key(query.as_deref())?, number, wanted))
}

async fn set_version_external(
    State(control): State<Control>,
    Path(number): Path<u32>,
    RawQuery(query): RawQuery,
    bytes: Bytes,
) -> Reply {
    done(control.gcp().set_version_external(&key(query.as_deref())?, number, body(&bytes)?))
}

// === federation ===

async fn put_pool(State(control): State<Control>, Path((project, id)): Path<(String, String)>) -> Reply {
    reply(json!({"pool": control.gcp().put_pool(&name(&project)?, &id)?}))
}

async fn set_pool_disabled(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let pool: PoolName = named(query.as_deref(), "pool")?;
    done(control.gcp().set_pool_disabled(&pool, body(&bytes)?))
}

async fn put_provider(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let provider: ProviderName = named(query.as_deref(), "provider")?;
    let spec: ProviderSpec = body(&bytes)?;
    done(control.gcp().put_provider(&provider, spec))
}

async fn delete_provider(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.gcp().delete_provider(&named(query.as_deref(), "provider")?))
}

async fn put_issuer(State(control): State<Control>, bytes: Bytes) -> Reply {
    let IssuerSpec { issuer } = body(&bytes)?;
    reply(json!({"jwks": control.gcp().put_test_issuer(&issuer)?}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mint {
    issuer: String,
    #[serde(default)]
    algorithm: TokenAlgorithm,
    claims: BTreeMap<String, Value>,
}

async fn mint_token(State(control): State<Control>, bytes: Bytes) -> Reply {
    let Mint { issuer, algorithm, claims } = body(&bytes)?;
    reply(json!({"token": control.gcp().mint_token(&issuer, algorithm, claims)?}))
}

// === edits, propagation and tokens ===

async fn list_edits(State(control): State<Control>) -> Reply {
    reply(control.gcp().edits())
}

async fn make_edit(State(control): State<Control>, bytes: Bytes) -> Reply {
    let edit: Edit = body(&bytes)?;
    reply(json!({"id": control.gcp().edit(edit)?}))
}

async fn undo_edit(State(control): State<Control>, Path(id): Path<u64>) -> Reply {
    let id: EditId =
        serde_json::from_value(id.into()).map_err(|error| SimError::invalid("edit", error.to_string()))?;
    done(control.gcp().undo(id))
}

async fn list_events(State(control): State<Control>, Query(After { after }): Query<After>) -> Reply {
    events(control.gcp().log_entries(after))
}

async fn propagation(State(control): State<Control>) -> Reply {
    reply(control.gcp().propagation())
}

async fn set_propagation(State(control): State<Control>, bytes: Bytes) -> Reply {
    let propagation: Propagation = body(&bytes)?;
    control.gcp().set_propagation(propagation);
    done(Ok(()))
}

async fn expire_tokens(State(control): State<Control>) -> Reply {
    reply(json!({"expired": control.gcp().expire_tokens()}))
}

async fn set_instance_service_account(State(control): State<Control>, bytes: Bytes) -> Reply {
    let email: Option<ServiceAccountEmail> = body(&bytes)?;
    control.gcp().set_instance_service_account(email);
    done(Ok(()))
}
