//! A tenant who does what the onboarding kit says, and nothing else.

use std::collections::BTreeMap;

use leasehold_cloudsim::GcpControl;
use leasehold_cloudsim::control::gcp::{KeyInput, PolicyPlace};
use leasehold_cloudsim::gcp::name::{KeyName, ServiceAccountEmail};
use leasehold_provider::{KeyProvider, KitFormat, KitRequest, KitSection, OnboardingKit, OwnIdentity};
use leasehold_provider_gcp::GcpProvider;
use leasehold_tenant::Binding;
use serde_json::{Value, json};

use crate::binding::binding;
use crate::world::World;

/// A tenant with a key, and the service accounts of a chain that ends in their own.
pub(crate) struct Tenant {
    pub(crate) binding: Binding,
    pub(crate) key: KeyName,
    /// In the order of the chain.
    pub(crate) accounts: Vec<ServiceAccountEmail>,
}

impl Tenant {
    /// A tenant whose only service account is their own.
    pub(crate) async fn onboard(world: &World, provider: &GcpProvider, name: &str, project: &str) -> Self {
        Self::onboard_through(world, provider, name, project, &[]).await
    }

    /// A tenant behind a chain of service accounts in these projects.
    pub(crate) async fn onboard_through(
        world: &World,
        provider: &GcpProvider,
        name: &str,
        project: &str,
        delegates: &[&str],
    ) -> Self {
        let tenant = Self::bare(world, name, project, delegates);
        for section in documents(&tenant.kit(provider).await) {
            paste(&world.gcp(), &section);
        }
        tenant
    }

    /// A tenant who has a key and service accounts, and has let nobody in.
    pub(crate) fn bare(world: &World, name: &str, project: &str, delegates: &[&str]) -> Self {
        let account = |name: String, project: &str| {
            world.gcp().put_project(&project.parse().unwrap());
            let email: ServiceAccountEmail =
                format!("{name}@{project}.iam.gserviceaccount.com").parse().unwrap();
            world.gcp().put_service_account(&email).unwrap();
            email
        };
        let delegate = |(index, project): (usize, &&str)| account(format!("delegate-{index}"), project);
        let mut accounts: Vec<_> = delegates.iter().enumerate().map(delegate).collect();
        let settings_delegates: Vec<_> = accounts.iter().map(ToString::to_string).collect();
        let own = account(format!("{name}-leasehold"), project);
        let key = new_key(world, project, name, |_| ());
        let settings = json!({ "service_account": own, "delegates": settings_delegates });
        accounts.push(own);
        Self { binding: binding(name, &key.to_string(), &settings), key, accounts }
    }

    /// The service account that uses the key.
    pub(crate) fn account(&self) -> &ServiceAccountEmail {
        self.accounts.last().unwrap()
    }

    pub(crate) async fn kit(&self, provider: &GcpProvider) -> OnboardingKit {
        let own = provider.own_identity().await.unwrap();
        provider.onboarding_kit(&kit_request(&self.binding, &own)).unwrap()
    }
}

/// The documents of a kit, in the order in which to paste them.
pub(crate) fn documents(kit: &OnboardingKit) -> Vec<KitSection> {
    kit.sections.iter().filter(|section| section.format == KitFormat::Json).cloned().collect()
}

/// Does what one document's title says, with the document as it stands.
pub(crate) fn paste(gcp: &GcpControl, section: &KitSection) {
    let body: Value = serde_json::from_str(&section.body).unwrap();
    let named = section.title.rsplit(' ').next().unwrap();
    if section.title.starts_with("Custom role ") {
        gcp.put_custom_role(&named.parse().unwrap(), body).unwrap();
    } else if section.title.contains("policy of the service account") {
        gcp.set_policy(&PolicyPlace::ServiceAccount(named.parse().unwrap()), &body).unwrap();
    } else if section.title.contains("policy of the key") {
        gcp.set_policy(&PolicyPlace::Key(named.parse().unwrap()), &body).unwrap();
    } else if section.title.starts_with("Label of the key") {
        let labels: BTreeMap<String, String> = serde_json::from_value(body["labels"].clone()).unwrap();
        gcp.set_labels(&named.parse().unwrap(), labels).unwrap();
    } else {
        panic!("what to do with {}?", section.title);
    }
}

/// A key of `project`; `change` says what is special about it.
pub(crate) fn new_key(
    world: &World,
    project: &str,
    name: &str,
    change: impl FnOnce(&mut KeyInput),
) -> KeyName {
    world.gcp().put_project(&project.parse().unwrap());
    let key: KeyName =
        format!("projects/{project}/locations/europe-west3/keyRings/leasehold/cryptoKeys/{name}")
            .parse()
            .unwrap();
    let mut input = KeyInput::new(key.clone());
    change(&mut input);
    world.gcp().create_key(input).unwrap();
    key
}

/// A kit for the default bound.
pub(crate) fn kit_request<'a>(binding: &'a Binding, own: &'a OwnIdentity) -> KitRequest<'a> {
    let revocation_bound = std::time::Duration::from_secs(300);
    KitRequest { binding, own, revocation_bound, proofs_per_month: 19_200 }
}
