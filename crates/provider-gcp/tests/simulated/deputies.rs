//! Confused deputies: tenants who would use another's key through us.

use leasehold_provider::{Fault, KeyProvider, ProviderError};
use leasehold_provider_gcp::GcpProvider;
use leasehold_tenant::Binding;
use serde_json::Value;

use crate::binding::binding;
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
async fn the_label_is_looked_for_again_with_every_description() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    assert!(provider.describe(&session).await.is_ok());
    world.gcp().set_labels(&tenant.key, std::collections::BTreeMap::new()).unwrap();
    let error = provider.describe(&session).await.unwrap_err();
    assert_eq!(error.code(), Some("LABEL_MISSING"));
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
