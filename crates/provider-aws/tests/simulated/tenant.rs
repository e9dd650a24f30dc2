//! A tenant who does what the onboarding kit says, and nothing else.

use std::collections::BTreeMap;

use leasehold_cloudsim::aws::arn::{KeyArn, RoleArn};
use leasehold_cloudsim::control::{KeyInput, RoleSpec};
use leasehold_provider::{KeyProvider, KitRequest, OnboardingKit, OwnIdentity};
use leasehold_provider_aws::AwsProvider;
use leasehold_tenant::Binding;
use serde_json::{Value, json};

use crate::world::{REGION, World, binding};

/// A tenant with a key, and the roles of a chain that ends in their own.
pub(crate) struct Tenant {
    pub(crate) binding: Binding,
    pub(crate) key: KeyArn,
    /// In the order of the chain.
    pub(crate) roles: Vec<RoleArn>,
}

impl Tenant {
    /// A tenant whose only role is their own.
    pub(crate) async fn onboard(world: &World, provider: &AwsProvider, name: &str, account: &str) -> Self {
        Self::onboard_with(world, provider, name, account, &json!({})).await
    }

    /// A tenant whose settings also say `extra`; a chain in them is onboarded role by role.
    pub(crate) async fn onboard_with(
        world: &World,
        provider: &AwsProvider,
        name: &str,
        account: &str,
        extra: &Value,
    ) -> Self {
        let key = new_key(world, account, json!({}));
        let role = RoleArn { account: account.parse().unwrap(), name: format!("{name}-leasehold") };
        let mut settings = json!({ "role_arn": role.to_string() });
        settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let binding = binding(name, &key.to_string(), &settings);
        let own = provider.own_identity().await.unwrap();
        let kit = provider.onboarding_kit(&kit_request(&binding, &own)).unwrap();
        let chain = settings["chain"].as_array().cloned().unwrap_or_default();
        let mut roles: Vec<RoleArn> =
            chain.iter().map(|hop| hop["role_arn"].as_str().unwrap().parse().unwrap()).collect();
        roles.push(role);
        paste(world, &kit, &roles, &key);
        Self { binding, key, roles }
    }

    /// The role that uses the key.
    pub(crate) fn role(&self) -> &RoleArn {
        self.roles.last().unwrap()
    }
}

/// Does what the kit says: two documents for each role, then the statement for the key.
fn paste(world: &World, kit: &OnboardingKit, roles: &[RoleArn], key: &KeyArn) {
    let document = |index: usize| serde_json::from_str::<Value>(&kit.sections[index].body).unwrap();
    for (index, role) in roles.iter().enumerate() {
        world.aws().put_account(&role.account);
        let identity_policies = BTreeMap::from([("leasehold".to_owned(), document(2 * index + 1))]);
        put_role(world, role, document(2 * index), identity_policies);
    }
    let mut policy = key_policy(key);
    policy["Statement"].as_array_mut().unwrap().push(document(2 * roles.len()));
    world.aws().set_key_policy(key, policy).unwrap();
}

pub(crate) fn put_role(
    world: &World,
    role: &RoleArn,
    trust_policy: Value,
    policies: BTreeMap<String, Value>,
) {
    let spec = RoleSpec {
        trust_policy,
        identity_policies: policies,
        boundary: None,
        tags: BTreeMap::new(),
        max_session_seconds: 3600,
    };
    world.aws().put_role(role, spec).unwrap();
}

/// A key of `account`; `input` says what is special about it.
pub(crate) fn new_key(world: &World, account: &str, mut input: Value) -> KeyArn {
    world.aws().put_account(&account.parse().unwrap());
    input["account"] = json!(account);
    input["region"] = json!(REGION);
    world.aws().create_key(serde_json::from_value::<KeyInput>(input).unwrap()).unwrap()
}

/// The policy that a key has at first: its owner's administrators may do everything, nobody else anything.
pub(crate) fn key_policy(key: &KeyArn) -> Value {
    let root = key.account.root_arn();
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Sid": "Owner", "Effect": "Allow", "Principal": { "AWS": root }, "Action": "kms:*", "Resource": "*",
        }],
    })
}

/// A kit for the default bound.
pub(crate) fn kit_request<'a>(binding: &'a Binding, own: &'a OwnIdentity) -> KitRequest<'a> {
    let revocation_bound = std::time::Duration::from_secs(300);
    KitRequest { binding, own, revocation_bound, proofs_per_month: 19_200 }
}
