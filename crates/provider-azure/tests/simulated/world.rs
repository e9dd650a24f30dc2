//! A simulated Azure, and a provider that talks to it as the platform's application.

use std::path::PathBuf;
use std::time::SystemTime;

use leasehold_cloudsim::azure::scenario::{Scenario, ScenarioSpec};
use leasehold_cloudsim::log::{CallMatch, CallQuery, CallRecord};
use leasehold_cloudsim::{AzureControl, Config, Control, Simulator};
use leasehold_envelope::{EncryptionContext, HeaderDigest, Hierarchy, Purpose};
use leasehold_ids::BindingName;
use leasehold_provider::WrapContext;
use leasehold_provider_azure::{AzureConfig, AzureProvider, Endpoints, Identity};
use leasehold_secret::{Arena, ArenaConfig};
use leasehold_tenant::{Binding, CloudSettings, ExternalId, NewBinding};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

/// A running simulator with the platform's directory and application in it, and files that show who we are.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) scenario: Scenario,
    pub(crate) arena: Arena,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let simulator = Simulator::start(Config::ephemeral("eu-central-1".parse().unwrap())).await.unwrap();
        let scenario = simulator.control().azure().build(&ScenarioSpec::with_tenants(&[]).unwrap()).unwrap();
        let arena =
            Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
        let world = Self { simulator, scenario, arena, folder: tempfile::tempdir().unwrap() };
        std::fs::write(world.file("ca.pem"), &world.simulator.endpoints().azure_ca).unwrap();
        std::fs::write(world.file("secret"), format!("{}\n", world.scenario.client_secret.expose())).unwrap();
        world
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn control(&self) -> Control {
        self.simulator.control()
    }

    pub(crate) fn azure(&self) -> AzureControl {
        self.simulator.control().azure()
    }

    pub(crate) fn secret(&self) -> Identity {
        Identity::Secret { file: self.file("secret") }
    }

    /// A certificate in files, which `certify` registers.
    pub(crate) fn certificate(&self) -> Identity {
        Identity::Certificate { certificate_file: self.file("app.pem"), key_file: self.file("app.key") }
    }

    /// Writes a new certificate and its key; gives the certificate.
    pub(crate) fn write_certificate(&self) -> String {
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let parameters = CertificateParams::new(vec!["leasehold.example".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&pair).unwrap().pem();
        std::fs::write(self.file("app.pem"), &certificate).unwrap();
        std::fs::write(self.file("app.key"), pair.serialize_pem()).unwrap();
        certificate
    }

    pub(crate) fn config(&self, identity: Identity) -> AzureConfig {
        let endpoints = self.simulator.endpoints();
        let (client, home) = (self.scenario.client_id.to_string(), self.scenario.directory.to_string());
        AzureConfig {
            identity,
            endpoints: Endpoints {
                entra: Some(endpoints.azure.clone()),
                key_vault: Some(endpoints.azure.clone()),
                managed_identity: Some(endpoints.azure_identity.clone()),
            },
            extra_root_cas: vec![self.file("ca.pem")],
            ..AzureConfig::new(client.parse().unwrap(), home.parse().unwrap())
        }
    }

    pub(crate) async fn provider(&self) -> AzureProvider {
        self.provider_as(self.secret()).await
    }

    pub(crate) async fn provider_as(&self, identity: Identity) -> AzureProvider {
        AzureProvider::build(self.config(identity), self.arena.clone()).await.unwrap()
    }

    /// The calls of one operation so far; tokens are Entra's.
    pub(crate) fn calls(&self, operation: &str) -> Vec<CallRecord> {
        let service = if operation == "Token" { "entra" } else { "key_vault" };
        self.calls_of(service, operation)
    }

    pub(crate) fn calls_of(&self, service: &str, operation: &str) -> Vec<CallRecord> {
        let (service, operation) = (Some(service.to_owned()), Some(operation.to_owned()));
        let matching = CallMatch { service, operation, ..CallMatch::default() };
        self.control().calls(&CallQuery { matching, ..CallQuery::default() })
    }
}

/// A binding of `tenant` to this key, in this directory.
pub(crate) fn binding_in(tenant: &str, key: &str, directory: impl ToString) -> Binding {
    binding(tenant, key, &json!({ "directory_id": directory.to_string() }))
}

/// A binding of `tenant` with this key and these settings.
pub(crate) fn binding(tenant: &str, key: &str, settings: &Value) -> Binding {
    let name = BindingName::new(tenant.parse().unwrap(), "main".parse().unwrap());
    let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
    let new = NewBinding {
        provider: "azure".parse().unwrap(),
        key: key.parse().unwrap(),
        settings: CloudSettings(settings.as_object().unwrap().clone()),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    Binding::pending(name, new, external_id, SystemTime::UNIX_EPOCH)
}

/// What the tests here wrap for.
pub(crate) fn bound() -> (HeaderDigest, EncryptionContext) {
    (HeaderDigest::from_bytes([0; 32]), EncryptionContext::try_from_iter([("project", "p")]).unwrap())
}

pub(crate) fn dek<'a>((header, context): &'a (HeaderDigest, EncryptionContext)) -> WrapContext<'a> {
    WrapContext { purpose: Purpose::Dek, header, context }
}
