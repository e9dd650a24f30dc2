//! Confused deputies: roles that would let one tenant use another's key through us.

use leasehold_provider::{Fault, KeyProvider, ProviderError};
use leasehold_provider_aws::AwsProvider;
use serde_json::{Value, json};

use crate::tenant::Tenant;
use crate::world::World;

async fn check(provider: &AwsProvider, tenant: &Tenant) -> Result<(), ProviderError> {
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    provider.check_deputy(&tenant.binding, &session).await
}

fn trust(principal: &str, condition: &Value) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Principal": { "AWS": principal }, "Action": ["sts:AssumeRole", "sts:TagSession"],
            "Condition": condition,
        }],
    })
}

#[tokio::test]
async fn a_role_that_takes_any_external_id_of_ours_is_refused() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    assert!(check(&provider, &tenant).await.is_ok());
    let us = provider.own_identity().await.unwrap().principal;
    let wildcard = trust(&us, &json!({ "StringLike": { "sts:ExternalId": "lh-*" } }));
    world.aws().set_trust_policy(tenant.role(), wildcard).unwrap();
    let error = check(&provider, &tenant).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Misconfigured);
    assert!(error.detail().contains("wrong external id"), "{error}");
}

#[tokio::test]
async fn a_role_that_asks_for_an_external_id_only_if_there_is_one_is_refused() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let us = provider.own_identity().await.unwrap().principal;
    let issued = tenant.binding.external_id.as_str();
    let lax = trust(&us, &json!({ "StringEqualsIfExists": { "sts:ExternalId": issued } }));
    world.aws().set_trust_policy(tenant.role(), lax).unwrap();
    let error = check(&provider, &tenant).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Misconfigured);
    assert!(error.detail().contains("without an external id"), "{error}");
}

#[tokio::test]
async fn every_hop_that_declares_an_external_id_must_require_it() {
    let world = World::start().await;
    let provider = world.provider().await;
    let hop = "arn:aws:iam::300000000001:role/hop";
    let chain = json!({ "chain": [{ "role_arn": hop, "external_id": "hop-id" }] });
    let tenant = Tenant::onboard_with(&world, &provider, "acme", "200000000001", &chain).await;
    assert!(check(&provider, &tenant).await.is_ok());
    let us = provider.own_identity().await.unwrap().principal;
    world.aws().set_trust_policy(&hop.parse().unwrap(), trust(&us, &json!({}))).unwrap();
    let error = check(&provider, &tenant).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Misconfigured);
    assert!(error.detail().contains(hop), "{error}");
}

#[tokio::test]
async fn p6_another_tenant_cannot_bind_this_tenants_role_and_key() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "200000000001").await;
    let settings = Value::Object(tenant.binding.settings.0.clone());
    let thief = crate::world::binding("thief", &tenant.key.to_string(), &settings);
    let error = provider.assume(&thief).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Denied { .. }), "{error}");
}
