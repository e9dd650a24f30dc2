//! Injected faults and the log of calls.

use std::time::Duration;

use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::{CallDecision, CallQuery};
use serde_json::{Value, json};

use super::client::{World, refused};

/// What is waited for an answer that must not come.
const BRIEF: Duration = Duration::from_millis(300);

fn inject(world: &World, matching: Value, effect: FaultEffect) {
    let matching = serde_json::from_value(matching).unwrap();
    world.control().inject(FaultSpec { matching, effect, count: Some(1) });
}

#[tokio::test]
async fn throttling_has_googles_form_in_every_service() {
    let world = World::start().await;
    let (base, session) = (world.base().await, world.session(0).await);
    inject(&world, json!({"service": "cloud_kms"}), FaultEffect::Throttle);
    let throttled = world.encrypt(&session, 0).await;
    assert_eq!(throttled.error(), refused(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"));
    let details = throttled.json()["error"]["details"].clone();
    let kinds: Vec<_> =
        details.as_array().unwrap().iter().map(|detail| detail["@type"].as_str().unwrap()).collect();
    assert!(kinds[1].ends_with("QuotaFailure") && kinds[2].ends_with("RetryInfo"), "{kinds:?}");
    world.encrypt(&session, 0).await.ok();
    inject(&world, json!({"service": "iam_credentials"}), FaultEffect::Throttle);
    let account = &world.tenant(0).service_account;
    assert_eq!(world.generate(&base, account, json!({})).await.error().1, "RESOURCE_EXHAUSTED");
    inject(&world, json!({"service": "gcp_metadata"}), FaultEffect::Throttle);
    assert_eq!(world.metadata("project/project-id").await.status, 429);
    inject(&world, json!({"service": "gcp_sts"}), FaultEffect::Throttle);
    assert_eq!(world.post("x", "/v1/token", json!({})).await.status, 429);
    inject(&world, json!({"service": "gcp_oauth"}), FaultEffect::Throttle);
    assert_eq!(world.post("x", "/token", json!({})).await.status, 429);
}

#[tokio::test]
async fn errors_resets_silence_and_broken_answers_are_felt_on_the_wire() {
    let world = World::start().await;
    let session = world.session(0).await;
    let matching =
        || json!({"service": "cloud_kms", "operation": "GetCryptoKey", "key": world.key(0).to_string()});
    let url = format!("{}/v1/{}", world.simulator.endpoints().gcp, world.key(0));
    let get = || world.http.get(&url).bearer_auth(&session).timeout(BRIEF * 20);
    let error = FaultEffect::Error { status: 503, code: "UNAVAILABLE".to_owned(), message: "m".to_owned() };
    inject(&world, matching(), error);
    assert_eq!(super::client::answer(get()).await.error(), refused(503, "UNAVAILABLE", ""));
    for effect in [FaultEffect::Drop, FaultEffect::DropAnswer] {
        inject(&world, matching(), effect);
        assert!(get().timeout(BRIEF).send().await.unwrap_err().is_timeout());
    }
    inject(&world, matching(), FaultEffect::Truncate);
    let cut = get().send().await.unwrap().bytes().await.unwrap_err();
    assert!(cut.is_body() || cut.is_decode(), "{cut:?}");
    inject(&world, matching(), FaultEffect::Corrupt);
    let corrupt = get().send().await.unwrap().text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&corrupt).is_err());
    // A client may try a reset connection once more, hence more than one.
    world.control().inject(FaultSpec {
        matching: serde_json::from_value(matching()).unwrap(),
        effect: FaultEffect::Reset,
        count: None,
    });
    assert!(get().send().await.unwrap_err().is_request());
    world.control().clear_faults();
    assert_eq!(get().send().await.unwrap().status(), 200);
    let faulted = CallQuery { decision: Some(CallDecision::Faulted), ..CallQuery::default() };
    assert!(world.control().count_calls(&faulted) >= 3);
}

#[tokio::test]
async fn faults_single_out_a_tenant_a_role_a_key_and_its_version() {
    let world = World::start().await;
    let sessions = [world.session(0).await, world.session(1).await];
    let account = world.tenant(0).service_account.to_string();
    for matching in [
        json!({"account": world.tenant(0).project}),
        json!({"role": account}),
        json!({"principal": account}),
        json!({"key": world.key(0), "operation": "Encrypt"}),
        json!({"region": "europe-west3", "key": world.key(0)}),
    ] {
        let spec = json!({"match": matching, "effect": {"kind": "throttle"}});
        let id = world.control().inject(serde_json::from_value(spec).unwrap());
        assert_eq!(world.encrypt(&sessions[0], 0).await.status, 429, "{matching}");
        assert_eq!(world.encrypt(&sessions[1], 1).await.status, 200, "{matching}");
        world.control().clear_fault(id).unwrap();
    }
    let old = world.encrypt(&sessions[0], 0).await.ok();
    world.gcp().rotate_key(world.key(0)).unwrap();
    let new = world.encrypt(&sessions[0], 0).await.ok();
    inject(&world, json!({"key": world.key(0), "key_version": "1"}), FaultEffect::Throttle);
    assert_eq!(world.decrypt(&sessions[0], 0, &new["ciphertext"]).await.status, 200);
    assert_eq!(world.decrypt(&sessions[0], 0, &old["ciphertext"]).await.status, 429);
}

#[tokio::test]
async fn a_tenant_finds_who_called_what_in_its_log() {
    let world = World::start().await;
    world.control().clear_calls();
    let session = world.session(0).await;
    let sealed = world.encrypt(&session, 0).await.ok();
    world.decrypt(&session, 0, &sealed["ciphertext"]).await.ok();
    world.encrypt(&session, 1).await;
    let calls = world.control().calls(&CallQuery::default());
    let shown: Vec<_> = calls
        .iter()
        .map(|call| (call.facts.service.as_str(), call.facts.operation.as_str(), call.decision))
        .collect();
    let allowed = CallDecision::Allowed;
    assert_eq!(
        shown,
        [
            ("gcp_metadata", "GetToken", allowed),
            ("iam_credentials", "GenerateAccessToken", allowed),
            ("cloud_kms", "Encrypt", allowed),
            ("cloud_kms", "Decrypt", allowed),
            ("cloud_kms", "Encrypt", CallDecision::Denied),
        ]
    );
    let account = Some(world.tenant(0).service_account.to_string());
    let assumed = &calls[1].facts;
    assert_eq!((&assumed.role, &assumed.principal), (&account, &Some(world.scenario.base.to_string())));
    assert_eq!(assumed.account, Some(world.tenant(0).project.to_string()));
    for used in [&calls[2].facts, &calls[3].facts] {
        assert_eq!((&used.principal, &used.caller_role), (&account, &account));
        assert_eq!(used.key, Some(world.key(0).to_string()));
        assert_eq!(used.key_version.as_deref(), Some("1"));
    }
    let refusal = &calls[4];
    assert_eq!((refusal.status, refusal.error_code.as_deref()), (403, Some("PERMISSION_DENIED")));
    assert!(refusal.reason.as_ref().unwrap().contains("no binding gives"));
}
