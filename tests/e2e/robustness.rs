//! Bad input, many callers, and neighbours in trouble.

use std::sync::Arc;

use futures::future::join_all;
use leasehold_api::v1::key_service_client::KeyServiceClient;
use leasehold_api::v1::{self, ErrorReason, LeaseState, WatchMode};
use leasehold_client::{Client, ClientError, WrappedKey};
use leasehold_cloudsim::faults::FaultEffect;
use leasehold_envelope::MAX_ENVELOPE;
use rand::{Rng, RngCore, SeedableRng};
use tonic::Code;
use tonic::transport::Channel;

use crate::cloud::{Cloud, Lever, on_every_cloud};
use crate::world::{World, client_of, context, id, refused};

/// Asks for one key 1,000 times at once, over as many connections as 1,000 calls need.
async fn crowd(world: &World, wrapped: &WrappedKey) -> Vec<Result<bool, ClientError>> {
    let reference = Arc::new(wrapped.clone());
    let clients: Vec<Client> =
        (0..5).map(|_| client_of(&world.running.endpoints()[0], &world.clock)).collect();
    let ask = |number: usize| {
        let (client, wrapped) = (clients[number % clients.len()].clone(), Arc::clone(&reference));
        tokio::spawn(async move {
            let unwrapped = client.unwrap_key(&id("acme"), &wrapped, &context("main")).await;
            unwrapped.map(|leased| leased.value.len().bytes() == 32)
        })
    };
    let answers = join_all((0..1000).map(ask)).await;
    answers.into_iter().map(Result::unwrap).collect()
}

async fn p9_a_thousand_cold_unwraps_are_one_proof_and_one_call(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.make_cold("acme").await;
    world.forget_calls();
    let answers = crowd(&world, &wrapped).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(true))));
    assert_eq!((world.assumes(), world.key_unwraps()), (1, 1));
}

async fn p9_a_thousand_cold_unwraps_fail_together_with_one_proof(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.make_cold("acme").await;
    world.pull(Lever::Trust, "acme");
    world.forget_calls();
    for answer in crowd(&world, &wrapped).await {
        refused(answer, Code::FailedPrecondition, ErrorReason::BindingDenied);
    }
    assert_eq!((world.assumes(), world.count(world.estate.cloud().unwraps())), (1, 0));
}

async fn p9_one_failing_call_fails_all_who_wait_for_it_once(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    // The answer takes far longer than the requests do to arrive.
    world.inject(world.estate.cloud().unwraps(), FaultEffect::Delay { ms: 1500 });
    world.pull(Lever::KeyUse, "acme");
    world.forget_calls();
    let ask = || world.unwrap("acme", &wrapped, "main");
    for answer in join_all((0..100).map(|_| ask())).await {
        refused(answer, Code::FailedPrecondition, ErrorReason::RequestDenied);
    }
    // The other call is of the proof that the denial began.
    assert!(world.key_unwraps() <= 1);
    world.restore("acme");
}

async fn p9_a_tenant_whose_cloud_is_silent_or_throttled_slows_nobody(cloud: Cloud) {
    for effect in [FaultEffect::Drop, FaultEffect::Throttle] {
        let world = World::start(cloud, &["acme", "globex"]).await;
        let (_, stuck) = world.generate("acme", "main").await;
        let (key, wrapped) = world.generate("globex", "main").await;
        for tenant in ["acme", "globex"] {
            world.make_cold(tenant).await;
        }
        world.inject(world.estate.about("acme"), effect.clone());
        let client = client_of(&world.running.endpoints()[0], &world.clock);
        let waiting: Vec<_> = (0..200)
            .map(|_| {
                let (client, stuck) = (client.clone(), stuck.clone());
                tokio::spawn(async move { client.unwrap_key(&id("acme"), &stuck, &context("main")).await })
            })
            .collect();
        world.calls(world.estate.about("acme"), 1).await;
        let served = world.unwrap("globex", &wrapped, "main").await.unwrap();
        assert!(served.value.matches(&key));
        if effect == FaultEffect::Drop {
            assert!(waiting.iter().all(|task| !task.is_finished()), "globex was served while acme waits");
        }
        assert_serving(&world).await;
        for task in waiting {
            let Err(ClientError::Refused(refusal)) = task.await.unwrap() else { panic!("acme was served") };
            assert!(refusal.is_passing() && !refusal.is_denial(), "{refusal}");
        }
        let served = world.unwrap("globex", &wrapped, "main").await.unwrap();
        assert!(served.value.matches(&key));
        assert_serving(&world).await;
    }
}

async fn channel(world: &World) -> Channel {
    Channel::from_shared(world.running.endpoints()[0].clone()).unwrap().connect().await.unwrap()
}

async fn assert_serving(world: &World) {
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel(world).await);
    for service in ["", "leasehold.v1.KeyService", "leasehold.v1.TenantService"] {
        let request = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
    }
}

/// The refusal of an envelope that is none: the caller's affair, and never a denial. Where keys have versions, whoever makes
/// up many of them is told to wait.
#[track_caller]
fn assert_typed(answer: Result<impl Sized, ClientError>, what: &str) {
    use ErrorReason::{CloudRejected, ForeignEnvelope, InvalidField, MalformedEnvelope, WrongContext};
    match answer {
        Err(ClientError::Refused(refusal)) if refusal.code() == Code::ResourceExhausted => {
            assert_eq!(refusal.reason(), Some(ErrorReason::Throttled), "{what}: {refusal}");
        }
        Err(ClientError::Refused(refusal)) => {
            assert_eq!(refusal.code(), Code::InvalidArgument, "{what}: {refusal}");
            let known = [CloudRejected, ForeignEnvelope, InvalidField, MalformedEnvelope, WrongContext];
            assert!(refusal.reason().is_some_and(|r| known.contains(&r)), "{what}: {refusal}");
        }
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what}: served"),
    }
}

async fn p9_envelopes_that_are_none_are_refused_and_harm_nobody(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    watcher.until(LeaseState::Live).await;
    let good = wrapped.as_bytes().to_vec();
    let mut bad: Vec<(String, Vec<u8>)> = Vec::new();
    bad.extend((1..good.len()).map(|length| (format!("cut to {length}"), good[..length].to_vec())));
    bad.push(("one byte more".to_owned(), [good.as_slice(), &[0]].concat()));
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << random.random_range(0..8);
        bad.push((format!("a bit of byte {at}"), flipped));
    }
    for length in [1, 4, 64, 500, MAX_ENVELOPE] {
        let mut noise = vec![0; length];
        random.fill_bytes(&mut noise);
        bad.push((format!("noise of {length}"), noise.clone()));
        // Behind a header that is in order, as far as it goes.
        let kept = good.len().min(length) / 2;
        noise[..kept].copy_from_slice(&good[..kept]);
        bad.push((format!("half noise of {length}"), noise));
    }
    for (what, bytes) in bad {
        let unwrapped = world.unwrap("acme", &WrappedKey::try_from(bytes).unwrap(), "main").await;
        assert_typed(unwrapped, &what);
    }
    assert_eq!(watcher.renew().await.state, LeaseState::Live);
    assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_requests_beyond_the_bounds_are_refused_with_what_is_wrong() {
    let world = World::start(Cloud::Aws, &["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    let mut keys = KeyServiceClient::new(channel(&world).await);
    let good = v1::UnwrapKeyRequest {
        tenant: "tenants/acme".into(),
        wrapped_key: wrapped.into_bytes(),
        encryption_context: [("branch".to_owned(), "main".to_owned())].into(),
    };
    let with = |change: &dyn Fn(&mut v1::UnwrapKeyRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let entry = |name: String, value: String| {
        with(&move |request| drop(request.encryption_context.insert(name.clone(), value.clone())))
    };
    for (request, named) in [
        (with(&|request| request.wrapped_key = vec![1; MAX_ENVELOPE + 1].into()), "wrapped_key"),
        (with(&|request| request.wrapped_key.clear()), "wrapped_key"),
        (with(&|request| request.tenant.clear()), "tenant"),
        (entry("x".repeat(257), "y".into()), "encryption_context"),
        (entry("x".into(), "y".repeat(257)), "encryption_context"),
        (entry("aws:x".into(), "y".into()), "encryption_context"),
        (entry("leasehold:x".into(), "y".into()), "encryption_context"),
        (entry("x\n".into(), "y".into()), "encryption_context"),
        (
            with(&|request| {
                request.encryption_context.extend((0..8).map(|n| (format!("n{n}"), "v".to_owned())));
            }),
            "encryption_context",
        ),
    ] {
        let refusal = refused(
            keys.unwrap_key(request).await.map_err(ClientError::from),
            Code::InvalidArgument,
            ErrorReason::InvalidField,
        );
        assert!(refusal.message().contains(named), "{named}: {refusal}");
    }
    for length in [1, 15, 33, 65, 1000] {
        let request = v1::GenerateDataKeyRequest {
            tenant: "tenants/acme".into(),
            key_bytes: length,
            encryption_context: Default::default(),
        };
        let made = keys.generate_data_key(request).await.map_err(ClientError::from);
        refused(made, Code::InvalidArgument, ErrorReason::InvalidField);
    }

    let huge = with(&|request| request.wrapped_key = vec![1; 1 << 20].into());
    let refusal = refused(
        keys.unwrap_key(huge).await.map_err(ClientError::from),
        Code::InvalidArgument,
        ErrorReason::InvalidField,
    );
    assert!(refusal.message().contains("too large"), "{refusal}");
    keys.unwrap_key(good.clone()).await.unwrap();
}

on_every_cloud!(
    p9_a_thousand_cold_unwraps_are_one_proof_and_one_call,
    p9_a_thousand_cold_unwraps_fail_together_with_one_proof,
    p9_one_failing_call_fails_all_who_wait_for_it_once,
    p9_a_tenant_whose_cloud_is_silent_or_throttled_slows_nobody,
    p9_envelopes_that_are_none_are_refused_and_harm_nobody,
);
