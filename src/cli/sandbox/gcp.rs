//! Google Cloud in a sandbox: the service is the service account of a machine; a tenant is a service account and a key.

use leasehold_client::api::v1;
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::gcp::scenario::ScenarioSpec;
use leasehold_cloudsim::tenants::Tenant;
use leasehold_provider_gcp::{BaseIdentity, Endpoints, GcpConfig};
use serde_json::Value;

use crate::cli::Failure;
use crate::config::Providers;

/// Makes the tenants, and lets the service get there.
pub(super) fn build(
    simulator: &Simulator,
    tenants: &[&str],
    providers: &mut Providers,
) -> Result<Value, Failure> {
    let scenario = simulator.control().gcp().build(&ScenarioSpec::with_tenants(tenants)?)?;
    let (url, metadata) = (simulator.endpoints().gcp.clone(), simulator.endpoints().gcp_metadata.clone());
    providers.gcp = Some(GcpConfig {
        identity: BaseIdentity::Metadata,
        endpoints: Endpoints {
            kms: Some(url.clone()),
            iam_credentials: Some(url.clone()),
            sts: Some(url),
            metadata: Some(metadata),
        },
        ..GcpConfig::default()
    });
    Ok(serde_json::to_value(scenario)?)
}

pub(super) fn handed_over(tenant: &Tenant) -> v1::binding::Cloud {
    v1::binding::Cloud::Gcp(v1::GcpBinding {
        kms_key_name: tenant.key.clone(),
        service_account: tenant.principal.clone(),
        delegates: Vec::new(),
    })
}
