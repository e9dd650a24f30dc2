//! The simulator as the suite's fixture.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use leasehold_cloudsim::aws::KeyState;
use leasehold_cloudsim::aws::arn::{KeyArn, RoleArn};
use leasehold_cloudsim::aws::edits::{Edit, EditId};
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallMatch;
use leasehold_envelope::KeyVersion;
use leasehold_provider::KeyProvider;
use leasehold_provider_aws::AwsProvider;
use leasehold_provider_conformance::{Calls, Fixture, KeyCondition, Outage};
use leasehold_secret::Arena;
use leasehold_tenant::Binding;
use serde_json::{Value, json};

use crate::tenant::{Tenant, new_key, put_role};
use crate::world::{World, binding};

const TENANT: &str = "200000000001";
const OTHER: &str = "200000000002";
const LOOSE: &str = "200000000003";
const ODD: &str = "200000000004";

/// A world with tenants in all the conditions that the suite wants to see.
pub(crate) struct Levers {
    world: World,
    tenant: Tenant,
    other: Tenant,
    unprotected: Binding,
    own_account: Binding,
    unfit: Vec<Binding>,
    missing: Binding,
    /// Who the tenant's last role trusts.
    trusted: String,
    edits: Mutex<Vec<EditId>>,
}

impl Levers {
    /// `extra` goes into the tenant's settings.
    pub(crate) async fn new(world: World, provider: &AwsProvider, extra: &Value) -> Self {
        let tenant = Tenant::onboard_with(&world, provider, "acme", TENANT, extra).await;
        let other = Tenant::onboard(&world, provider, "globex", OTHER).await;
        let own = provider.own_identity().await.unwrap();
        let before_last = tenant.roles.iter().rev().nth(1).map(ToString::to_string);
        let trusted = before_last.unwrap_or_else(|| own.principal.clone());
        let unprotected = unprotected(&world, &own.principal);
        let own_account = own_account(&world, &own.principal, &tenant.key);
        let (unfit, missing) = odd_keys(&world, &own.principal);
        Self {
            world,
            tenant,
            other,
            unprotected,
            own_account,
            unfit,
            missing,
            trusted,
            edits: Mutex::default(),
        }
    }

    fn edit(&self, edit: Edit) {
        let id = self.world.aws().edit(edit).unwrap();
        self.edits.lock().unwrap().push(id);
    }

    fn inject(&self, effect: FaultEffect) {
        self.world.control().inject(FaultSpec { matching: CallMatch::default(), effect, count: None });
    }
}

#[async_trait::async_trait]
impl Fixture for Levers {
    fn arena(&self) -> &Arena {
        &self.world.arena
    }

    fn binding(&self) -> Binding {
        self.tenant.binding.clone()
    }

    fn other_binding(&self) -> Binding {
        self.other.binding.clone()
    }

    fn hops(&self) -> usize {
        self.tenant.roles.len()
    }

    fn unprotected_binding(&self) -> Binding {
        self.unprotected.clone()
    }

    fn own_account_binding(&self) -> Option<Binding> {
        Some(self.own_account.clone())
    }

    fn unfit_bindings(&self) -> Vec<Binding> {
        self.unfit.clone()
    }

    fn missing_key_binding(&self) -> Binding {
        self.missing.clone()
    }

    fn malformed_bindings(&self) -> Vec<Binding> {
        let (key, role) = (self.tenant.key.to_string(), self.tenant.role().to_string());
        let good = json!({ "role_arn": role });
        let hop = json!({ "role_arn": role });
        vec![
            binding("acme", "alias/acme", &good),
            binding("acme", &format!("arn:aws:kms:eu-central-1:{TENANT}:alias/acme"), &good),
            binding("acme", "1234abcd-12ab-34cd-56ef-1234567890ab", &good),
            binding("acme", &key.replace("eu-central-1", "us-east-1"), &good),
            binding("acme", &key.replace("arn:aws:", "arn:aws-cn:"), &good),
            binding("acme", "arn:aws:kms:", &good),
            binding("acme", &key, &json!({})),
            binding("acme", &key, &json!({ "role_arn": "acme" })),
            binding("acme", &key, &json!({ "role_arn": role, "surprise": 1 })),
            binding("acme", &key, &json!({ "role_arn": role, "chain": [hop, hop, hop] })),
        ]
    }

    async fn revoke_trust(&self) {
        let role = self.tenant.role().clone();
        self.edit(Edit::TrustRemovePrincipal { role, principal: self.trusted.clone() });
    }

    async fn deny_key(&self) {
        let (key, principal) = (self.tenant.key.clone(), self.tenant.role().to_string());
        let encryption_context = BTreeMap::new();
        self.edit(Edit::KeyDeny { key, principal, actions: Vec::new(), encryption_context });
    }

    async fn set_key(&self, condition: KeyCondition) -> bool {
        let state = match condition {
            KeyCondition::Disabled => KeyState::Disabled,
            KeyCondition::PendingDeletion => KeyState::PendingDeletion,
            KeyCondition::PendingImport => KeyState::PendingImport,
            KeyCondition::StoreDown => KeyState::Unavailable,
            // Imported material that expires leaves its key pending import.
            KeyCondition::Expired => return false,
        };
        self.edit(Edit::KeyState { key: self.tenant.key.clone(), state });
        true
    }

    async fn rotate(&self) -> bool {
        self.world.aws().rotate_key(&self.tenant.key).unwrap();
        false
    }

    async fn disable_version(&self, version: &KeyVersion) {
        panic!("AWS has no versions to disable, {version} is none");
    }

    async fn throttle(&self) {
        self.inject(FaultEffect::Throttle);
    }

    async fn outage(&self, outage: Outage) {
        let error =
            |status, code: &str| FaultEffect::Error { status, code: code.to_owned(), message: String::new() };
        self.inject(match outage {
            Outage::Reset => FaultEffect::Reset,
            Outage::ServerError => error(503, "ServiceUnavailable"),
            Outage::Truncated => FaultEffect::Truncate,
            Outage::Garbled => FaultEffect::Corrupt,
            Outage::UnknownRefusal => error(403, "PolarityReversedException"),
        });
    }

    async fn expire_sessions(&self) {
        self.world.control().advance(Duration::from_secs(901));
    }

    async fn break_own_identity(&self) {
        let key = &self.world.scenario.access_key.access_key_id;
        self.world.aws().set_access_key_active(key, false).unwrap();
    }

    async fn heal(&self) {
        self.world.control().clear_faults();
        for edit in self.edits.lock().unwrap().drain(..).rev() {
            self.world.aws().undo(edit).unwrap();
        }
        let key = &self.world.scenario.access_key.access_key_id;
        self.world.aws().set_access_key_active(key, true).unwrap();
    }

    async fn calls(&self) -> Calls {
        let key_uses =
            ["Encrypt", "Decrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "DescribeKey"];
        Calls {
            assumes: self.world.calls("AssumeRole").len(),
            key_uses: key_uses.iter().map(|operation| self.world.calls(operation).len()).sum(),
        }
    }
}

fn trusting(principal: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Principal": { "AWS": principal }, "Action": "sts:AssumeRole" }],
    })
}

/// What a role needs to be of use with any key of its account.
fn any_key() -> BTreeMap<String, Value> {
    let statement = json!({ "Effect": "Allow", "Action": "kms:*", "Resource": "*" });
    BTreeMap::from([("any-key".to_owned(), json!({ "Version": "2012-10-17", "Statement": [statement] }))])
}

fn unprotected(world: &World, principal: &str) -> Binding {
    let key = new_key(world, LOOSE, json!({}));
    let role = RoleArn { account: LOOSE.parse().unwrap(), name: "open-door".to_owned() };
    put_role(world, &role, trusting(principal), any_key());
    binding("loose", &key.to_string(), &json!({ "role_arn": role.to_string() }))
}

fn own_account(world: &World, principal: &str, key: &KeyArn) -> Binding {
    let account = world.scenario.base_role.account.clone();
    let role = RoleArn { account, name: "internal".to_owned() };
    let binding = binding("thief", &key.to_string(), &json!({ "role_arn": role.to_string() }));
    put_role(world, &role, trusting(principal), any_key());
    // Protected as it should be, so that nothing but its account speaks against it.
    world.aws().trust_with_external_id(&role, principal, binding.external_id.as_str()).unwrap();
    binding
}

fn odd_keys(world: &World, principal: &str) -> (Vec<Binding>, Binding) {
    let role = RoleArn { account: ODD.parse().unwrap(), name: "odd".to_owned() };
    let specs = ["RSA_2048", "ECC_NIST_P256", "HMAC_256"];
    let unfit: Vec<_> = specs.iter().map(|spec| new_key(world, ODD, json!({ "spec": spec }))).collect();
    let missing = new_key(world, ODD, json!({}));
    world.aws().delete_key(&missing).unwrap();
    put_role(world, &role, trusting(principal), any_key());
    let of = |key: &KeyArn| binding("odd", &key.to_string(), &json!({ "role_arn": role.to_string() }));
    (unfit.iter().map(of).collect(), of(&missing))
}
