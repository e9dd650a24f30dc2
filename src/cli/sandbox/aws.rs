//! AWS in a sandbox: the service is a user with an access key; a tenant is a role and a key.

use leasehold_client::api::v1;
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::aws::scenario::ScenarioSpec;
use leasehold_cloudsim::tenants::Tenant;
use leasehold_provider_aws::{AwsConfig, BaseIdentity, Endpoints, Region};
use serde_json::Value;

use crate::cli::Failure;
use crate::config::Providers;

/// Makes the tenants, and lets the service get there.
pub(super) fn build(
    simulator: &Simulator,
    tenants: &[&str],
    providers: &mut Providers,
) -> Result<Value, Failure> {
    let scenario = simulator.control().aws().build(&ScenarioSpec::with_tenants(tenants)?)?;
    let (key, url) = (&scenario.access_key, simulator.endpoints().aws.clone());
    let region: Region = scenario.region.to_string().parse()?;
    providers.aws = Some(AwsConfig {
        region: Some(region),
        endpoints: Endpoints { sts: Some(url.clone()), kms: Some(url) },
        base: BaseIdentity::fixed(key.access_key_id.clone(), key.secret_access_key.expose()),
        ..AwsConfig::default()
    });
    Ok(serde_json::to_value(scenario)?)
}

pub(super) fn handed_over(tenant: &Tenant) -> v1::binding::Cloud {
    v1::binding::Cloud::Aws(v1::AwsBinding {
        kms_key_arn: tenant.key.clone(),
        role_arn: tenant.principal.clone(),
        ..Default::default()
    })
}
