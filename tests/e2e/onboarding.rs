//! A tenant hands over a role and a key, in two steps; and everything that can be wrong with them.

use leasehold_api::v1::{self, BindingState, ErrorReason};
use leasehold_client::{ClientError, KeyLength};
use leasehold_cloudsim::aws::{KeySpec, KeyState};
use leasehold_cloudsim::control::KeyInput;
use serde_json::{Value, json};
use tonic::Code;

use crate::cloud::{Cloud, Estate, on_every_cloud};
use crate::world::{BINDING, World, activate, context, create_binding, create_tenant, id, refused};

async fn binding(world: &World, tenant: &str) -> v1::Binding {
    let name = format!("tenants/{tenant}/bindings/{BINDING}");
    let get = v1::GetBindingRequest { name };
    let got = world.tenants(get, |mut t, q| async move { t.get_binding(q).await }).await.unwrap();
    // Its lease is no part of the record.
    v1::Binding { lease: None, ..got.binding.unwrap() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_works_once_the_tenant_has_pasted_what_the_kit_says() {
    let (world, aws) = World::on_aws(&["acme"], |_| {}).await;
    world.hand_over("acme").await;
    assert_eq!(world.count(Default::default()), 0, "creating a binding asks nothing of the cloud");

    let name = format!("tenants/acme/bindings/{BINDING}");
    let kit = v1::GetOnboardingKitRequest { name };
    let kit = world.tenants(kit, |mut t, q| async move { t.get_onboarding_kit(q).await }).await.unwrap();
    let sections = kit.kit.unwrap().sections;
    let trust = sections.iter().find(|section| section.title.starts_with("Trust policy")).unwrap();
    let trust: Value = serde_json::from_str(&trust.body).unwrap();
    aws.control().set_trust_policy(&aws.tenant("acme").role, trust).unwrap();

    let activated = world.activate("acme").await.unwrap().binding.unwrap();
    assert_eq!(activated.state(), BindingState::Active);
    let (key, wrapped) = world.generate("acme", "main").await;
    assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
}

async fn an_activation_that_fails_changes_nothing(cloud: Cloud) {
    let world = World::with(cloud, &["acme"], |_| {}).await;
    let external_id = world.hand_over("acme").await;
    let before = binding(&world, "acme").await;

    let refusal = refused(world.activate("acme").await, Code::FailedPrecondition, ErrorReason::BindingDenied);
    assert_eq!(refusal.metadata()["edge"], "trust");
    assert!(refusal.metadata().contains_key("cloud_code"));
    assert!(refusal.metadata().contains_key("cloud_request_id"), "the tenant finds the call by it");
    assert_eq!(binding(&world, "acme").await, before);
    let generated = world.client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await;
    refused(generated, Code::FailedPrecondition, ErrorReason::NoActiveBinding);

    world.estate.let_in("acme", &external_id);
    world.activate("acme").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_role_that_lets_us_in_without_the_right_external_id_is_refused() {
    let (world, aws) = World::on_aws(&["open", "careless"], |_| {}).await;
    let conditions = [("open", json!({})), ("careless", json!({ "StringLike": { "sts:ExternalId": "*" } }))];
    for (tenant, condition) in conditions {
        world.hand_over(tenant).await;
        let mut statement = json!({
            "Effect": "Allow",
            "Principal": { "AWS": aws.scenario.base_user },
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        });
        if condition != json!({}) {
            statement["Condition"] = condition;
        }
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
        aws.control().set_trust_policy(&aws.tenant(tenant).role, policy).unwrap();
        let refusal = refused(
            world.activate(tenant).await,
            Code::FailedPrecondition,
            ErrorReason::BindingMisconfigured,
        );
        assert!(refusal.message().contains("sts:ExternalId"), "{tenant}: {refusal}");
        assert_eq!(binding(&world, tenant).await.state(), BindingState::Pending);
    }
}

async fn p6_nobody_can_bind_the_principal_and_key_of_another_tenant(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    create_tenant(&world.client, "mallory").await;
    let stolen = world.estate.binding("acme");
    let created = create_binding(&world.client, "mallory", BINDING, stolen).await.unwrap();
    assert_ne!(created.external_id, binding(&world, "acme").await.external_id);
    let Err(ClientError::Refused(refusal)) = world.activate("mallory").await else { panic!("bound") };
    // The trust policy of a role says no itself; elsewhere the key lacks the challenge that was issued to the thief.
    let reason = match cloud {
        Cloud::Aws => ErrorReason::BindingDenied,
        Cloud::Azure | Cloud::Gcp => ErrorReason::BindingMisconfigured,
    };
    assert_eq!((refusal.code(), refusal.reason()), (Code::FailedPrecondition, Some(reason)), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_usable_name_is_refused_with_what_to_do() {
    let (world, aws) = World::on_aws(&["acme"], |_| {}).await;
    let acme = aws.aws_binding("acme");
    let key = |text: &str| v1::AwsBinding { kms_key_arn: text.into(), ..acme.clone() };
    let role = |text: &str| v1::AwsBinding { role_arn: text.into(), ..acme.clone() };
    create_tenant(&world.client, "acme").await;
    for (number, (aws, advice)) in [
        (key("arn:aws:kms:eu-central-1:200000000001:alias/acme"), "describe-key"),
        (key("alias/acme"), "describe-key"),
        (key("1234abcd-12ab-34cd-56ef-1234567890ab"), "give the key ARN"),
        (key("arn:aws:kms:eu-central-1:2000:key/1234abcd"), "12 digits"),
        (key("arn:aws:kms:eu-central-1:200000000001:key/"), "key ARN"),
        (key("arn:gcp:kms:eu-central-1:200000000001:key/1234abcd"), "partition"),
        (key("arn:aws:kms:us-west-2:200000000001:key/1234abcd"), "allowed_regions"),
        (key(""), "kms_key_arn"),
        (role("leasehold-access"), "arn:aws:iam::"),
        (role("arn:aws:iam::200000000001:user/leasehold"), "arn:aws:iam::"),
        (role("arn:aws:iam::200000000001:role/*"), "arn:aws:iam::"),
        (role(""), "arn:aws:iam::"),
    ]
    .into_iter()
    .enumerate()
    {
        let named = format!("{aws:?}");
        let created =
            create_binding(&world.client, "acme", &format!("b{number}"), v1::binding::Cloud::Aws(aws)).await;
        let Err(leasehold_client::ClientError::Refused(refusal)) = created else {
            panic!("{named} was not refused")
        };
        let known = matches!(
            (refusal.code(), refusal.reason()),
            (Code::InvalidArgument, Some(ErrorReason::InvalidField))
                | (Code::FailedPrecondition, Some(ErrorReason::BindingMisconfigured))
        );
        assert!(known && refusal.message().contains(advice), "{named}: {refusal}");
    }
    assert_eq!(world.count(Default::default()), 0, "none of it was asked of the cloud");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_wrap_is_refused_at_activation_with_what_to_do() {
    let (world, aws) = World::on_aws(&["acme"], |_| {}).await;
    let acme = aws.tenant("acme");
    create_tenant(&world.client, "acme").await;
    let key = |spec, state| KeyInput {
        account: acme.account.clone(),
        region: acme.key.region.clone(),
        key_id: None,
        spec,
        usage: None,
        origin: Default::default(),
        state: Some(state),
        policy: None,
        aliases: Vec::new(),
        description: String::new(),
    };
    let symmetric = KeySpec::SYMMETRIC_DEFAULT;
    for (binding, input, reason, advice) in [
        ("rsa", key(KeySpec::RSA_2048, KeyState::Enabled), ErrorReason::BindingMisconfigured, "symmetric"),
        ("mac", key(KeySpec::HMAC_256, KeyState::Enabled), ErrorReason::BindingMisconfigured, "symmetric"),
        ("disabled", key(symmetric, KeyState::Disabled), ErrorReason::KeyUnusable, "disabled"),
        ("dying", key(symmetric, KeyState::PendingDeletion), ErrorReason::KeyUnusable, "deletion"),
    ] {
        let arn = aws.control().create_key(input).unwrap();
        let resource = arn.to_string();
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": "kms:*", "Resource": resource }],
        });
        aws.control().set_identity_policies(&acme.role, [("use".to_owned(), policy)].into()).unwrap();
        let bound = v1::AwsBinding { kms_key_arn: resource, ..aws.aws_binding("acme") };
        let bound = v1::binding::Cloud::Aws(bound);
        let created = create_binding(&world.client, "acme", binding, bound).await.unwrap();
        aws.let_in("acme", &created.external_id);
        let refusal =
            refused(activate(&world.client, "acme", binding).await, Code::FailedPrecondition, reason);
        let message = refusal.message().to_lowercase();
        assert!(message.contains(advice), "{binding}: {refusal}");
    }
}

async fn unknown_and_malformed_names_are_told_apart(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    let generated = world.client.generate_data_key(&id("nobody"), KeyLength::B32, &context("main")).await;
    let refusal = refused(generated, Code::NotFound, ErrorReason::TenantNotFound);
    assert!(refusal.message().contains("tenant"), "{refusal}");
    for name in ["", "acme", "tenants/", "tenants/ACME", "tenants/acme/bindings/main"] {
        let get = v1::GetTenantRequest { name: name.to_owned() };
        let got = world.tenants(get, |mut t, q| async move { t.get_tenant(q).await }).await;
        refused(got, Code::InvalidArgument, ErrorReason::InvalidField);
    }
    let get = v1::GetBindingRequest { name: "tenants/acme/bindings/none".to_owned() };
    let got = world.tenants(get, |mut t, q| async move { t.get_binding(q).await }).await;
    refused(got, Code::NotFound, ErrorReason::BindingNotFound);
}

on_every_cloud!(
    an_activation_that_fails_changes_nothing,
    p6_nobody_can_bind_the_principal_and_key_of_another_tenant,
    unknown_and_malformed_names_are_told_apart,
);
