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
        let (role, tags) = (document(&kit, "properties"), document(&kit, "tags"));
        if steps.contains(&Step::Consent) {
            world.azure().consent(&self.directory, &own.principal.parse().unwrap()).unwrap();
        }
        // Without a principal there is nobody to give the role to.
        if steps.contains(&Step::Role) && self.principal(world).is_some() {
            world.azure().put_role_assignment(&self.filled_in(world, &role)).unwrap();
        }
        if steps.contains(&Step::Tag) {
            for (name, value) in tags["tags"].as_object().unwrap() {
                world.azure().put_tag(&self.key, name, value.as_str().unwrap()).unwrap();
            }
        }
    }
}

impl Tenant {
    /// A document of the kit with the ids in it that the kit's commands look up.
    pub(crate) fn filled_in(&self, world: &World, document: &Value) -> Value {
        let scope = world.azure().key_scope(&self.key).unwrap();
        let (vault, _) = scope.rsplit_once("/keys/").unwrap();
        let (group, _) = vault.rsplit_once("/providers/").unwrap();
        let ids = [
            ("${PRINCIPAL_ID}", self.principal(world).unwrap_or_default()),
            ("${VAULT_ID}", vault.to_owned()),
            ("${RESOURCE_GROUP_ID}", group.to_owned()),
        ];
        let text = ids.iter().fold(document.to_string(), |text, (name, id)| text.replace(name, id));
        serde_json::from_str(&text).unwrap()
    }

    /// The object id of our service principal in the tenant's directory.
    pub(crate) fn principal(&self, world: &World) -> Option<String> {
        let directories = world.azure().world().directories;
        let directory = directories.iter().find(|directory| directory.id == self.directory)?;
        Some(directory.principals.get(&world.scenario.client_id)?.object_id.to_string())
    }
}

/// The kit's document with this member.
pub(crate) fn document(kit: &OnboardingKit, member: &str) -> Value {
    let json = kit.sections.iter().filter(|section| section.format == KitFormat::Json);
    let mut documents = json.map(|section| serde_json::from_str::<Value>(&section.body).unwrap());
    documents.find(|document| document.get(member).is_some()).unwrap()
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
    new_key_in(world, VaultSpec::in_directory(directory.clone()), name, kind, key_ops)
}

/// A key in a vault of its own, of this kind.
pub(crate) fn new_key_in(
    world: &World,
    vault_spec: VaultSpec,
    name: &str,
    kind: KeyKind,
    key_ops: Option<&[&str]>,
) -> KeyUrl {
    let vault: VaultName = format!("{name}-vault").parse().unwrap();
    world.azure().put_vault(&vault, vault_spec).unwrap();
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
