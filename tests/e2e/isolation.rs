//! What one tenant has, no other gets; and who may not ask, learns nothing.

use leasehold_api::v1::{self, ErrorReason, WatchMode};
use leasehold_authz::Rules;
use leasehold_client::{ClientError, KeyLength, WrappedKey};
use leasehold_envelope::{Envelope, Header};
use tonic::Code;

use crate::cloud::{Cloud, on_every_cloud};
use crate::world::{World, client_of, context, id, refused};

async fn p6_another_tenants_envelope_unwraps_nothing_even_if_it_is_cached(cloud: Cloud) {
    let world = World::start(cloud, &["acme", "globex"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.generate("globex", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.forget_calls();
    for _ in 0..3 {
        let refusal = refused(
            world.unwrap("globex", &wrapped, "main").await,
            Code::InvalidArgument,
            ErrorReason::ForeignEnvelope,
        );
        assert!(!refusal.message().contains("acme"), "whose it is, is nobody else's affair: {refusal}");
    }
    let rewrapped = world.client.rewrap_key(&id("globex"), &wrapped, &context("main"), None).await;
    refused(rewrapped, Code::InvalidArgument, ErrorReason::ForeignEnvelope);
    assert_eq!(world.count(Default::default()), 0);
}

async fn p6_an_envelope_with_a_forged_header_unwraps_nothing(cloud: Cloud) {
    let world = World::start(cloud, &["acme", "globex"]).await;
    let (_, theirs) = world.generate("acme", "main").await;
    let (_, own) = world.generate("globex", "main").await;
    let (theirs, own) =
        (Envelope::parse(theirs.as_bytes()).unwrap(), Envelope::parse(own.as_bytes()).unwrap());
    let forge = |header: &Header, body: &Envelope| {
        Envelope::new(header.clone(), body.body().clone()).unwrap().encode()
    };
    // Globex's own header around what acme's key wrapped.
    let forged = forge(own.header(), &theirs);
    let refusal = refused(
        world.unwrap("globex", &forged, "main").await,
        Code::InvalidArgument,
        ErrorReason::CloudRejected,
    );
    assert!(!refusal.is_denial());
    // The same tenant's, but made for another context.
    let dev =
        leasehold_envelope::Envelope::parse(world.generate("globex", "dev").await.1.as_bytes()).unwrap();
    let forged = forge(own.header(), &dev);
    let unwrapped = world.unwrap("globex", &forged, "main").await;
    refused(unwrapped, Code::InvalidArgument, ErrorReason::CloudRejected);
}

/// A server on whose loopback address only globex's keys may be used, and on whose socket everything may be done.
async fn with_rules(cloud: Cloud, socket: &std::path::Path) -> World {
    let rules = serde_json::json!([
        { "name": "engine", "identity": "loopback", "operations": ["keys"], "tenants": ["globex"] },
        {
            "name": "admin",
            "identity": "unix:*",
            "operations": ["*"],
            "tenants": ["*"],
        },
    ]);
    let rules: Rules = serde_json::from_value(rules).unwrap();
    World::with(cloud, &["acme", "globex"], |config| {
        config.listen.unix = vec![socket.to_owned()];
        config.rules = Some(rules);
    })
    .await
}

async fn p6_authorisation_comes_before_any_look_up(cloud: Cloud) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("leasehold.sock");
    let mut world = with_rules(cloud, &socket).await;
    let engine = client_of(&world.running.endpoints()[0], &world.clock);
    world.client = client_of(&format!("unix:{}", socket.display()), &world.clock);
    for tenant in ["acme", "globex"] {
        world.onboard(tenant).await;
    }
    let (_, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.forget_calls();

    let mut messages = Vec::new();
    let garbage = WrappedKey::try_from(vec![1, 2, 3]).unwrap();
    // What exists and is cached, what exists not, and what is no envelope at all: it is all the same to who may not ask.
    for (tenant, wrapped) in [("acme", &wrapped), ("nobody", &wrapped), ("acme", &garbage)] {
        let asked = engine.unwrap_key(&id(tenant), wrapped, &context("main")).await;
        let refusal = refused(asked, Code::PermissionDenied, ErrorReason::CallerNotAllowed);
        assert!(refusal.metadata().is_empty());
        messages.push(refusal.message().replace(tenant, "…"));
    }
    assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
    let made = engine.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await;
    refused(made, Code::PermissionDenied, ErrorReason::CallerNotAllowed);
    let get = v1::GetTenantRequest { name: "tenants/acme".into() };
    let got = engine.tenants(get, |mut t, q| async move { t.get_tenant(q).await }).await;
    refused(got, Code::PermissionDenied, ErrorReason::CallerNotAllowed);
    for tenant in ["acme", "nobody"] {
        let mut stream = engine.leases().await.unwrap();
        stream.watch(&[id(tenant)], WatchMode::Hold).await.unwrap();
        refused(stream.next().await, Code::PermissionDenied, ErrorReason::CallerNotAllowed);
    }
    assert_eq!(world.count(Default::default()), 0);

    let own = engine.generate_data_key(&id("globex"), KeyLength::B32, &context("main")).await.unwrap();
    engine.unwrap_key(&id("globex"), &own.value.wrapped, &context("main")).await.unwrap();
    let foreign = engine.unwrap_key(&id("globex"), &wrapped, &context("main")).await;
    assert!(matches!(foreign, Err(ClientError::Refused(_))));
}

on_every_cloud!(
    p6_another_tenants_envelope_unwraps_nothing_even_if_it_is_cached,
    p6_an_envelope_with_a_forged_header_unwraps_nothing,
    p6_authorisation_comes_before_any_look_up,
);
