//! The platform's own key, for tenants who bring none.

use leasehold_cloudsim::azure::KeyKind;
use leasehold_provider::{Fault, KeyProvider};
use leasehold_provider_azure::{AzureConfigError, AzureProvider};
use leasehold_secret::{KeyLength, PlaintextKey};
use serde_json::json;

use crate::tenant::{kit_request, new_key};
use crate::world::{World, binding, bound, dek};

struct Bench {
    world: World,
    provider: AzureProvider,
    key: String,
}

/// A key in our own directory that our application may use.
async fn bench() -> Bench {
    let world = World::start().await;
    let (home, app) = (world.scenario.directory.clone(), world.scenario.client_id.clone());
    let key = new_key(&world, &home, "platform", KeyKind::RsaHsm, None);
    let principal = world.azure().consent(&home, &app).unwrap();
    let role = "/providers/Microsoft.Authorization/roleDefinitions/e147488a-f6f5-4113-8e2d-b22465e65bf6";
    let scope = world.azure().key_scope(&key).unwrap();
    let properties =
        json!({ "roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal" });
    world.azure().put_role_assignment(&json!({ "properties": properties, "scope": scope })).unwrap();
    let key = key.to_string();
    let keys = vec![key.parse().unwrap()];
    let config = world.config(world.secret());
    let provider = AzureProvider::build_operator(config, keys, world.arena.clone()).await.unwrap();
    Bench { world, provider, key }
}

#[tokio::test]
async fn the_platforms_own_key_wraps_and_unwraps() {
    let Bench { world, provider, key } = bench().await;
    assert_eq!(provider.kind().as_str(), "operator");
    let binding = binding("acme", &key, &json!({}));
    provider.check(&binding).unwrap();
    let session = provider.assume(&binding).await.unwrap().value;
    provider.check_deputy(&binding, &session).await.unwrap();
    let version = provider.describe(&session).await.unwrap().value.current_version;
    let bound = bound();
    let plaintext = PlaintextKey::generate(&world.arena, KeyLength::B32).unwrap();
    let wrapped = provider.wrap(&session, &plaintext, &version, dek(&bound)).await.unwrap().value;
    let back = provider.unwrap(&session, &wrapped, dek(&bound)).await.unwrap().value;
    assert!(back.matches(&plaintext));
}

#[tokio::test]
async fn p6_no_other_key_can_be_bound_so() {
    let Bench { world, provider, key } = bench().await;
    let elsewhere = new_key(&world, &world.scenario.directory.clone(), "billing", KeyKind::Rsa, None);
    for refused in [
        binding("acme", &elsewhere.to_string(), &json!({})),
        binding("acme", &format!("{key}2"), &json!({})),
        binding("acme", &key, &json!({ "directory_id": "20000000-0000-4000-8000-000000000001" })),
    ] {
        assert_eq!(provider.check(&refused).unwrap_err().fault(), &Fault::Misconfigured);
        assert_eq!(provider.assume(&refused).await.unwrap_err().fault(), &Fault::Misconfigured);
    }
}

#[tokio::test]
async fn the_kit_says_that_such_a_tenant_cannot_revoke() {
    let Bench { world: _world, provider, key } = bench().await;
    let binding = binding("acme", &key, &json!({}));
    let own = provider.own_identity().await.unwrap();
    let kit = provider.onboarding_kit(&kit_request(&binding, &own)).unwrap();
    assert!(kit.levers.is_empty());
    assert!(
        kit.sections[0].body.contains(&key) && kit.sections[0].body.contains("nothing that you could revoke")
    );
}

#[tokio::test]
async fn a_key_of_another_cloud_is_refused_at_once() {
    let world = World::start().await;
    for key in ["https://v.vault.azure.cn/keys/k", "https://v.vault.azure.net/keys/k/", "arn:aws:kms:x"] {
        let keys = vec![key.parse().unwrap()];
        let built =
            AzureProvider::build_operator(world.config(world.secret()), keys, world.arena.clone()).await;
        assert!(matches!(built, Err(AzureConfigError::BadOperatorKey { .. })), "{key}");
    }
}
