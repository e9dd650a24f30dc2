//! What operators see: whether the process is well, and what it counts.

use std::time::Duration;

use leasehold_api::v1::{ErrorReason, LeaseState, WatchMode};
use leasehold_client::KeyLength;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallQuery;
use reqwest::{Method, StatusCode};
use tonic::Code;

use crate::cloud::{Cloud, Lever, on_every_cloud};
use crate::world::{World, context, eventually, id, refused, soon};

/// The answer of the admin listener: status, content type and body.
async fn ask(world: &World, method: Method, path: &str) -> (StatusCode, String, String) {
    let url = format!("{}{path}", world.running.admin_endpoints()[0]);
    let answer = soon(reqwest::Client::new().request(method, url).send()).await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status(), kind, answer.text().await.unwrap())
}

async fn metrics(world: &World) -> String {
    let (status, kind, body) = ask(world, Method::GET, "/metrics").await;
    assert_eq!((status, &*kind), (StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8"));
    body
}

/// The sum of the samples of a metric that have all of these labels.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let samples = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let meant = samples.filter(|line| labels.iter().all(|label| line.contains(label)));
    meant.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

async fn world(cloud: Cloud) -> World {
    let world = World::with(cloud, &["acme"], |config| {
        config.admin = Some(leasehold::config::Admin { addresses: vec!["127.0.0.1:0".parse().unwrap()] });
    })
    .await;
    world.onboard("acme").await;
    world
}

on_every_cloud!(what_is_served_denied_and_asked_of_clouds_is_counted_and_names_nobody);

async fn what_is_served_denied_and_asked_of_clouds_is_counted_and_names_nobody(cloud: Cloud) {
    let world = world(cloud).await;
    let of = format!("cloud=\"{cloud}\"");
    // Several servers of one process count together, so what counts is what is added.
    let before = metrics(&world).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;
    let live = metrics(&world).await;
    let more = |name: &str, labels: &[&str]| sum(&live, name, labels) - sum(&before, name, labels);
    let unwraps = |source: &str| {
        let source = format!("source=\"{source}\"");
        let labels = [&*of, "operation=\"UnwrapKey\"", "outcome=\"served\"", &source];
        more("leasehold_operations_total", &labels)
    };
    assert!(unwraps("cloud") >= 1.0 && unwraps("cache") >= 1.0);
    assert!(more("leasehold_operation_duration_seconds_count", &[&of, "operation=\"UnwrapKey\""]) >= 2.0);
    assert!(more("leasehold_proofs_total", &[&of, "outcome=\"proven\""]) >= 1.0);
    assert!(more("leasehold_cloud_calls_total", &[&of, "call=\"assume\"", "outcome=\"ok\""]) >= 1.0);
    assert!(more("leasehold_proof_age_seconds_count", &[&of]) >= 2.0);
    assert!(sum(&live, "leasehold_leases", &[&of, "state=\"live\""]) >= 1.0);
    assert!(sum(&live, "leasehold_arena_capacity_keys", &[]) > 0.0);

    world.pull(Lever::Trust, "acme");
    // Whether it waits for the proof's end is up to the proof.
    let _ = world.reprove("acme").await;
    watcher.until(LeaseState::Denied).await;
    refused(
        world.unwrap("acme", &wrapped, "main").await,
        Code::FailedPrecondition,
        ErrorReason::BindingDenied,
    );
    let denied = metrics(&world).await;
    let more = |name: &str, labels: &[&str]| sum(&denied, name, labels) - sum(&live, name, labels);
    assert!(more("leasehold_proofs_total", &[&of, "outcome=\"denied\""]) >= 1.0);
    assert!(
        more("leasehold_cloud_calls_total", &[&of, "call=\"assume\"", "outcome=\"trust_denied\""]) >= 1.0
    );
    assert!(more("leasehold_operations_total", &[&of, "reason=\"BINDING_DENIED\""]) >= 1.0);
    assert!(more("leasehold_lease_changes_total", &[&of, "state=\"denied\""]) >= 1.0);

    for line in denied.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(denied.contains(&format!("# HELP {name} ")), "{name} has no description");
    }
    let tenant = world.estate.tenants().get("acme").unwrap();
    for secret in ["acme", "tenants/", &*tenant.key, &*tenant.principal] {
        assert!(!denied.contains(secret), "{secret} is in the metrics");
    }
    // P9: one tenant that denies turns nothing unhealthy.
    assert_eq!(ask(&world, Method::GET, "/readyz").await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_told_to_end_is_alive_and_not_ready_until_it_has_ended() {
    let world = World::with(Cloud::Aws, &["acme"], |config| {
        config.admin = Some(leasehold::config::Admin { addresses: vec!["127.0.0.1:0".parse().unwrap()] });
        config.limits.drain = leasehold::config::Span(Duration::from_secs(3600));
    })
    .await;
    world.onboard("acme").await;
    let admin = world.running.admin_endpoints()[0].clone();
    let get = async |path: &str| {
        let answer = soon(reqwest::get(format!("{admin}{path}"))).await?;
        Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
    };
    // A call that waits for a cloud which says nothing keeps the server draining.
    let (control, about) = (world.cloud.control(), world.estate.about("acme"));
    control.inject(FaultSpec { matching: about.clone(), effect: FaultEffect::Drop, count: None });
    control.clear_calls();
    let client = world.client.clone();
    let waiting = tokio::spawn(async move {
        client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.map(drop)
    });
    soon(control.wait_for_calls(&CallQuery { matching: about, ..CallQuery::default() }, 1)).await;
    assert_eq!(get("/readyz").await.unwrap().0, StatusCode::OK);

    let drained = tokio::spawn(world.running.drain());
    let unready =
        async || Some(get("/readyz").await.unwrap()).filter(|(status, _)| *status != StatusCode::OK);
    let (status, said) = eventually(unready).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(said, "serving: the process was told to end\naudit: ok\n");
    assert_eq!(get("/livez").await.unwrap(), (StatusCode::OK, "ok\n".to_owned()));
    assert_eq!(get("/metrics").await.unwrap().0, StatusCode::OK);

    world.clock.jump(Duration::from_secs(3600));
    soon(drained).await.unwrap();
    soon(waiting).await.unwrap().unwrap_err();
    eventually(async || get("/livez").await.err()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_says_whether_to_send_requests_and_nothing_else() {
    let world = world(Cloud::Aws).await;
    assert_eq!(ask(&world, Method::GET, "/livez").await.2, "ok\n");
    assert_eq!(ask(&world, Method::GET, "/readyz").await.2, "serving: ok\naudit: ok\n");
    assert_eq!(ask(&world, Method::POST, "/readyz").await.0, StatusCode::METHOD_NOT_ALLOWED);
    for path in ["/", "/metrics/", "/v1/tenants/acme:reprove", "/readyz?verbose"] {
        let expected = if path.contains('?') { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(ask(&world, Method::GET, path).await.0, expected, "{path}");
    }
}
