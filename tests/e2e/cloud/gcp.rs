//! Google Cloud: a service account that ours may become, and a Cloud KMS key that it may use.

use leasehold::config::Providers;
use leasehold_cloudsim::gcp::scenario::{Scenario, ScenarioSpec, Tenant};
use leasehold_cloudsim::tenants::{Cloud, TenantsControl};
use leasehold_cloudsim::{Endpoints as SimulatorEndpoints, GcpControl, Simulator};
use leasehold_provider_gcp::{BaseIdentity, Endpoints, GcpConfig};

use super::Estate;

/// Google Cloud with a platform's project, and a project for each tenant.
pub(crate) struct Gcp {
    pub(crate) scenario: Scenario,
    control: GcpControl,
    tenants: TenantsControl,
    endpoints: SimulatorEndpoints,
}

impl Gcp {
    pub(crate) fn build(simulator: &Simulator, tenants: &[&str]) -> Self {
        let spec = ScenarioSpec::with_tenants(tenants).unwrap();
        let control = simulator.control().gcp();
        let scenario = control.build(&spec).unwrap();
        let (tenants, endpoints) = (simulator.control().tenants(), simulator.endpoints().clone());
        Self { scenario, control, tenants, endpoints }
    }

    pub(crate) fn tenant(&self, name: &str) -> &Tenant {
        self.scenario.tenants.iter().find(|tenant| tenant.name == name).unwrap()
    }

    pub(crate) fn control(&self) -> &GcpControl {
        &self.control
    }
}

impl Estate for Gcp {
    fn cloud(&self) -> Cloud {
        Cloud::Gcp
    }

    fn tenants(&self) -> &TenantsControl {
        &self.tenants
    }

    fn configure(&self, providers: &mut Providers) {
        let url = || Some(self.endpoints.gcp.clone());
        providers.gcp = Some(GcpConfig {
            identity: BaseIdentity::Metadata,
            endpoints: Endpoints {
                kms: url(),
                iam_credentials: url(),
                sts: url(),
                metadata: Some(self.endpoints.gcp_metadata.clone()),
            },
            ..GcpConfig::default()
        });
    }

    fn environment(&self) -> Vec<(String, String)> {
        let url = || self.endpoints.gcp.clone();
        let settings = [
            ("IDENTITY", "metadata".to_owned()),
            ("ENDPOINTS__KMS", url()),
            ("ENDPOINTS__IAM_CREDENTIALS", url()),
            ("ENDPOINTS__STS", url()),
            ("ENDPOINTS__METADATA", self.endpoints.gcp_metadata.clone()),
        ];
        settings.map(|(name, value)| (format!("LEASEHOLD__PROVIDERS__GCP__{name}"), value)).into()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.scenario.service_account_key.expose().to_owned()]
    }
}
