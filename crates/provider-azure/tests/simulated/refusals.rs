//! Every refusal that the simulator can make, and whose answer it is. The whole table is tested row by row beside it; here
//! is what Azure's own words, in Azure's own form, come to.

use std::time::Duration;

use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::azure::{Firewall, FirewallAction};
use leasehold_cloudsim::control::azure::model::KeyValidity;
use leasehold_envelope::{KeyVersion, Purpose};
use leasehold_provider::{
    Ciphertext, Edge, Fault, KeyProvider, KeyState, ProviderError, Session, Throttler, WrapContext,
};
use leasehold_provider_azure::AzureProvider;
use leasehold_secret::{KeyLength, PlaintextKey};
use serde_json::json;

use crate::tenant::{Step, Tenant};
use crate::world::{World, binding, binding_in, bound, dek};

struct Bench {
    world: World,
    provider: AzureProvider,
    tenant: Tenant,
}

impl Bench {
    async fn start() -> Self {
        let world = World::start().await;
        let provider = world.provider().await;
        let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
        Self { world, provider, tenant }
    }

    async fn assume(&self) -> Result<Session, ProviderError> {
        self.provider.assume(&self.tenant.binding).await.map(|answer| answer.value)
    }

    async fn version(&self, session: &Session) -> KeyVersion {
        self.provider.describe(session).await.unwrap().value.current_version
    }

    async fn wrap(&self, session: &Session, version: &KeyVersion) -> Result<Ciphertext, ProviderError> {
        let bound = bound();
        let key = PlaintextKey::generate(&self.world.arena, KeyLength::B32).unwrap();
        self.provider.wrap(session, &key, version, dek(&bound)).await.map(|answer| answer.value)
    }

    async fn unwrap(&self, session: &Session, wrapped: &Ciphertext) -> Result<(), ProviderError> {
        let bound = bound();
        self.provider.unwrap(session, wrapped, dek(&bound)).await.map(drop)
    }

    fn edit(&self, edit: Edit) {
        self.world.azure().edit(edit).unwrap();
    }
}

/// The fault and the code; every answer of Azure's own has a request id too.
fn told(error: &ProviderError) -> (&Fault, Option<&str>) {
    assert!(error.code().is_none() || error.request_id().is_some(), "{error:?} lost its request id");
    (error.fault(), error.code())
}

#[tokio::test]
async fn the_tenants_directory_says_no_in_several_words() {
    let bench = Bench::start().await;
    let (directory, app) = (bench.tenant.directory.clone(), bench.world.scenario.client_id.clone());
    let denied = Fault::Denied { edge: Edge::Trust { hop: 0 } };
    for edit in [
        Edit::RemoveConsent { directory: directory.clone(), app: app.clone() },
        Edit::DisableServicePrincipal { directory: directory.clone(), app: app.clone() },
        Edit::ConditionalAccessBlock { directory: directory.clone(), app: app.clone() },
    ] {
        let id = bench.world.azure().edit(edit.clone()).unwrap();
        let error = bench.assume().await.unwrap_err();
        let (fault, code) = told(&error);
        assert_eq!(fault, &denied, "{edit:?}");
        assert!(code.is_some_and(|code| code.starts_with("AADSTS")), "{edit:?}");
        bench.world.azure().undo(id).unwrap();
    }
    bench.assume().await.unwrap();
}

#[tokio::test]
async fn p2_a_directory_that_is_gone_is_a_denial_at_the_trust_edge() {
    let bench = Bench::start().await;
    let nowhere = "20000000-0000-4000-8000-00000000ffff";
    let binding = binding_in("acme", &bench.tenant.key.to_string(), nowhere);
    let error = bench.provider.assume(&binding).await.unwrap_err();
    assert_eq!(told(&error), (&Fault::Denied { edge: Edge::Trust { hop: 0 } }, Some("AADSTS90002")));
}

#[tokio::test]
async fn p2_a_vault_of_another_directory_is_a_denial_at_the_key_edge() {
    let bench = Bench::start().await;
    let other = Tenant::onboard(&bench.world, &bench.provider, "other", 2).await;
    let crossed = binding(
        "acme",
        &bench.tenant.key.to_string(),
        &json!({ "directory_id": other.directory.to_string() }),
    );
    let session = bench.provider.assume(&crossed).await.unwrap().value;
    let error = bench.provider.describe(&session).await.unwrap_err();
    assert_eq!(told(&error), (&Fault::Denied { edge: Edge::Key }, Some("Unauthorized")));
}

#[tokio::test]
async fn an_expired_token_is_told_from_a_denial_for_every_use() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    let version = bench.version(&session).await;
    let wrapped = bench.wrap(&session, &version).await.unwrap();
    bench.world.control().advance(Duration::from_secs(3600));
    assert_eq!(told(&bench.wrap(&session, &version).await.unwrap_err()).0, &Fault::SessionExpired);
    assert_eq!(told(&bench.unwrap(&session, &wrapped).await.unwrap_err()).0, &Fault::SessionExpired);
}

#[tokio::test]
async fn a_missing_role_is_a_denial_at_the_key_edge() {
    let bench = Bench::start().await;
    let tenant = Tenant::new(&bench.world, "late", 2);
    tenant.paste(&bench.world, &bench.provider, &[Step::Consent, Step::Tag]).await;
    let session = bench.provider.assume(&tenant.binding).await.unwrap().value;
    let error = bench.provider.describe(&session).await.unwrap_err();
    assert_eq!(told(&error), (&Fault::Denied { edge: Edge::Key }, Some("ForbiddenByRbac")));
    assert_eq!(error.detail(), "Caller is not authorized to perform action on resource.");
}

#[tokio::test]
async fn a_closed_network_is_a_denial_at_the_key_edge() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    let vault = bench.tenant.key.vault().clone();
    let closed = Firewall { default_action: FirewallAction::Deny, ip_rules: Vec::new() };
    bench.world.azure().set_firewall(&vault, closed).unwrap();
    let error = bench.provider.describe(&session).await.unwrap_err();
    assert_eq!(told(&error), (&Fault::Denied { edge: Edge::Key }, Some("ForbiddenByFirewall")));
}

#[tokio::test]
async fn an_expired_key_unwraps_but_does_not_wrap() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    let version = bench.version(&session).await;
    let wrapped = bench.wrap(&session, &version).await.unwrap();
    bench.edit(Edit::KeyExpired { key: bench.tenant.key.clone() });
    let error = bench.wrap(&session, &version).await.unwrap_err();
    assert_eq!(told(&error), (&Fault::KeyUnusable(KeyState::Expired), Some("KeyExpired")));
    let described = bench.provider.describe(&session).await.unwrap_err();
    assert_eq!(described.fault(), &Fault::KeyUnusable(KeyState::Expired));
    bench.unwrap(&session, &wrapped).await.unwrap();
}

#[tokio::test]
async fn a_key_before_its_time_wraps_nothing() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    let version = bench.version(&session).await;
    let validity = KeyValidity { not_before_in_seconds: Some(3600), expires_in_seconds: None };
    bench.world.azure().set_key_validity(&bench.tenant.key, None, validity).unwrap();
    let error = bench.wrap(&session, &version).await.unwrap_err();
    assert_eq!(told(&error), (&Fault::KeyUnusable(KeyState::NotYetValid), Some("KeyNotYetValid")));
}

#[tokio::test]
async fn a_deleted_key_is_gone_until_it_is_recovered() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    let version = bench.version(&session).await;
    let wrapped = bench.wrap(&session, &version).await.unwrap();
    bench.world.azure().delete_key(&bench.tenant.key).unwrap();
    let gone = Fault::KeyUnusable(KeyState::NotFound);
    assert_eq!(told(&bench.unwrap(&session, &wrapped).await.unwrap_err()).0, &gone);
    assert_eq!(told(&bench.wrap(&session, &version).await.unwrap_err()).0, &gone);
    bench.world.azure().recover_key(&bench.tenant.key).unwrap();
    bench.unwrap(&session, &wrapped).await.unwrap();
}

#[tokio::test]
async fn a_version_that_never_was_is_the_callers_mistake_unless_a_canary_names_it() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    let version = bench.version(&session).await;
    let wrapped = bench.wrap(&session, &version).await.unwrap();
    let stranger = Ciphertext { key_version: "0123456789abcdef0123456789abcdef".parse().unwrap(), ..wrapped };
    let error = bench.unwrap(&session, &stranger).await.unwrap_err();
    assert_eq!(told(&error), (&Fault::Rejected, Some("KeyNotFound")));
    let (header, context) = bound();
    let canary = WrapContext { purpose: Purpose::Canary, header: &header, context: &context };
    let error = bench.provider.unwrap(&session, &stranger, canary).await.err().unwrap();
    assert_eq!(told(&error), (&Fault::KeyUnusable(KeyState::NotFound), Some("KeyNotFound")));
}

#[tokio::test]
async fn an_operation_that_the_key_leaves_out_is_a_denial() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    let version = bench.version(&session).await;
    let wrapped = bench.wrap(&session, &version).await.unwrap();
    bench.world.azure().set_key_ops(&bench.tenant.key, &["wrapKey".to_owned()]).unwrap();
    let error = bench.unwrap(&session, &wrapped).await.unwrap_err();
    assert_eq!(told(&error).0, &Fault::Denied { edge: Edge::Key });
}

#[tokio::test]
async fn a_busy_vault_says_how_long_to_wait() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    bench.world.azure().set_vault_limit(bench.tenant.key.vault(), Some(0)).unwrap();
    let error = bench.provider.describe(&session).await.unwrap_err();
    assert!(
        matches!(error.fault(), Fault::Throttled { by: Throttler::Cloud, retry_after: Some(wait) } if !wait.is_zero()),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_vault_that_was_deleted_is_no_denial() {
    let bench = Bench::start().await;
    let session = bench.assume().await.unwrap();
    bench.world.azure().delete_vault(bench.tenant.key.vault()).unwrap();
    let error = bench.provider.describe(&session).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Unavailable, "the name is gone, and who is gone says nothing: {error}");
}
