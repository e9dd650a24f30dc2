//! A simulated Google Cloud, and providers that talk to it with each of the base identities.

use std::collections::BTreeMap;

use leasehold_cloudsim::gcp::scenario::{Scenario, ScenarioSpec};
use leasehold_cloudsim::issuer::TokenAlgorithm;
use leasehold_cloudsim::log::{CallMatch, CallQuery, CallRecord};
use leasehold_cloudsim::{Config, Control, GcpControl, Simulator};
use leasehold_provider_gcp::{BaseIdentity, Endpoints, GcpConfig, GcpProvider};
use leasehold_secret::{Arena, ArenaConfig};
use serde_json::json;

/// A running simulator with the platform's project in it.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) scenario: Scenario,
    pub(crate) arena: Arena,
    /// Where credentials files are.
    directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn start() -> Self {
        let config = Config::ephemeral("eu-central-1".parse().unwrap());
        let simulator = Simulator::start(config).await.unwrap();
        let scenario = simulator.control().gcp().build(&ScenarioSpec::with_tenants(&[]).unwrap()).unwrap();
        let arena =
            Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
        Self { simulator, scenario, arena, directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn control(&self) -> Control {
        self.simulator.control()
    }

    pub(crate) fn gcp(&self) -> GcpControl {
        self.simulator.control().gcp()
    }

    /// The settings with the metadata server as our identity.
    pub(crate) fn config(&self) -> GcpConfig {
        let endpoints = self.simulator.endpoints();
        let url = || Some(endpoints.gcp.clone());
        GcpConfig {
            identity: BaseIdentity::Metadata,
            endpoints: Endpoints {
                kms: url(),
                iam_credentials: url(),
                sts: url(),
                metadata: Some(endpoints.gcp_metadata.clone()),
            },
            ..GcpConfig::default()
        }
    }

    /// The settings with workload identity federation as our identity, through the platform's service account.
    pub(crate) fn federated(&self) -> GcpConfig {
        let (subject, file) =
            (self.directory.path().join("subject"), self.directory.path().join("credentials.json"));
        let audience = format!("//iam.googleapis.com/{}", self.scenario.provider);
        let now = self.control().clock().now().unix_seconds();
        let claims = BTreeMap::from([
            ("sub".to_owned(), json!(self.scenario.subject)),
            ("aud".to_owned(), json!(audience)),
            ("exp".to_owned(), json!(now + 12 * 3600)),
        ]);
        let token = self.gcp().mint_token(&self.scenario.issuer, TokenAlgorithm::RS256, claims).unwrap();
        std::fs::write(&subject, token).unwrap();
        let credentials = json!({
            "type": "external_account",
            "audience": audience,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": { "file": subject },
            "service_account_impersonation_url": format!(
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{}:generateAccessToken",
                self.scenario.base
            ),
        });
        std::fs::write(&file, credentials.to_string()).unwrap();
        GcpConfig { identity: BaseIdentity::WorkloadIdentityFederation { file }, ..self.config() }
    }

    pub(crate) async fn provider(&self) -> GcpProvider {
        self.provider_of(self.config()).await
    }

    pub(crate) async fn provider_of(&self, config: GcpConfig) -> GcpProvider {
        GcpProvider::build(config, self.arena.clone()).await.unwrap()
    }

    /// The calls of one operation so far.
    pub(crate) fn calls(&self, operation: &str) -> Vec<CallRecord> {
        let matching = CallMatch { operation: Some(operation.to_owned()), ..CallMatch::default() };
        self.control().calls(&CallQuery { matching, ..CallQuery::default() })
    }
}
