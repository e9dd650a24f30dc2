//! Azure: a directory that consented to our application, and a key in a vault that it may use.

use leasehold::config::Providers;
use leasehold_cloudsim::azure::scenario::{Scenario, ScenarioSpec, Tenant};
use leasehold_cloudsim::tenants::{Cloud, TenantsControl};
use leasehold_cloudsim::{AzureControl, Endpoints as SimulatorEndpoints, Simulator};
use leasehold_provider_azure::{AzureConfig, Endpoints};

use super::Estate;

/// Azure with a platform's directory, and a directory for each tenant.
pub(crate) struct Azure {
    pub(crate) scenario: Scenario,
    control: AzureControl,
    tenants: TenantsControl,
    endpoints: SimulatorEndpoints,
    /// Where the certificate authority of the simulated cloud is kept.
    directory: tempfile::TempDir,
}

impl Azure {
    pub(crate) fn build(simulator: &Simulator, tenants: &[&str]) -> Self {
        let spec = ScenarioSpec::with_tenants(tenants).unwrap();
        let control = simulator.control().azure();
        let scenario = control.build(&spec).unwrap();
        let (endpoints, directory) = (simulator.endpoints().clone(), tempfile::tempdir().unwrap());
        std::fs::write(directory.path().join("ca.pem"), &endpoints.azure_ca).unwrap();
        Self { scenario, control, tenants: simulator.control().tenants(), endpoints, directory }
    }

    pub(crate) fn tenant(&self, name: &str) -> &Tenant {
        self.scenario.tenants.iter().find(|tenant| tenant.name == name).unwrap()
    }

    pub(crate) fn control(&self) -> &AzureControl {
        &self.control
    }

    fn authority(&self) -> std::path::PathBuf {
        self.directory.path().join("ca.pem")
    }
}

impl Estate for Azure {
    fn cloud(&self) -> Cloud {
        Cloud::Azure
    }

    fn tenants(&self) -> &TenantsControl {
        &self.tenants
    }

    fn configure(&self, providers: &mut Providers) {
        let client_id = self.scenario.client_id.to_string().parse().unwrap();
        let directory_id = self.scenario.directory.to_string().parse().unwrap();
        providers.azure = Some(AzureConfig {
            endpoints: Endpoints {
                entra: Some(self.endpoints.azure.clone()),
                key_vault: Some(self.endpoints.azure.clone()),
                managed_identity: Some(self.endpoints.azure_identity.clone()),
            },
            extra_root_cas: vec![self.authority()],
            ..AzureConfig::new(client_id, directory_id)
        });
    }

    fn environment(&self) -> Vec<(String, String)> {
        let settings = [
            ("CLIENT_ID", self.scenario.client_id.to_string()),
            ("DIRECTORY_ID", self.scenario.directory.to_string()),
            ("ENDPOINTS__ENTRA", self.endpoints.azure.clone()),
            ("ENDPOINTS__KEY_VAULT", self.endpoints.azure.clone()),
            ("ENDPOINTS__MANAGED_IDENTITY", self.endpoints.azure_identity.clone()),
            ("EXTRA_ROOT_CAS", format!("[{:?}]", self.authority())),
        ];
        settings.map(|(name, value)| (format!("LEASEHOLD__PROVIDERS__AZURE__{name}"), value)).into()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.scenario.client_secret.expose().to_owned()]
    }
}
