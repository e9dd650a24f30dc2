//! The simulator as the suite's fixture.

use std::sync::Mutex;

use leasehold_cloudsim::control::gcp::PolicyPlace;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::gcp::edits::{Edit, EditId};
use leasehold_cloudsim::gcp::name::{KeyName, ServiceAccountEmail};
use leasehold_cloudsim::gcp::{Purpose, VersionState};
use leasehold_cloudsim::log::CallMatch;
use leasehold_envelope::KeyVersion;
use leasehold_provider::KeyProvider;
use leasehold_provider_conformance::{Calls, Fixture, KeyCondition, Outage};
use leasehold_provider_gcp::GcpProvider;
use leasehold_secret::Arena;
use leasehold_tenant::Binding;
use serde_json::json;

use crate::binding::binding;
use crate::tenant::{Tenant, new_key};
use crate::world::World;

const TENANT: &str = "tenant-project";
const OTHER: &str = "other-project";
const LOOSE: &str = "loose-project";
const ODD: &str = "odd-project";

/// A world with tenants in all the conditions that the suite wants to see.
pub(crate) struct Levers {
    world: World,
    tenant: Tenant,
    other: Tenant,
    unprotected: Binding,
    own_account: Binding,
    unfit: Vec<Binding>,
    missing: Binding,
    /// Who the tenant's last service account trusts, as policies name it.
    trusted: String,
    edits: Mutex<Vec<EditId>>,
    /// A version whose material is missing until the cloud is healed.
    awaiting: Mutex<Option<u32>>,
}

impl Levers {
    /// The tenant is behind a chain of service accounts in the projects of `delegates`.
    pub(crate) async fn new(world: World, provider: &GcpProvider, delegates: &[&str]) -> Self {
        let tenant = Tenant::onboard_through(&world, provider, "acme", TENANT, delegates).await;
        let other = Tenant::onboard(&world, provider, "globex", OTHER).await;
        let own = provider.own_identity().await.unwrap();
        let before_last =
            tenant.accounts.iter().rev().nth(1).map(|account| format!("serviceAccount:{account}"));
        let trusted = before_last.unwrap_or_else(|| own.principal.clone());
        let unprotected = unprotected(&world, &own.principal);
        let own_account = own_account(&world, &own.principal);
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
            awaiting: Mutex::default(),
        }
    }

    fn edit(&self, edit: Edit) {
        let id = self.world.gcp().edit(edit).unwrap();
        self.edits.lock().unwrap().push(id);
    }

    fn inject(&self, effect: FaultEffect) {
        self.world.control().inject(FaultSpec { matching: CallMatch::default(), effect, count: None });
    }

    /// The version of the tenant's key that wraps now.
    fn primary(&self) -> u32 {
        let world = self.world.gcp().world();
        let keys = &world.projects[&TENANT.parse().unwrap()].keys;
        keys.iter().find(|key| key.name == self.tenant.key).unwrap().primary.unwrap()
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
        self.tenant.accounts.len()
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
        let (key, account) = (self.tenant.key.to_string(), self.tenant.account().to_string());
        let good = json!({ "service_account": account });
        vec![
            binding("acme", "acme", &good),
            binding("acme", &format!("{key}/cryptoKeyVersions/1"), &good),
            binding("acme", &format!("//cloudkms.googleapis.com/{key}"), &good),
            binding("acme", &key.replace(TENANT, "123456789012"), &good),
            binding("acme", &key.replace("keyRings", "keyrings"), &good),
            binding("acme", &key, &json!({})),
            binding("acme", &key, &json!({ "service_account": "acme" })),
            binding("acme", &key, &json!({ "service_account": "1-compute@developer.gserviceaccount.com" })),
            binding("acme", &key, &json!({ "service_account": account, "surprise": 1 })),
            binding("acme", &key, &json!({ "service_account": account, "delegates": [account] })),
        ]
    }

    async fn revoke_trust(&self) {
        let service_account = self.tenant.account().clone();
        self.edit(Edit::RemoveTokenCreator { service_account, member: self.trusted.clone() });
    }

    async fn deny_key(&self) {
        self.edit(Edit::RemoveKeyGrants { key: self.tenant.key.clone(), member: None });
    }

    async fn set_key(&self, condition: KeyCondition) -> bool {
        let key = self.tenant.key.clone();
        match condition {
            KeyCondition::Disabled => self.edit(Edit::KeyVersionsDisabled { key }),
            KeyCondition::PendingDeletion => {
                self.edit(Edit::VersionDestroyScheduled { key, version: self.primary() });
            }
            KeyCondition::PendingImport => {
                let version = self.primary();
                self.world.gcp().set_version_state(&key, version, VersionState::PendingImport).unwrap();
                *self.awaiting.lock().unwrap() = Some(version);
            }
            // Keys of Cloud KMS do not expire; only those in an external key manager can be away.
            KeyCondition::Expired | KeyCondition::StoreDown => return false,
        }
        true
    }

    async fn rotate(&self) -> bool {
        self.world.gcp().rotate_key(&self.tenant.key).unwrap();
        true
    }

    async fn disable_version(&self, version: &KeyVersion) {
        let version = version.as_str().parse().unwrap();
        self.edit(Edit::VersionDisabled { key: self.tenant.key.clone(), version });
    }

    async fn throttle(&self) {
        self.inject(FaultEffect::Throttle);
    }

    async fn outage(&self, outage: Outage) {
        let error =
            |status, code: &str| FaultEffect::Error { status, code: code.to_owned(), message: String::new() };
        self.inject(match outage {
            Outage::Reset => FaultEffect::Reset,
            Outage::ServerError => error(503, "UNAVAILABLE"),
            Outage::Truncated => FaultEffect::Truncate,
            Outage::Garbled => FaultEffect::Corrupt,
            Outage::UnknownRefusal => error(403, "POLARITY_REVERSED"),
        });
    }

    async fn expire_sessions(&self) {
        self.world.gcp().expire_tokens();
    }

    async fn break_own_identity(&self) {
        self.edit(Edit::DisableServiceAccount { service_account: self.world.scenario.base.clone() });
    }

    async fn heal(&self) {
        self.world.control().clear_faults();
        for edit in self.edits.lock().unwrap().drain(..).rev() {
            self.world.gcp().undo(edit).unwrap();
        }
        if let Some(version) = self.awaiting.lock().unwrap().take() {
            self.world.gcp().set_version_state(&self.tenant.key, version, VersionState::Enabled).unwrap();
        }
    }

    async fn calls(&self) -> Calls {
        let key_uses = ["Encrypt", "Decrypt", "GetCryptoKey"];
        let base = self.world.scenario.base.to_string();
        // One call goes through the whole chain; those for ourselves are no assumes.
        let assumes = self.world.calls("GenerateAccessToken").into_iter();
        let assumes = assumes.filter(|call| call.facts.role.as_deref() != Some(base.as_str())).map(|call| {
            let delegates = call.facts.parameters.get("delegates");
            1 + delegates.map_or(0, |delegates| delegates.split(',').count())
        });
        Calls {
            assumes: assumes.sum(),
            key_uses: key_uses.iter().map(|operation| self.world.calls(operation).len()).sum(),
        }
    }
}

/// A service account that `principal` may become, and that may use what is in `project`.
fn account(world: &World, email: &str, principal: &str, project: &str) -> ServiceAccountEmail {
    let email: ServiceAccountEmail = email.parse().unwrap();
    let project = project.parse().unwrap();
    world.gcp().put_project(&project);
    world.gcp().put_project(&email.project);
    world.gcp().put_service_account(&email).unwrap();
    let own = PolicyPlace::ServiceAccount(email.clone());
    world.gcp().grant(&own, "roles/iam.serviceAccountTokenCreator", principal).unwrap();
    for role in ["roles/cloudkms.cryptoKeyEncrypterDecrypter", "roles/cloudkms.viewer"] {
        let member = format!("serviceAccount:{email}");
        world.gcp().grant(&PolicyPlace::Project(project.clone()), role, &member).unwrap();
    }
    email
}

fn of(name: &str, key: &KeyName, account: &ServiceAccountEmail) -> Binding {
    binding(name, &key.to_string(), &json!({ "service_account": account }))
}

fn label(world: &World, key: &KeyName, binding: &Binding) {
    world.gcp().set_label(key, "leasehold-challenge", binding.external_id.as_str()).unwrap();
}

fn unprotected(world: &World, principal: &str) -> Binding {
    let account = account(world, &format!("open-door@{LOOSE}.iam.gserviceaccount.com"), principal, LOOSE);
    of("loose", &new_key(world, LOOSE, "loose", |_| ()), &account)
}

/// Protected as it should be, so that nothing but its project speaks against it.
fn own_account(world: &World, principal: &str) -> Binding {
    let ours = &world.scenario.base.project;
    let account = account(world, &format!("internal@{ours}.iam.gserviceaccount.com"), principal, LOOSE);
    let key = new_key(world, LOOSE, "labelled", |_| ());
    let binding = of("thief", &key, &account);
    label(world, &key, &binding);
    binding
}

fn odd_keys(world: &World, principal: &str) -> (Vec<Binding>, Binding) {
    let account = account(world, &format!("odd-account@{ODD}.iam.gserviceaccount.com"), principal, ODD);
    let purposes = [
        ("sign", Purpose::AsymmetricSign),
        ("decrypt", Purpose::AsymmetricDecrypt),
        ("raw", Purpose::RawEncryptDecrypt),
        ("mac", Purpose::Mac),
    ];
    let mut unfit = Vec::new();
    for (name, purpose) in purposes {
        let key = new_key(world, ODD, name, |input| input.purpose = purpose);
        let binding = of("odd", &key, &account);
        label(world, &key, &binding);
        unfit.push(binding);
    }
    let missing = new_key(world, ODD, "missing", |_| ());
    world.gcp().delete_key(&missing).unwrap();
    (unfit, of("odd", &missing, &account))
}
