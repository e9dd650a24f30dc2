//! A tenant who does what the onboarding kit says, and nothing else.

use std::collections::BTreeMap;

use leasehold_cloudsim::aws::arn::{KeyArn, RoleArn};
use leasehold_cloudsim::control::{KeyInput, RoleSpec};
use leasehold_provider::{KeyProvider, KitFormat, KitRequest, OnboardingKit, OwnIdentity};
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
        let mut settings = json!({ "role_arn": format!("arn:aws:iam::{account}:role/{name}-leasehold") });
        settings.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let binding = binding(name, &key.to_string(), &settings);
        let mut hops = settings["chain"].as_array().cloned().unwrap_or_default();
        hops.push(settings.clone());
        let roles = hops.iter().map(|hop| hop["role_arn"].as_str().unwrap().parse().unwrap()).collect();
        let tenant = Self { binding, key, roles };
        tenant.paste(world, &Documents::of(&tenant.kit(provider).await));
        tenant
    }

    /// What the tenant is given.
    pub(crate) async fn kit(&self, provider: &AwsProvider) -> OnboardingKit {
        let own = provider.own_identity().await.unwrap();
        provider.onboarding_kit(&kit_request(&self.binding, &own)).unwrap()
    }

    /// Does what the kit says, from the beginning: makes the roles anew, and adds its statement to the key's policy.
    pub(crate) fn paste(&self, world: &World, documents: &Documents) {
        for role in &self.roles {
            world.aws().put_account(&role.account);
            let trust = documents.0.get(&format!("Trust policy of the role {role}")).cloned();
            let permissions = documents.0.get(&format!("Permissions of the role {role}")).cloned();
            let policies = permissions.map(|policy| ("leasehold".to_owned(), policy)).into_iter().collect();
            put_role(world, role, trust.unwrap_or_else(trust_nobody), policies);
        }
        let mut policy = key_policy(&self.key);
        let statement = documents.0.get(&format!("Statement to add to the policy of the key {}", self.key));
        policy["Statement"].as_array_mut().unwrap().extend(statement.cloned());
        world.aws().set_key_policy(&self.key, policy).unwrap();
    }

    /// The role that uses the key.
    pub(crate) fn role(&self) -> &RoleArn {
        self.roles.last().unwrap()
    }
}

/// The policies of a kit by their titles.
#[derive(Clone)]
pub(crate) struct Documents(pub(crate) BTreeMap<String, Value>);

impl Documents {
    pub(crate) fn of(kit: &OnboardingKit) -> Self {
        let json = kit.sections.iter().filter(|section| section.format == KitFormat::Json);
        Self(json.map(|s| (s.title.clone(), serde_json::from_str(&s.body).unwrap())).collect())
    }
}

fn trust_nobody() -> Value {
    let deny = json!({ "Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole" });
    json!({ "Version": "2012-10-17", "Statement": [deny] })
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

/// The document that commands write to the first file whose name begins like this.
pub(crate) fn written(commands: &str, file: &str) -> Value {
    let (before, _) = commands.split_once(&format!("' > {file}")).unwrap();
    let (_, document) = before.rsplit_once("printf '%s\\n' '").unwrap();
    serde_json::from_str(document).unwrap()
}

/// A kit for the default bound.
pub(crate) fn kit_request<'a>(binding: &'a Binding, own: &'a OwnIdentity) -> KitRequest<'a> {
    let revocation_bound = std::time::Duration::from_secs(300);
    KitRequest { binding, own, revocation_bound, proofs_per_month: 19_200 }
}
