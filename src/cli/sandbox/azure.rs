//! Azure in a sandbox: the service is an application that a machine's managed identity vouches for; a tenant is a directory and
//! a key.

use std::path::Path;

use leasehold_client::api::v1;
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::azure::scenario::ScenarioSpec;
use leasehold_cloudsim::tenants::Tenant;
use leasehold_provider_azure::{AzureConfig, Endpoints};
use serde_json::Value;

use crate::cli::Failure;
use crate::config::Providers;

/// Makes the tenants, and lets the service get there. The certificate authority of the simulated cloud goes to `directory`.
pub(super) fn build(
    simulator: &Simulator,
    tenants: &[&str],
    directory: &Path,
    providers: &mut Providers,
) -> Result<Value, Failure> {
    let scenario = simulator.control().azure().build(&ScenarioSpec::with_tenants(tenants)?)?;
    let endpoints = simulator.endpoints();
    let authority = directory.join("azure-ca.pem");
    std::fs::write(&authority, &endpoints.azure_ca)?;
    let (client_id, directory_id) =
        (scenario.client_id.to_string().parse()?, scenario.directory.to_string().parse()?);
    providers.azure = Some(AzureConfig {
        endpoints: Endpoints {
            entra: Some(endpoints.azure.clone()),
            key_vault: Some(endpoints.azure.clone()),
            managed_identity: Some(endpoints.azure_identity.clone()),
        },
        extra_root_cas: vec![authority],
        ..AzureConfig::new(client_id, directory_id)
    });
    Ok(serde_json::to_value(scenario)?)
}

pub(super) fn handed_over(tenant: &Tenant) -> v1::binding::Cloud {
    v1::binding::Cloud::Azure(v1::AzureBinding {
        key_url: tenant.key.clone(),
        directory_id: tenant.principal.clone(),
    })
}
