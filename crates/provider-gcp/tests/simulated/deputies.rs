//! Confused deputies: tenants who would use another's key through us.

use leasehold_cloudsim::gcp::VersionState;
use leasehold_provider::{Depth, Edge, FailedStage, Fault, KeyProvider, ProviderError, Stage};
use leasehold_provider_gcp::{BaseIdentity, FixedToken, GcpConfig, GcpConfigError, GcpProvider};
use leasehold_tenant::Binding;
use serde_json::{Value, json};

use crate::binding::{activated, binding};
use crate::tenant::Tenant;
use crate::world::World;

async fn activate(provider: &GcpProvider, binding: &Binding) -> Result<(), ProviderError> {
    let session = provider.assume(binding).await?.value;
    provider.check_deputy(binding, &session).await?;
    provider.describe(&session).await.map(drop)
}

#[tokio::test]
async fn p6_another_tenant_cannot_bind_this_tenants_service_account_and_key() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
    assert!(activate(&provider, &tenant.binding).await.is_ok());
    let settings = Value::Object(tenant.binding.settings.0.clone());
    let thief = binding("thief", &tenant.key.to_string(), &settings);
    // Google lets us become the service account for whoever asks; the key's label is what tells them apart.
    let session = provider.assume(&thief).await.unwrap().value;
    for refused in [
        provider.check_deputy(&thief, &session).await.unwrap_err(),
        provider.describe(&session).await.unwrap_err(),
    ] {
        assert_eq!((refused.fault(), refused.code()), (&Fault::Misconfigured, Some("LABEL_DIFFERS")));
        assert!(!refused.detail().contains(tenant.binding.external_id.as_str()), "{refused}");
    }
}

#[tokio::test]
async fn p6_a_session_of_another_key_does_not_pass_for_this_one() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
    let thief = Tenant::onboard(&world, &provider, "thief", "thief-project").await;
    let settings = Value::Object(tenant.binding.settings.0.clone());
    let stolen = binding("thief", &tenant.key.to_string(), &settings);
    let session = provider.assume(&thief.binding).await.unwrap().value;
    assert!(provider.check_deputy(&thief.binding, &session).await.is_ok());
    assert!(provider.check_deputy(&stolen, &session).await.unwrap_err().is_denial());
}

#[tokio::test]
async fn the_label_is_looked_for_with_every_description_until_a_binding_is_activated() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    assert!(provider.describe(&session).await.is_ok());
    world.gcp().set_labels(&tenant.key, std::collections::BTreeMap::new()).unwrap();
    assert_eq!(provider.describe(&session).await.unwrap_err().code(), Some("LABEL_MISSING"));
    // The key has one label. That of the binding which follows does not end this one, which still unwraps.
    let activated = activated(&tenant.binding);
    let session = provider.assume(&activated).await.unwrap().value;
    assert!(provider.describe(&session).await.is_ok());
    let error = provider.check_deputy(&activated, &session).await.unwrap_err();
    assert_eq!(error.code(), Some("LABEL_MISSING"), "whoever verifies is told");
}

#[tokio::test]
async fn p6_a_thief_is_told_nothing_about_the_key() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
    let settings = Value::Object(tenant.binding.settings.0.clone());
    let thief = binding("thief", &tenant.key.to_string(), &settings);
    let denied = ProviderError::new(Fault::Denied { edge: Edge::Key }, "no");
    let failed = FailedStage { binding: &thief, own: None, stage: Stage::Wrap, error: &denied };
    let mut told = Vec::new();
    for state in [VersionState::Enabled, VersionState::Disabled, VersionState::DestroyScheduled] {
        world.gcp().set_version_state(&tenant.key, 1, state).unwrap();
        let session = provider.assume(&thief).await.unwrap().value;
        let described = provider.describe(&session).await.unwrap_err();
        let inspected = provider.inspect(&thief, None, &session, Depth::ExcessPermissions).await;
        assert_eq!(inspected.len(), 1, "{inspected:?}");
        // Each answer has a request id of its own.
        let described = format!("{:?} {:?} {}", described.fault(), described.code(), described.detail());
        told.push((described, format!("{inspected:?} {:?}", provider.explain(&failed).await)));
    }
    // Nor which permissions there are on it.
    let id = "projects/tenant-project/roles/leaseholdKeyUser".parse().unwrap();
    let less = json!({ "title": "less", "includedPermissions": ["cloudkms.cryptoKeys.get"] });
    world.gcp().put_custom_role(&id, less).unwrap();
    let explained = format!("{:?}", provider.explain(&failed).await);
    assert!(told[0].1.ends_with(&explained), "{explained}");
    assert!(told.windows(2).all(|two| two[0] == two[1]), "{told:?}");
}

#[tokio::test]
async fn p6_a_key_in_our_own_project_is_refused() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
    let ours = world.scenario.base.project.to_string();
    let key = crate::tenant::new_key(&world, &ours, "ours", |_| ());
    let settings = Value::Object(tenant.binding.settings.0.clone());
    let thief = binding("acme", &key.to_string(), &settings);
    let session = provider.assume(&thief).await.unwrap().value;
    let error = provider.check_deputy(&thief, &session).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some("OWN_PROJECT")));
}

#[tokio::test]
async fn p6_our_own_projects_are_known_however_we_are_called() {
    let world = World::start().await;
    let tenant = Tenant::onboard(&world, &world.provider().await, "acme", "tenant-project").await;
    let ours = world.scenario.base.project.to_string();
    let key = crate::tenant::new_key(&world, &ours, "ours", |_| ());
    let thief = binding("acme", &key.to_string(), &Value::Object(tenant.binding.settings.0.clone()));
    // The same machine, called by the number of its project as its default account is.
    let principal = Some("123456789012-compute@developer.gserviceaccount.com".parse().unwrap());
    let by_number = GcpConfig { principal: principal.clone(), ..world.config() };
    // The same by a credentials file, which says who it makes us.
    let by_file = GcpConfig { principal: principal.clone(), ..world.federated() };
    for config in [by_number, by_file] {
        let provider = world.provider_of(config).await;
        let session = provider.assume(&thief).await.unwrap().value;
        let error = provider.check_deputy(&thief, &session).await.unwrap_err();
        assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some("OWN_PROJECT")));
        let session = provider.assume(&tenant.binding).await.unwrap().value;
        provider.check_deputy(&tenant.binding, &session).await.unwrap();
    }
}

#[tokio::test]
async fn p6_a_project_that_the_settings_call_ours_is() {
    let world = World::start().await;
    let own_projects = vec!["tenant-project".parse().unwrap()];
    let tenant = Tenant::onboard(&world, &world.provider().await, "acme", "tenant-project").await;
    let provider = world.provider_of(GcpConfig { own_projects, ..world.config() }).await;
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    let error = provider.check_deputy(&tenant.binding, &session).await.unwrap_err();
    assert_eq!((error.fault(), error.code()), (&Fault::Misconfigured, Some("OWN_PROJECT")));
}

#[tokio::test]
async fn p6_who_cannot_tell_what_is_ours_serves_nobody() {
    let world = World::start().await;
    for principal in [
        "principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s",
        "123456789012-compute@developer.gserviceaccount.com",
        "user:ops@example.com",
    ] {
        let identity = BaseIdentity::Fixed(FixedToken::new("token"));
        let config = GcpConfig { identity, principal: Some(principal.parse().unwrap()), ..world.config() };
        let error = GcpProvider::build(config.clone(), world.arena.clone()).await.unwrap_err();
        assert!(matches!(error, GcpConfigError::NoOwnProject), "{principal}: {error}");
        assert!(error.to_string().contains("gcp.own_projects"));
        let named = GcpConfig { own_projects: vec!["our-platform".parse().unwrap()], ..config.clone() };
        assert!(GcpProvider::build(named, world.arena.clone()).await.is_ok(), "{principal}");
        let asked = GcpConfig { identity: BaseIdentity::Metadata, ..config };
        assert!(GcpProvider::build(asked, world.arena.clone()).await.is_ok(), "the machine's project");
    }
}
