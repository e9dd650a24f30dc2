//! A tenant who does what the onboarding kit says, and nothing else.

use leasehold_cloudsim::azure::KeyKind;
use leasehold_cloudsim::azure::ids::{DirectoryId, KeyUrl, VaultName};
use leasehold_cloudsim::control::azure::model::{DirectorySpec, KeySpec, VaultSpec};
use leasehold_provider::{KeyProvider, KitFormat, KitRequest, OnboardingKit, OwnIdentity};
use leasehold_provider_azure::AzureProvider;
use leasehold_tenant::Binding;
use serde_json::Value;

use crate::world::{World, binding_in};

/// A tenant with a directory, a vault and a key.
pub(crate) struct Tenant {
    pub(crate) binding: Binding,
    pub(crate) directory: DirectoryId,
    pub(crate) key: KeyUrl,
}

/// One of the things that a kit asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Consent,
    Role,
    Tag,
}

impl Step {
    pub(crate) const ALL: [Self; 3] = [Self::Consent, Self::Role, Self::Tag];
}

impl Tenant {
    /// A tenant who did all that the kit asks for. `number` tells directories apart.
    pub(crate) async fn onboard(world: &World, provider: &AzureProvider, name: &str, number: u32) -> Self {
        let tenant = Self::new(world, name, number);
        tenant.paste(world, provider, &Step::ALL).await;
        tenant
    }

    /// A tenant who did nothing yet.
    pub(crate) fn new(world: &World, name: &str, number: u32) -> Self {
        let directory: DirectoryId = format!("20000000-0000-4000-8000-{number:012}").parse().unwrap();
        put_directory(world, &directory, name);
        let key = new_key(world, &directory, name, KeyKind::Rsa, None);
        Self { binding: binding_in(name, &key.to_string(), &directory), directory, key }
    }

    /// Does these steps of the kit for the tenant's binding.
    pub(crate) async fn paste(&self, world: &World, provider: &AzureProvider, steps: &[Step]) {
        let own = provider.own_identity().await.unwrap();
        let kit = provider.onboarding_kit(&kit_request(&self.binding, &own)).unwrap();
        let [role, tags] = documents(&kit);
        if steps.contains(&Step::Consent) {
            world.azure().consent(&self.directory, &own.principal.parse().unwrap()).unwrap();
        }
        let principal = self.principal(world);
        if let Some(principal) = principal.filter(|_| steps.contains(&Step::Role)) {
            // The two ids that the kit's commands look up. Without a principal there is nobody to give the role to.
            let scope = world.azure().key_scope(&self.key).unwrap();
            let (vault, _) = scope.rsplit_once("/keys/").unwrap();
            let text = role.to_string().replace("${PRINCIPAL_ID}", &principal).replace("${VAULT_ID}", vault);
            world.azure().put_role_assignment(&serde_json::from_str(&text).unwrap()).unwrap();
        }
        if steps.contains(&Step::Tag) {
            for (name, value) in tags["tags"].as_object().unwrap() {
                world.azure().put_tag(&self.key, name, value.as_str().unwrap()).unwrap();
            }
        }
    }
}

impl Tenant {
    /// The object id of our service principal in the tenant's directory.
    pub(crate) fn principal(&self, world: &World) -> Option<String> {
        let directories = world.azure().world().directories;
        let directory = directories.iter().find(|directory| directory.id == self.directory)?;
        Some(directory.principals.get(&world.scenario.client_id)?.object_id.to_string())
    }
}

/// The two documents of a kit: role assignment and tags.
fn documents(kit: &OnboardingKit) -> [Value; 2] {
    let json = kit.sections.iter().filter(|section| section.format == KitFormat::Json);
    let documents: Vec<Value> = json.map(|section| serde_json::from_str(&section.body).unwrap()).collect();
    documents.try_into().unwrap()
}

pub(crate) fn put_directory(world: &World, id: &DirectoryId, name: &str) {
    let spec = DirectorySpec {
        name: name.to_owned(),
        domains: Vec::new(),
        cloud: leasehold_cloudsim::azure::Cloud::Public,
        subscription: None,
    };
    world.azure().put_directory(id, spec).unwrap();
}

/// A key in a vault of its own.
pub(crate) fn new_key(
    world: &World,
    directory: &DirectoryId,
    name: &str,
    kind: KeyKind,
    key_ops: Option<&[&str]>,
) -> KeyUrl {
    let vault: VaultName = format!("{name}-vault").parse().unwrap();
    world.azure().put_vault(&vault, VaultSpec::in_directory(directory.clone())).unwrap();
    let spec = KeySpec {
        vault,
        name: "main".to_owned(),
        kind,
        key_size: 2048,
        key_ops: key_ops.map(|ops| ops.iter().map(|op| (*op).to_owned()).collect()),
        tags: std::collections::BTreeMap::from([("owner".to_owned(), "ops".to_owned())]),
    };
    world.azure().create_key(spec).unwrap()
}

/// A kit for the default bound.
pub(crate) fn kit_request<'a>(binding: &'a Binding, own: &'a OwnIdentity) -> KitRequest<'a> {
    let revocation_bound = std::time::Duration::from_secs(300);
    KitRequest { binding, own, revocation_bound, proofs_per_month: 20_000 }
}
