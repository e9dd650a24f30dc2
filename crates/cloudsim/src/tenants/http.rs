//! The tenants over HTTP and JSON; the routes are listed in the crate's README.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::Lever;
use crate::control::Control;
use crate::control::http::{Reply, body, done, reply};

pub(crate) fn routes() -> Router<Control> {
    Router::new()
        .route("/", get(list))
        .route("/{tenant}", get(one))
        .route("/{tenant}/let-in", post(let_in))
        .route("/{tenant}/rotate-key", post(rotate_key))
        .route("/{tenant}/levers", axum::routing::delete(restore_all))
        .route("/{tenant}/levers/{lever}", put(pull).delete(restore))
}

async fn list(State(control): State<Control>) -> Reply {
    reply(control.tenants().list())
}

async fn one(State(control): State<Control>, Path(tenant): Path<String>) -> Reply {
    reply(control.tenants().get(&tenant)?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LetIn {
    issued: String,
}

async fn let_in(State(control): State<Control>, Path(tenant): Path<String>, bytes: Bytes) -> Reply {
    let LetIn { issued } = body(&bytes)?;
    done(control.tenants().let_in(&tenant, &issued))
}

async fn rotate_key(State(control): State<Control>, Path(tenant): Path<String>) -> Reply {
    done(control.tenants().rotate_key(&tenant))
}

async fn pull(State(control): State<Control>, Path((tenant, lever)): Path<(String, String)>) -> Reply {
    done(control.tenants().pull(&tenant, lever.parse()?))
}

async fn restore(State(control): State<Control>, Path((tenant, lever)): Path<(String, String)>) -> Reply {
    let lever: Lever = lever.parse()?;
    reply(json!({ "restored": control.tenants().restore(&tenant, Some(lever))? }))
}

async fn restore_all(State(control): State<Control>, Path(tenant): Path<String>) -> Reply {
    reply(json!({ "restored": control.tenants().restore(&tenant, None)? }))
}
