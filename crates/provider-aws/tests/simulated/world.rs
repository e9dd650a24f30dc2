//! A simulated AWS, and a provider that talks to it as a user of the platform's account.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use leasehold_cloudsim::aws::scenario::{Scenario, ScenarioSpec};
use leasehold_cloudsim::log::{CallMatch, CallQuery, CallRecord};
use leasehold_cloudsim::{AwsControl, Config, Control, Simulator};
use leasehold_envelope::{EncryptionContext, Hierarchy};
use leasehold_ids::BindingName;
use leasehold_provider_aws::{AwsConfig, AwsProvider, BaseIdentity, Endpoints};
use leasehold_secret::{Arena, ArenaConfig};
use leasehold_tenant::{Binding, CloudSettings, ExternalId, NewBinding};
use serde_json::Value;

pub(crate) const REGION: &str = "eu-central-1";

/// A running simulator with the platform's account in it.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) scenario: Scenario,
    pub(crate) arena: Arena,
}

impl World {
    pub(crate) async fn start() -> Self {
        let simulator = Simulator::start(Config::ephemeral(REGION.parse().unwrap())).await.unwrap();
        let scenario = simulator.control().aws().build(&ScenarioSpec::with_tenants(&[]).unwrap()).unwrap();
        let arena =
            Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
        Self { simulator, scenario, arena }
    }

    pub(crate) fn control(&self) -> Control {
        self.simulator.control()
    }

    pub(crate) fn aws(&self) -> AwsControl {
        self.simulator.control().aws()
    }

    /// The platform's static credentials.
    pub(crate) fn base(&self) -> Credentials {
        let key = &self.scenario.access_key;
        Credentials::new(key.access_key_id.as_str(), key.secret_access_key.expose(), None, None, "test")
    }

    pub(crate) fn config(&self) -> AwsConfig {
        let (url, key) = (self.simulator.endpoints().aws.clone(), &self.scenario.access_key);
        AwsConfig {
            region: Some(REGION.parse().unwrap()),
            endpoints: Endpoints { sts: Some(url.clone()), kms: Some(url) },
            base: BaseIdentity::fixed(key.access_key_id.as_str(), key.secret_access_key.expose()),
            ..AwsConfig::default()
        }
    }

    pub(crate) async fn provider(&self) -> AwsProvider {
        AwsProvider::build(self.config(), self.arena.clone()).await.unwrap()
    }

    /// The calls of one operation so far.
    pub(crate) fn calls(&self, operation: &str) -> Vec<CallRecord> {
        let matching = CallMatch { operation: Some(operation.to_owned()), ..CallMatch::default() };
        self.control().calls(&CallQuery { matching, ..CallQuery::default() })
    }
}

/// A binding of `tenant` with this key and these settings.
pub(crate) fn binding(tenant: &str, key: &str, settings: &Value) -> Binding {
    let name = BindingName::new(tenant.parse().unwrap(), "main".parse().unwrap());
    let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
    let new = NewBinding {
        provider: "aws".parse().unwrap(),
        key: key.parse().unwrap(),
        settings: CloudSettings(settings.as_object().unwrap().clone()),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    Binding::pending(name, new, external_id, SystemTime::UNIX_EPOCH)
}
