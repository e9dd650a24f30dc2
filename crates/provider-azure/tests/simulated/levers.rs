//! The simulator's levers, as the conformance suite pulls them.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_cloudsim::azure::KeyKind;
use leasehold_cloudsim::azure::edits::{Edit, EditId};
use leasehold_cloudsim::azure::ids::DirectoryId;
use leasehold_cloudsim::control::azure::model::CertificateSpec;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallMatch;
use leasehold_envelope::KeyVersion;
use leasehold_provider_azure::AzureProvider;
use leasehold_provider_conformance::{Calls, Fixture, KeyCondition, Outage};
use leasehold_secret::Arena;
use leasehold_tenant::Binding;
use serde_json::json;

use crate::tenant::{Step, Tenant, new_key, put_directory};
use crate::world::{World, binding, binding_in};

/// What shows who we are in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Secret,
    Certificate,
    ManagedIdentity,
}

pub(crate) struct Levers {
    world: World,
    shown: Shown,
    tenant: Tenant,
    other: Binding,
    unprotected: Binding,
    own_account: Binding,
    unfit: Vec<Binding>,
    missing: Binding,
    edits: Mutex<Vec<EditId>>,
}

impl Levers {
    pub(crate) async fn new(world: World, provider: &AzureProvider, shown: Shown) -> Self {
        let tenant = Tenant::onboard(&world, provider, "acme", 1).await;
        let other = Tenant::onboard(&world, provider, "other", 2).await.binding;
        let unprotected = Tenant::new(&world, "loose", 3);
        unprotected.paste(&world, provider, &[Step::Consent, Step::Role]).await;
        let own_account = own_account(&world, provider).await;
        let mut unfit = Vec::new();
        let odd = [
            (KeyKind::Ec, None),
            (KeyKind::Rsa, Some(["sign", "verify"].as_slice())),
            (KeyKind::Rsa, Some(&["wrapKey"])),
        ];
        for (number, (kind, ops)) in (4..).zip(odd) {
            unfit.push(odd_key(&world, provider, number, kind, ops).await);
        }
        let gone = Tenant::onboard(&world, provider, "gone", 8).await;
        world.azure().delete_key(&gone.key).unwrap();
        let edits = Mutex::default();
        Self {
            world,
            shown,
            tenant,
            other,
            unprotected: unprotected.binding,
            own_account,
            unfit,
            missing: gone.binding,
            edits,
        }
    }

    fn edit(&self, edit: Edit) {
        let id = self.world.azure().edit(edit).unwrap();
        self.edits.lock().unwrap().push(id);
    }

    fn inject(&self, effect: FaultEffect) {
        self.world.control().inject(FaultSpec { matching: CallMatch::default(), effect, count: None });
    }
}

#[async_trait]
impl Fixture for Levers {
    fn arena(&self) -> &Arena {
        &self.world.arena
    }

    fn binding(&self) -> Binding {
        self.tenant.binding.clone()
    }

    fn other_binding(&self) -> Binding {
        self.other.clone()
    }

    fn hops(&self) -> usize {
        1
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
        let (key, directory) = (self.tenant.key.to_string(), self.tenant.directory.to_string());
        let good = json!({ "directory_id": directory });
        vec![
            binding("acme", "main", &good),
            binding("acme", &key.replace("https://", "http://"), &good),
            binding("acme", &key.replace("vault.azure.net", "vault.azure.net.evil.example"), &good),
            binding("acme", &key.replace("vault.azure.net", "vault.azure.cn"), &good),
            binding("acme", &key.replace("/keys/", "/secrets/"), &good),
            binding("acme", &format!("{key}/0123456789abcdef0123456789abcdef"), &good),
            binding("acme", &key, &json!({})),
            binding("acme", &key, &json!({ "directory_id": "common" })),
            binding("acme", &key, &json!({ "directory_id": "acme.onmicrosoft.com" })),
            binding("acme", &key, &json!({ "directory_id": directory, "surprise": 1 })),
        ]
    }

    async fn revoke_trust(&self) {
        let (directory, app) = (self.tenant.directory.clone(), self.world.scenario.client_id.clone());
        self.edit(Edit::DisableServicePrincipal { directory, app });
    }

    async fn deny_key(&self) {
        let (directory, app) = (self.tenant.directory.clone(), self.world.scenario.client_id.clone());
        self.edit(Edit::RemoveRoleAssignments { directory, app });
    }

    async fn set_key(&self, condition: KeyCondition) -> bool {
        match condition {
            KeyCondition::Disabled => self.edit(Edit::KeyDisabled { key: self.tenant.key.clone() }),
            // A deleted key is answered for like one that never was; an expired one goes on unwrapping; the vault is its
            // own store. Tests of their own show the first two.
            KeyCondition::PendingDeletion
            | KeyCondition::Expired
            | KeyCondition::PendingImport
            | KeyCondition::StoreDown => return false,
        }
        true
    }

    async fn rotate(&self) -> bool {
        self.world.azure().rotate_key(&self.tenant.key).unwrap();
        true
    }

    async fn disable_version(&self, version: &KeyVersion) {
        let version = version.as_str().to_owned();
        self.edit(Edit::KeyVersionDisabled { key: self.tenant.key.clone(), version });
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
            Outage::UnknownRefusal => error(403, "PolarityReversed"),
        });
    }

    async fn expire_sessions(&self) {
        // Tokens for vaults last an hour; those of the platform's identity for a day.
        self.world.control().advance(Duration::from_secs(3600));
    }

    async fn break_own_identity(&self) {
        let app = &self.world.scenario.client_id;
        match self.shown {
            Shown::Secret => self.edit(Edit::ExpireSecret { app: app.clone() }),
            Shown::Certificate => drop(self.world.write_certificate()),
            Shown::ManagedIdentity => {
                self.world.azure().remove_federated_credential(app, "managed-identity").unwrap();
            }
        }
    }

    async fn heal(&self) {
        self.world.control().clear_faults();
        for edit in self.edits.lock().unwrap().drain(..).rev() {
            self.world.azure().undo(edit).unwrap();
        }
        match self.shown {
            Shown::Secret => {}
            Shown::Certificate => self.world.certify(),
            Shown::ManagedIdentity => self.world.federate("managed-identity"),
        }
    }

    async fn calls(&self) -> Calls {
        let key_uses = ["GetKey", "WrapKey", "UnwrapKey"];
        Calls {
            assumes: self.world.calls("Token").len(),
            key_uses: key_uses.iter().map(|operation| self.world.calls(operation).len()).sum(),
        }
    }
}

/// A key in the directory that we live in, with all that the kit asks for, so that nothing else speaks against it.
async fn own_account(world: &World, provider: &AzureProvider) -> Binding {
    let directory = world.scenario.directory.clone();
    let key = new_key(world, &directory, "own", KeyKind::Rsa, None);
    let binding = binding_in("thief", &key.to_string(), &directory);
    let tenant = Tenant { binding: binding.clone(), directory, key };
    tenant.paste(world, provider, &Step::ALL).await;
    binding
}

async fn odd_key(
    world: &World,
    provider: &AzureProvider,
    number: u32,
    kind: KeyKind,
    ops: Option<&[&str]>,
) -> Binding {
    let directory: DirectoryId = format!("20000000-0000-4000-8000-{number:012}").parse().unwrap();
    let name = format!("odd{number}");
    put_directory(world, &directory, &name);
    let key = new_key(world, &directory, &name, kind, ops);
    let binding = binding_in(&name, &key.to_string(), &directory);
    let tenant = Tenant { binding: binding.clone(), directory, key };
    tenant.paste(world, provider, &Step::ALL).await;
    binding
}

impl World {
    /// Writes a new certificate and registers it.
    pub(crate) fn certify(&self) {
        let spec = CertificateSpec { pem: self.write_certificate(), expires_in_seconds: None };
        self.azure().add_certificate(&self.scenario.client_id, &spec).unwrap();
    }
}
