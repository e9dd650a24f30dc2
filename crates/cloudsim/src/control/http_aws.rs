//! The routes about AWS. Roles and keys are addressed by `?arn=`, because ARNs hold slashes and colons.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, Query, RawQuery, State};
use axum::routing::{delete, get, post, put};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Control;
use super::http::{After, Reply, body, done, events, name, reply};
use super::model::{IssuerSpec, KeyInput, OidcProviderSpec, RoleSpec, UserSpec};
use crate::aws::arn::{AccountId, RoleArn};
use crate::aws::edits::{Edit, EditId};
use crate::aws::scenario::ScenarioSpec;
use crate::aws::world::Propagation;
use crate::aws::world::key::KeyState;
use crate::error::SimError;
use crate::issuer::TokenAlgorithm;

pub(super) fn routes() -> Router<Control> {
    Router::new()
        .route("/world", get(world))
        .route("/scenario", post(scenario))
        .route("/accounts/{account}", put(put_account).delete(delete_account))
        .route(
            "/accounts/{account}/service-control-policy",
            put(set_service_control_policy).delete(remove_service_control_policy),
        )
        .route("/accounts/{account}/users/{user}", put(put_user).delete(delete_user))
        .route("/accounts/{account}/oidc-providers", put(put_oidc_provider))
        .route("/access-keys/{id}/active", put(set_access_key_active))
        .route("/roles", put(put_role).delete(delete_role))
        .route("/roles/trust-policy", put(set_trust_policy))
        .route("/roles/external-id", put(set_external_id))
        .route("/roles/identity-policies", put(set_identity_policies))
        .route("/roles/boundary", put(set_boundary).delete(remove_boundary))
        .route("/roles/sessions", delete(forget_sessions))
        .route("/keys", post(create_key).delete(delete_key))
        .route("/keys/policy", put(set_key_policy))
        .route("/keys/state", put(set_key_state))
        .route("/keys/rotate", post(rotate_key))
        .route("/edits", get(list_edits).post(make_edit))
        .route("/edits/{id}", delete(undo_edit))
        .route("/events", get(list_events))
        .route("/propagation", get(propagation).put(set_propagation))
        .route("/ambient/instance", put(set_instance_role))
        .route("/ambient/container", put(set_container_role))
        .route("/issuers", put(put_issuer))
        .route("/issuers/tokens", post(mint_token))
}

/// Reads `?arn=…`.
fn arn<T: DeserializeOwned>(query: Option<&str>) -> Result<T, SimError> {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut named = pairs.filter(|(key, _)| key == "arn");
    let (_, text) = named.next().ok_or_else(|| SimError::invalid("query", "it needs ?arn="))?;
    name(&text)
}

async fn world(State(control): State<Control>) -> Reply {
    reply(control.aws().world())
}

async fn scenario(State(control): State<Control>, bytes: Bytes) -> Reply {
    let spec: ScenarioSpec = body(&bytes)?;
    reply(control.aws().build(&spec)?)
}

// === accounts, users and roles ===

async fn put_account(State(control): State<Control>, Path(account): Path<String>) -> Reply {
    control.aws().put_account(&name(&account)?);
    done(Ok(()))
}

async fn delete_account(State(control): State<Control>, Path(account): Path<String>) -> Reply {
    done(control.aws().delete_account(&name(&account)?))
}

async fn set_service_control_policy(
    State(control): State<Control>,
    Path(account): Path<String>,
    bytes: Bytes,
) -> Reply {
    done(control.aws().set_service_control_policy(&name(&account)?, Some(body(&bytes)?)))
}

async fn remove_service_control_policy(State(control): State<Control>, Path(account): Path<String>) -> Reply {
    done(control.aws().set_service_control_policy(&name(&account)?, None))
}

async fn put_user(
    State(control): State<Control>,
    Path((account, user)): Path<(String, String)>,
    bytes: Bytes,
) -> Reply {
    let spec: UserSpec = body(&bytes)?;
    reply(control.aws().put_user(&name(&account)?, &user, spec)?)
}

async fn delete_user(State(control): State<Control>, Path((account, user)): Path<(String, String)>) -> Reply {
    done(control.aws().delete_user(&name(&account)?, &user))
}

async fn put_oidc_provider(
    State(control): State<Control>,
    Path(account): Path<String>,
    bytes: Bytes,
) -> Reply {
    let spec: OidcProviderSpec = body(&bytes)?;
    let account: AccountId = name(&account)?;
    done(control.aws().put_oidc_provider(&account, spec))
}

async fn set_access_key_active(
    State(control): State<Control>,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Reply {
    done(control.aws().set_access_key_active(&id, body(&bytes)?))
}

async fn put_role(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let spec: RoleSpec = body(&bytes)?;
    done(control.aws().put_role(&arn(query.as_deref())?, spec))
}

async fn delete_role(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.aws().delete_role(&arn(query.as_deref())?))
}

async fn set_trust_policy(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    done(control.aws().set_trust_policy(&arn(query.as_deref())?, body(&bytes)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExternalId {
    principal: String,
    external_id: String,
}

async fn set_external_id(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let ExternalId { principal, external_id } = body(&bytes)?;
    done(control.aws().trust_with_external_id(&arn(query.as_deref())?, &principal, &external_id))
}

async fn set_identity_policies(
    State(control): State<Control>,
    RawQuery(query): RawQuery,
    bytes: Bytes,
) -> Reply {
    done(control.aws().set_identity_policies(&arn(query.as_deref())?, body(&bytes)?))
}

async fn set_boundary(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    done(control.aws().set_boundary(&arn(query.as_deref())?, Some(body(&bytes)?)))
}

async fn remove_boundary(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.aws().set_boundary(&arn(query.as_deref())?, None))
}

async fn forget_sessions(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    reply(json!({"forgotten": control.aws().forget_sessions(&arn(query.as_deref())?)}))
}

// === keys ===

async fn create_key(State(control): State<Control>, bytes: Bytes) -> Reply {
    let input: KeyInput = body(&bytes)?;
    reply(json!({"arn": control.aws().create_key(input)?}))
}

async fn delete_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.aws().delete_key(&arn(query.as_deref())?))
}

async fn set_key_policy(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    done(control.aws().set_key_policy(&arn(query.as_deref())?, body(&bytes)?))
}

async fn set_key_state(State(control): State<Control>, RawQuery(query): RawQuery, bytes: Bytes) -> Reply {
    let wanted: KeyState = body(&bytes)?;
    done(control.aws().set_key_state(&arn(query.as_deref())?, wanted))
}

async fn rotate_key(State(control): State<Control>, RawQuery(query): RawQuery) -> Reply {
    done(control.aws().rotate_key(&arn(query.as_deref())?))
}

// === edits, propagation and ambient identities ===

async fn list_edits(State(control): State<Control>) -> Reply {
    reply(control.aws().edits())
}

async fn make_edit(State(control): State<Control>, bytes: Bytes) -> Reply {
    let edit: Edit = body(&bytes)?;
    reply(json!({"id": control.aws().edit(edit)?}))
}

async fn list_events(State(control): State<Control>, Query(After { after }): Query<After>) -> Reply {
    events(control.aws().bus_events(after))
}

async fn undo_edit(State(control): State<Control>, Path(id): Path<u64>) -> Reply {
    let id: EditId =
        serde_json::from_value(id.into()).map_err(|error| SimError::invalid("edit", error.to_string()))?;
    done(control.aws().undo(id))
}

async fn propagation(State(control): State<Control>) -> Reply {
    reply(control.aws().propagation())
}

async fn set_propagation(State(control): State<Control>, bytes: Bytes) -> Reply {
    let propagation: Propagation = body(&bytes)?;
    control.aws().set_propagation(propagation);
    done(Ok(()))
}

async fn set_instance_role(State(control): State<Control>, bytes: Bytes) -> Reply {
    let role: Option<RoleArn> = body(&bytes)?;
    control.aws().set_instance_role(role);
    done(Ok(()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContainerRole {
    role: Option<RoleArn>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

async fn set_container_role(State(control): State<Control>, bytes: Bytes) -> Reply {
    let ContainerRole { role, tags } = body(&bytes)?;
    control.aws().set_container_role(role, tags);
    done(Ok(()))
}

async fn put_issuer(State(control): State<Control>, bytes: Bytes) -> Reply {
    let IssuerSpec { issuer } = body(&bytes)?;
    reply(json!({"jwks": control.aws().put_test_issuer(&issuer)?}))
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
    reply(json!({"token": control.aws().mint_token(&issuer, algorithm, claims)?}))
}
