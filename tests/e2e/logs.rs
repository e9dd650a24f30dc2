//! What is written down: the log at its most talkative, the audit records, and what the API says about tenants.

use leasehold_api::v1;
use leasehold_client::{KeyLength, PlaintextKey, WrappedKey};

use crate::cloud::{Cloud, Estate, on_every_cloud};
use crate::served::Process;
use crate::world::{BINDING, World, client_of, context, id};

/// The ways in which secret bytes appear in text.
fn spellings(bytes: &[u8]) -> Vec<String> {
    let debug = format!("{bytes:?}");
    vec![
        data_encoding::HEXLOWER.encode(bytes),
        data_encoding::HEXUPPER.encode(bytes),
        data_encoding::BASE64.encode(bytes),
        data_encoding::BASE64URL_NOPAD.encode(bytes),
        debug.trim_matches(['[', ']']).to_owned(),
    ]
}

#[track_caller]
fn assert_nothing_secret(text: &str, what: &str, estate: &dyn Estate, keys: &[PlaintextKey]) {
    let mut secrets: Vec<String> = keys.iter().flat_map(|key| spellings(key.expose())).collect();
    secrets.extend(estate.secrets());
    for secret in secrets {
        assert!(!text.contains(&secret), "the {what} shows a secret");
    }
}

/// All that happens in a day.
async fn story(process: &Process) -> Vec<PlaintextKey> {
    let (client, acme, main) = (&process.client, id("acme"), context("main"));
    let made = client.generate_data_key(&acme, KeyLength::B32, &main).await.unwrap().value;
    let unwrapped = client.unwrap_key(&acme, &made.wrapped, &main).await.unwrap().value;
    let own = PlaintextKey::generate(client.arena(), KeyLength::B64).unwrap();
    let copy = PlaintextKey::take(client.arena(), &mut own.expose().to_vec()).unwrap();
    client.wrap_key(&acme, copy, &main).await.unwrap();
    client.rewrap_key(&acme, &made.wrapped, &main, None).await.unwrap();
    assert!(client.unwrap_key(&acme, &made.wrapped, &context("wrong")).await.is_err());
    let garbled = WrappedKey::try_from(vec![7; 300]).unwrap();
    assert!(client.unwrap_key(&acme, &garbled, &main).await.is_err());
    assert!(client.unwrap_key(&id("nobody"), &made.wrapped, &main).await.is_err());
    process.revoke_trust();
    process.reprove().await;
    assert!(client.unwrap_key(&acme, &made.wrapped, &main).await.is_err());
    vec![made.key, unwrapped, own]
}

async fn p4_p8_nothing_secret_is_logged_at_any_level_or_recorded(cloud: Cloud) {
    let process = Process::logging(cloud, "trace").await;
    let keys = story(&process).await;
    let log = process.log();
    assert!(log.contains("BINDING_DENIED") && log.contains("TRACE"), "it logs everything");
    assert_nothing_secret(&log, "log", &*process.estate, &keys);
    let audit = process.audit();
    assert!(audit.contains("UnwrapKey") && audit.contains("acme"), "decisions were recorded: {audit}");
    assert_nothing_secret(&audit, "audit", &*process.estate, &keys);
}

async fn p8_of_a_tenant_only_references_are_kept(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    let admin = client_of(&world.running.endpoints()[0], &world.clock);
    let list = v1::ListTenantsRequest { show_deleted: true, ..Default::default() };
    let tenants =
        admin.tenants(list, |mut t: crate::world::Tenants, q| async move { t.list_tenants(q).await });
    let bindings = v1::ListBindingsRequest { parent: "tenants/acme".into(), ..Default::default() };
    let call = |mut t: crate::world::Tenants, q| async move { t.list_bindings(q).await };
    let bindings = admin.tenants(bindings, call).await.unwrap();
    let kit = v1::GetOnboardingKitRequest { name: format!("tenants/acme/bindings/{BINDING}") };
    let call = |mut t: crate::world::Tenants, q| async move { t.get_onboarding_kit(q).await };
    let kept =
        format!("{:?}{bindings:?}{:?}", tenants.await.unwrap(), admin.tenants(kit, call).await.unwrap());
    assert!(kept.contains(&world.estate.tenants().get("acme").unwrap().key), "references are kept");
    assert_nothing_secret(&kept, "registry", &*world.estate, &[key]);
    for issued in ["ASIA", "FwoGZXIvYXdz", "secret_access_key", "session_token"] {
        assert!(!kept.contains(issued), "no session is kept: {issued}");
    }
}

on_every_cloud!(
    p4_p8_nothing_secret_is_logged_at_any_level_or_recorded,
    p8_of_a_tenant_only_references_are_kept,
);
