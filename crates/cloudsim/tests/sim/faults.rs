//! Injected faults, as a client feels them.

use std::time::Duration;

use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::{CallDecision, CallMatch, CallQuery};
use serde_json::json;

use crate::client::{Credentials, Signing, World};

fn inject(world: &World, effect: FaultEffect, count: Option<u32>) {
    let matching = CallMatch { service: Some("kms".to_owned()), ..CallMatch::default() };
    world.control().inject(FaultSpec { matching, effect, count });
}

/// Long enough for a busy machine.
const PATIENT: Duration = Duration::from_secs(20);
/// What is waited for an answer that must not come.
const BRIEF: Duration = Duration::from_millis(300);

async fn describe(world: &World, by: &Credentials) -> Result<(u16, String), reqwest::Error> {
    describe_within(world, by, PATIENT).await
}

async fn describe_within(
    world: &World,
    by: &Credentials,
    limit: Duration,
) -> Result<(u16, String), reqwest::Error> {
    let body = json!({"KeyId": world.key(0)}).to_string().into_bytes();
    let request = world.request(by, &Signing::of("kms"), Some("DescribeKey"), body);
    let response = request.timeout(limit).send().await?;
    let status = response.status().as_u16();
    Ok((status, response.text().await?))
}

#[tokio::test]
async fn throttling_is_the_services_own_error_and_stops_after_its_count() {
    let world = World::start().await;
    let session = world.session(0).await;
    inject(&world, FaultEffect::Throttle, Some(1));
    let (status, text) = describe(&world, &session).await.unwrap();
    assert_eq!(status, 400);
    assert!(text.contains("ThrottlingException"));
    assert_eq!(describe(&world, &session).await.unwrap().0, 200);
    let spec = json!({"match": {"service": "sts"}, "effect": {"kind": "throttle"}});
    world.control().inject(serde_json::from_value(spec).unwrap());
    let throttled = world.assume(&world.user(), &world.role(0), &[]).await;
    assert_eq!((throttled.status, throttled.code().as_str()), (400, "Throttling"));
}

#[tokio::test]
async fn an_error_has_the_status_and_code_asked_for() {
    let world = World::start().await;
    let session = world.session(0).await;
    let effect = FaultEffect::Error {
        status: 503,
        code: "KeyUnavailableException".to_owned(),
        message: "m".to_owned(),
    };
    inject(&world, effect, None);
    let (status, text) = describe(&world, &session).await.unwrap();
    assert_eq!(status, 503);
    assert_eq!(text, r#"{"__type":"KeyUnavailableException","message":"m"}"#);
    world.control().clear_faults();
    assert_eq!(describe(&world, &session).await.unwrap().0, 200);
}

#[tokio::test]
async fn black_holes_resets_and_cut_answers_are_felt_on_the_wire() {
    let world = World::start().await;
    let session = world.session(0).await;
    for effect in [FaultEffect::Drop, FaultEffect::DropAnswer] {
        inject(&world, effect, Some(1));
        assert!(describe_within(&world, &session, BRIEF).await.unwrap_err().is_timeout());
    }
    inject(&world, FaultEffect::Truncate, Some(1));
    let cut = describe(&world, &session).await.unwrap_err();
    assert!(cut.is_body() || cut.is_decode(), "{cut:?}");
    // A client may try a reset connection once more, hence more than one.
    inject(&world, FaultEffect::Reset, None);
    let reset = describe(&world, &session).await.unwrap_err();
    assert!(reset.is_request() && !reset.is_timeout(), "{reset:?}");
    world.control().clear_faults();
    inject(&world, FaultEffect::Corrupt, Some(1));
    let (status, text) = describe(&world, &session).await.unwrap();
    assert_eq!(status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_err());
    assert_eq!(describe(&world, &session).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_delay_comes_before_the_decision_and_a_late_answer_after_it() {
    let world = World::start().await;
    let session = world.session(0).await;
    let key = world.scenario.tenants[0].key.clone();
    for (effect, status) in
        [(FaultEffect::Delay { ms: 500 }, 400), (FaultEffect::AnswerAfter { ms: 500 }, 200)]
    {
        inject(&world, effect, Some(1));
        world.control().clear_calls();
        let disable = async {
            // The fault has been taken as soon as it is gone from the list; the late answer is in the log by then.
            while !world.control().faults().is_empty() {
                tokio::task::yield_now().await;
            }
            if status == 200 {
                while world.control().count_calls(&CallQuery::default()) == 0 {
                    tokio::task::yield_now().await;
                }
            }
            world.aws().set_key_state(&key, leasehold_cloudsim::aws::KeyState::Disabled).unwrap();
        };
        let encrypt = async {
            let input = json!({"KeyId": world.key(0), "KeySpec": "AES_256"});
            world.kms(&session, "GenerateDataKey", input).await.status
        };
        let (felt, ()) = tokio::join!(encrypt, disable);
        assert_eq!(felt, status);
        world.aws().set_key_state(&key, leasehold_cloudsim::aws::KeyState::Enabled).unwrap();
    }
}

#[tokio::test]
async fn faults_hit_one_tenant_and_leave_the_others_alone() {
    let world = World::start().await;
    let (first, second) = (world.session(0).await, world.session(1).await);
    let matching = CallMatch { account: Some("200000000001".to_owned()), ..CallMatch::default() };
    world.control().inject(FaultSpec { matching, effect: FaultEffect::Throttle, count: None });
    assert_eq!(world.kms(&first, "DescribeKey", json!({"KeyId": world.key(0)})).await.status, 400);
    assert_eq!(world.kms(&second, "DescribeKey", json!({"KeyId": world.key(1)})).await.status, 200);
    let query = CallQuery { decision: Some(CallDecision::Faulted), ..CallQuery::default() };
    let faulted = world.control().calls(&query);
    assert_eq!(faulted.len(), 1);
    assert_eq!(faulted[0].faults, ["throttle"]);
}

#[tokio::test]
async fn faults_can_single_out_a_principal_a_region_or_an_encryption_context() {
    let world = World::start().await;
    let session = world.session(0).await;
    let generate = |branch: &str| {
        let context = json!({"branch": branch});
        world.kms(
            &session,
            "GenerateDataKey",
            json!({"KeyId": world.key(0), "KeySpec": "AES_256", "EncryptionContext": context}),
        )
    };
    let caller = "arn:aws:sts::200000000001:assumed-role/leasehold-access/leasehold-test";
    for (matching, hit, missed) in [
        (json!({"principal": caller}), 400, 400),
        (json!({"principal": world.scenario.base_user}), 200, 200),
        (json!({"region": "us-east-1"}), 200, 200),
        (json!({"region": "eu-central-1", "role": world.role(0)}), 400, 400),
        (json!({"encryption_context": {"branch": "main"}}), 400, 200),
        (json!({"key": world.key(0), "operation": "Decrypt"}), 200, 200),
    ] {
        let spec = json!({"match": matching, "effect": {"kind": "throttle"}});
        let id = world.control().inject(serde_json::from_value(spec.clone()).unwrap());
        assert_eq!((generate("main").await.status, generate("other").await.status), (hit, missed), "{spec}");
        world.control().clear_fault(id).unwrap();
    }
    let misspelt = json!({"match": {"servise": "kms"}, "effect": {"kind": "throttle"}});
    assert!(serde_json::from_value::<FaultSpec>(misspelt).is_err());
}
