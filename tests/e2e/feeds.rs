//! Proofs by event: revocation in seconds, by feeds that can do nothing else.

use std::time::Duration;

use leasehold_api::convert::duration_to_proto;
use leasehold_api::v1::{self, ErrorReason, LeaseState, WatchMode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tonic::Code;

use crate::cloud::{Cloud, Lever, edge, of, on_every_cloud};
use crate::feed::{self, Asking, Files, Issuer, deliver, url};
use crate::served::Process;
use crate::watcher::Watcher;
use crate::world::{World, eventually, refused, soon};

const SECRET: &str = "s3cr3t-s3cr3t-s3cr3t-s3cr3t-s3cr3t";
const OTHER: &str = "another-another-another-another-an";

/// Nothing is proven again by itself while a test runs.
const LONG: Duration = Duration::from_secs(3600);

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A server with a listener for feeds, and tenants with the longest bound.
async fn world(files: &Files, callers: &[String], more: &str, tenants: &[&str]) -> World {
    world_on(Cloud::Aws, files, callers, more, tenants).await
}

async fn world_on(cloud: Cloud, files: &Files, callers: &[String], more: &str, tenants: &[&str]) -> World {
    let section = files.section(callers, more);
    let world = World::with(cloud, tenants, |config| config.reprove = Some(section)).await;
    for tenant in tenants {
        world.onboard(tenant).await;
        let terms = v1::LeaseTerms { revocation_bound: Some(duration_to_proto(LONG)), ..Default::default() };
        world.set_terms(tenant, terms, "lease_terms.revocation_bound").await;
    }
    world
}

fn endpoint(world: &World) -> &str {
    &world.running.feed_endpoints()[0]
}

async fn ask(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = soon(request.send()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(answer.headers().contains_key("x-request-id"));
    (answer.status(), answer.json().await.unwrap())
}

async fn live(world: &World) -> (Watcher, leasehold_client::WrappedKey) {
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;
    (watcher, wrapped)
}

on_every_cloud!(p2_an_event_ends_the_lease_at_once_whichever_lever_was_pulled);

async fn p2_an_event_ends_the_lease_at_once_whichever_lever_was_pulled(cloud: Cloud) {
    let (files, issuer) = (Files::new(), Issuer::start().await);
    let callers = [files.by_secret("events", "['acme']", SECRET), issuer.by_token("pushes", "['acme']")];
    let world = world_on(cloud, &files, &callers, "again_after = []", &["acme", "globex"]).await;
    let (client, url) = (files.client(), url(endpoint(&world), "acme"));
    let asking = Asking { client, url, secret: SECRET.to_owned(), token: issuer.token(&json!({})) };
    let mut feed = feed::of(&world, "acme", asking);
    let (mut watcher, wrapped) = live(&world).await;
    for lever in Lever::ALL {
        world.pull(lever, "globex");
        world.restore("globex");
        assert!(feed.requests().is_empty(), "{lever:?} of another");

        world.pull(lever, "acme");
        world.unwrap("acme", &wrapped, "main").await.unwrap_or_else(|_| panic!("noticed {lever:?} alone"));
        assert_eq!(deliver(&mut *feed).await, [202], "{lever:?}");
        let told = watcher.until(LeaseState::Denied).await.status.denial.clone().unwrap();
        assert_eq!(told.edge, edge(lever), "{lever:?}");
        let cached = world.unwrap("acme", &wrapped, "main").await;
        let reason = match lever {
            Lever::Trust | Lever::KeyUse => ErrorReason::BindingDenied,
            Lever::DisableKey | Lever::DeleteKey => ErrorReason::KeyUnusable,
        };
        refused(cached, Code::FailedPrecondition, reason);

        world.restore("acme");
        assert_eq!(deliver(&mut *feed).await, [202], "{lever:?} undone");
        watcher.until(LeaseState::Live).await;
        world.unwrap("acme", &wrapped, "main").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_push_is_heard_with_a_token_of_the_tenants_identity_alone() {
    let (files, issuer) = (Files::new(), Issuer::start().await);
    let world = world(&files, &[issuer.by_token("acme-gcp", "['acme']")], "", &["acme"]).await;
    let (client, url) = (files.client(), url(endpoint(&world), "acme"));
    let push = |claims: Value| client.post(&url).bearer_auth(issuer.token(&claims)).json(&json!({}));
    let (mut watcher, wrapped) = live(&world).await;
    world.pull(Lever::Trust, "acme");
    for wrong in [json!({"aud": "https://other"}), json!({"email": "other"}), json!({"exp": 1_000_000_000})] {
        assert_eq!(ask(push(wrong.clone())).await.0, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    assert_eq!(ask(push(json!({}))).await.0, StatusCode::ACCEPTED);
    watcher.until(LeaseState::Denied).await;
    refused(
        world.unwrap("acme", &wrapped, "main").await,
        Code::FailedPrecondition,
        ErrorReason::BindingDenied,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_feed_learns_and_does_nothing_beyond_its_own_tenants() {
    let files = Files::new();
    let callers =
        [files.by_secret("acme-aws", "['acme', 'absent']", SECRET), files.by_secret("all", "['*']", OTHER)];
    let mut section = Some(files.section(&callers, "again_after = []"));
    let world = World::with(Cloud::Aws, &["acme", "globex"], |config| {
        config.reprove = section.take();
    })
    .await;
    world.onboard("acme").await;
    world.onboard("globex").await;
    world.cloud.control().clear_calls();
    let client = files.client();
    let post = |tenant: &str, secret: &str| client.post(url(endpoint(&world), tenant)).bearer_auth(secret);
    let mut strange = Vec::new();
    for tenant in ["acme", "globex", "absent", "Not-An-Id"] {
        for request in [
            post(tenant, &SECRET[1..]),
            post(tenant, "a.b.c"),
            client.post(url(endpoint(&world), tenant)),
            client.post(url(endpoint(&world), tenant)).basic_auth(SECRET, Some("x")),
        ] {
            strange.push(ask(request).await);
        }
    }
    assert!(strange.iter().all(|one| *one == strange[0] && one.0 == StatusCode::UNAUTHORIZED), "{strange:?}");
    let foreign = ask(post("globex", SECRET)).await;
    assert_eq!(
        (foreign.0, &foreign.1["error"]["reason"]),
        (StatusCode::FORBIDDEN, &json!("CALLER_NOT_ALLOWED"))
    );
    assert_eq!(ask(post("nowhere", SECRET)).await, foreign, "existing or not");
    assert_eq!(world.count(of("AssumeRole")), 0, "nobody was proven");

    let absent = ask(post("absent", SECRET)).await;
    assert_eq!((absent.0, &absent.1["error"]["reason"]), (StatusCode::NOT_FOUND, &json!("TENANT_NOT_FOUND")));
    assert_eq!(ask(post("Not-An-Id", SECRET)).await.0, StatusCode::BAD_REQUEST);
    let basic = client.post(url(endpoint(&world), "globex")).basic_auth("any", Some(OTHER));
    let asked = ask(basic).await;
    assert_eq!(asked, (StatusCode::ACCEPTED, json!({"tenant": "tenants/globex", "proof": "started"})));
    world.calls(of("AssumeRole"), 1).await;

    let journal = world.journal();
    let records = journal.entries("decision");
    let told: Vec<_> = records
        .iter()
        .filter(|record| record["caller"].as_str().is_some_and(|caller| caller.starts_with("feed:")))
        .map(|r| ["caller", "operation", "tenant", "outcome"].map(|field| r[field].as_str().unwrap()))
        .collect();
    let expected = [
        ["feed:acme-aws", "ReproveTenant", "globex", "refused"],
        ["feed:acme-aws", "ReproveTenant", "nowhere", "refused"],
        ["feed:acme-aws", "ReproveTenant", "absent", "refused"],
        ["feed:all", "ReproveTenant", "globex", "served"],
    ];
    assert_eq!(told, expected, "{records:?}");
    world.running.drain().await;
    let strangers = journal.entries("refusals");
    let unknown = strangers.iter().find(|entry| entry["reason"] == "UNAUTHENTICATED").unwrap();
    assert_eq!(
        ["listener", "from"].map(|field| unknown[field].as_str().unwrap()),
        ["reprove", "127.0.0.0/24"]
    );
    assert_eq!(unknown["count"], strange.len(), "those without a credential of ours are counted together");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_request_for_a_proof_is_refused_and_says_why() {
    let files = Files::new();
    let caller = files.by_secret("acme-aws", "['acme']", SECRET);
    let world = world(&files, &[caller], "", &["acme"]).await;
    let (client, good) = (files.client(), url(endpoint(&world), "acme"));
    let at = |method: Method, url: &str| client.request(method, url).bearer_auth(SECRET);
    let large = vec![b'x'; 64 * 1024 + 1];
    for (request, status, reason) in [
        (at(Method::GET, &good), 405, "METHOD_NOT_ALLOWED"),
        (at(Method::POST, &good.replace(":reprove", ":suspend")), 404, "NO_SUCH_PATH"),
        (at(Method::POST, &good.replace("/v1", "/v2")), 404, "NO_SUCH_PATH"),
        (at(Method::POST, endpoint(&world)), 404, "NO_SUCH_PATH"),
        (at(Method::POST, &good).body(large), 413, "BODY_TOO_LARGE"),
    ] {
        let (told, body) = ask(request).await;
        assert_eq!((told.as_u16(), &body["error"]["reason"]), (status, &json!(reason)));
    }
    let largest = at(Method::POST, &good).body(vec![b'x'; 64 * 1024]);
    assert_eq!(ask(largest).await.0, StatusCode::ACCEPTED, "whatever it says");
    world.make_cold("acme").await;
    let suspend = v1::SuspendTenantRequest { name: "tenants/acme".into(), ..Default::default() };
    world.tenants(suspend, |mut t, q| async move { t.suspend_tenant(q).await }).await.unwrap();
    assert_eq!(ask(at(Method::POST, &good)).await.0, StatusCode::CONFLICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_a_feed_that_asks_too_often_is_told_when_to_ask_again() {
    let files = Files::new();
    let callers = [files.by_secret("one", "['acme']", SECRET), files.by_secret("two", "['*']", OTHER)];
    let limits = "limits = { tenant_rate = 0.01, tenant_burst = 3, caller_rate = 0.01, caller_burst = 5 }";
    let world = world(&files, &callers, limits, &["acme", "globex"]).await;
    let client = files.client();
    let post = async |tenant: &str, secret: &str| {
        let request = client.post(url(endpoint(&world), tenant)).bearer_auth(secret);
        let answer = soon(request.send()).await.unwrap();
        let wait =
            answer.headers().get("retry-after").map(|wait| wait.to_str().unwrap().parse::<u64>().unwrap());
        (answer.status().as_u16(), wait)
    };
    // What it may not ask about uses up its own requests, and nobody else's.
    for _ in 0..2 {
        assert_eq!(post("globex", SECRET).await, (403, None));
    }
    for _ in 0..3 {
        assert_eq!(post("acme", SECRET).await, (202, None));
    }
    let (status, wait) = post("acme", SECRET).await;
    assert!(
        status == 429 && wait.is_some_and(|wait| (90..=100).contains(&wait)),
        "its own: {status} {wait:?}"
    );
    assert_eq!(post("acme", OTHER).await.0, 429, "the tenant's");
    assert_eq!(post("globex", OTHER).await, (202, None), "another's goes on");
    world.clock.jump(Duration::from_secs(101));
    assert_eq!(post("acme", SECRET).await, (202, None));
    assert_eq!(post("acme", SECRET).await.0, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn event_grid_can_subscribe_without_a_credential_and_deliver_with_one_alone() {
    let files = Files::new();
    let caller = files.by_secret("acme-azure", "['acme']", SECRET);
    let world = world(&files, &[caller], "", &["acme"]).await;
    let (client, url) = (files.client(), url(endpoint(&world), "acme"));
    let validation = json!([{
        "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
        "topic": "/subscriptions/xxxx",
        "subject": "",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-11-01T00:00:00Z",
        "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": "https://x"},
    }]);
    let post = |kind: &str, body: &Value| client.post(&url).header("aeg-event-type", kind).json(body);
    let (status, answer) = ask(post("SubscriptionValidation", &validation)).await;
    assert_eq!(
        (status, answer),
        (StatusCode::OK, json!({"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}))
    );
    let origin =
        |origin: &str| client.request(Method::OPTIONS, &url).header("webhook-request-origin", origin).send();
    let allowed = soon(origin("eventgrid.azure.net")).await.unwrap();
    assert_eq!(allowed.status(), StatusCode::OK);
    assert_eq!(allowed.headers()["webhook-allowed-origin"], "eventgrid.azure.net");
    assert_eq!(soon(origin("evil.example")).await.unwrap().status(), StatusCode::FORBIDDEN);

    let event = json!([{"eventType": "Microsoft.KeyVault.KeyExpired", "data": {}}]);
    assert_eq!(ask(post("Notification", &event)).await.0, StatusCode::UNAUTHORIZED);
    let known = post("Notification", &event).header("x-api-key", SECRET);
    assert_eq!(ask(known).await.0, StatusCode::ACCEPTED);
}

/// Lets as much time pass as it takes until files are looked at, and no request wait for long in it.
async fn look(world: &World) {
    const STEPS: u32 = 20;
    for _ in 0..STEPS {
        world.clock.jump(LOOK / STEPS);
        world.generate("acme", "main").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_and_certificate_are_replaced_without_an_event_being_lost() {
    let mut files = Files::new();
    let caller = files.by_secret("acme-aws", "['acme']", SECRET);
    let limits = "limits = { tenant_rate = 10000.0, tenant_burst = 100000, caller_rate = 10000.0, caller_burst = 100000 }";
    let world = world(&files, &[caller], limits, &["acme"]).await;
    let url = url(endpoint(&world), "acme");
    let status = async |client: &reqwest::Client, secret: &str| {
        let sent = client.post(&url).bearer_auth(secret).send();
        soon(sent).await.map(|answer| answer.status().as_u16())
    };
    // A feed that goes on all the while, on a connection that it keeps.
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (kept, address) = (files.client(), url.clone());
    let (secret_now, secret) = tokio::sync::watch::channel(SECRET);
    let steady = tokio::spawn(async move {
        let mut stopped = std::pin::pin!(stopped);
        let mut answers = Vec::new();
        loop {
            let present = *secret.borrow();
            tokio::select! {
                _ = &mut stopped => return answers,
                answer = kept.post(&address).bearer_auth(present).send() => {
                    answers.push(answer.unwrap().status().as_u16());
                }
            }
        }
    });
    files.secrets("acme-aws", &[SECRET, OTHER]);
    look(&world).await;
    let old = files.client();
    eventually(async || (status(&old, OTHER).await.unwrap() == 202).then_some(())).await;
    assert_eq!(status(&old, SECRET).await.unwrap(), 202, "both count in between");
    secret_now.send_replace(OTHER);
    files.renew_certificate();
    look(&world).await;
    let renewed = async || {
        let new = files.client();
        (status(&new, OTHER).await.ok()? == 202).then_some(new)
    };
    let new = eventually(renewed).await;
    assert_eq!(status(&old, OTHER).await.unwrap(), 202, "an open connection stays open");
    stop.send(()).unwrap();
    let answers = steady.await.unwrap();
    assert!(answers.len() > 2 && answers.iter().all(|answer| *answer == 202), "{answers:?}");
    files.secrets("acme-aws", &[OTHER]);
    look(&world).await;
    eventually(async || (status(&new, SECRET).await.unwrap() == 401).then_some(())).await;
    assert_eq!(status(&new, OTHER).await.unwrap(), 202);
    files.secrets("acme-aws", &["short"]);
    look(&world).await;
    // What cannot be used lets nobody in.
    eventually(async || (status(&new, OTHER).await.unwrap() == 401).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_connections_that_say_nothing_keep_out_neither_feeds_nor_engines() {
    let files = Files::new();
    let caller = files.by_secret("acme-aws", "['acme']", SECRET);
    let world = world(&files, &[caller], "limits = { connections = 8 }", &["acme"]).await;
    let (mut watcher, wrapped) = live(&world).await;
    let address = endpoint(&world).trim_start_matches("https://").to_owned();
    let (known, url) = (files.client(), url(endpoint(&world), "acme"));
    let post = |client: &reqwest::Client| ask(client.post(&url).bearer_auth(SECRET));
    assert_eq!(post(&known).await.0, StatusCode::ACCEPTED);
    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut stream = soon(tokio::net::TcpStream::connect(&address)).await.unwrap();
        // The beginning of a ClientHello, and never more.
        stream.write_all(&[0x16, 3, 1]).await.unwrap();
        silent.push(stream);
    }
    assert_eq!(post(&files.client()).await.0, StatusCode::ACCEPTED, "a new connection");
    assert_eq!(post(&known).await.0, StatusCode::ACCEPTED, "one that is known");
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.pull(Lever::Trust, "acme");
    assert_eq!(post(&known).await.0, StatusCode::ACCEPTED);
    watcher.until(LeaseState::Denied).await;
    drop(watcher);
    // An idle connection of a feed, and many of strangers, do not hold up the end.
    soon(world.running.drain()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feeds_secret_is_nowhere_in_the_log_or_the_record() {
    let files = Files::new();
    files.secrets("acme-aws", &[SECRET]);
    let caller = files.by_secret("acme-aws", "['acme']", SECRET).replace('\n', ", ");
    let settings = [
        ("LEASEHOLD__REPROVE__LISTEN", "['127.0.0.1:0']".to_owned()),
        ("LEASEHOLD__REPROVE__CALLERS", format!("[{{ {} }}]", caller.trim_end_matches(", "))),
    ];
    let process = Process::with(Cloud::Aws, "trace", &settings).await;
    let log = process.log();
    let (_, endpoint) = log.split_once("listening for event feeds").unwrap();
    let endpoint = endpoint.lines().next().unwrap().split("http://").nth(1).unwrap();
    let address: String = endpoint.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |tenant: &str| client.post(url(&format!("http://{address}"), tenant));
    let wrong = format!("{SECRET}-that-is-wrong");
    let token = format!("{}.{}.c2lnbmF0dXJl", "eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ", "eyJpc3MiOiJhIn0");
    for (request, status) in [
        (post("acme").bearer_auth(SECRET), 202),
        (post("acme").header("x-api-key", SECRET), 202),
        (post("acme").basic_auth("leasehold", Some(SECRET)), 202),
        (post("globex").bearer_auth(SECRET), 403),
        (post("acme").bearer_auth(&wrong), 401),
        (post("acme").bearer_auth(&token), 401),
    ] {
        assert_eq!(soon(request.send()).await.unwrap().status().as_u16(), status);
    }
    let (log, audit) = (process.log(), process.audit());
    assert!(log.contains("TRACE") && log.contains("an event feed asks for a proof"), "it logs everything");
    assert!(audit.contains("feed:acme-aws"));
    let basic = data_encoding::BASE64.encode(format!("leasehold:{SECRET}").as_bytes());
    for text in [&log, &audit] {
        for secret in [SECRET, &basic, &token, "c2lnbmF0dXJl"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}
