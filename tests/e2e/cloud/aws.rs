//! AWS: a role that trusts us, and a KMS key that the role may use.

use leasehold::config::Providers;
use leasehold_api::v1;
use leasehold_cloudsim::aws::edits::Edit;
use leasehold_cloudsim::aws::scenario::{Scenario, ScenarioSpec, Tenant};
use leasehold_cloudsim::tenants::{Cloud, TenantsControl};
use leasehold_cloudsim::{AwsControl, Endpoints as SimulatorEndpoints, Simulator};
use leasehold_provider_aws::{AwsConfig, BaseIdentity, Endpoints};

use super::Estate;

/// AWS with a platform's account, and an account for each tenant.
pub(crate) struct Aws {
    pub(crate) scenario: Scenario,
    control: AwsControl,
    tenants: TenantsControl,
    endpoints: SimulatorEndpoints,
}

impl Aws {
    pub(crate) fn build(simulator: &Simulator, tenants: &[&str]) -> Self {
        let control = simulator.control().aws();
        let scenario = control.build(&ScenarioSpec::with_tenants(tenants).unwrap()).unwrap();
        let tenants = simulator.control().tenants();
        Self { scenario, control, tenants, endpoints: simulator.endpoints().clone() }
    }

    pub(crate) fn tenant(&self, name: &str) -> &Tenant {
        self.scenario.tenants.iter().find(|tenant| tenant.name == name).unwrap()
    }

    pub(crate) fn control(&self) -> &AwsControl {
        &self.control
    }

    /// Forbids the use of the tenant's key under this branch alone.
    pub(crate) fn deny_branch(&self, tenant: &str, branch: &str) {
        let tenant = self.tenant(tenant);
        let deny = Edit::KeyDeny {
            key: tenant.key.clone(),
            principal: tenant.role.to_string(),
            actions: Vec::new(),
            encryption_context: [("branch".to_owned(), branch.to_owned())].into(),
        };
        self.control.edit(deny).unwrap();
    }

    /// What the tenant hands over.
    pub(crate) fn aws_binding(&self, tenant: &str) -> v1::AwsBinding {
        let tenant = self.tenant(tenant);
        let (kms_key_arn, role_arn) = (tenant.key.to_string(), tenant.role.to_string());
        v1::AwsBinding { kms_key_arn, role_arn, ..Default::default() }
    }
}

impl Estate for Aws {
    fn cloud(&self) -> Cloud {
        Cloud::Aws
    }

    fn tenants(&self) -> &TenantsControl {
        &self.tenants
    }

    fn configure(&self, providers: &mut Providers) {
        let key = &self.scenario.access_key;
        let (id, secret) = (key.access_key_id.clone(), key.secret_access_key.expose());
        let url = self.endpoints.aws.clone();
        providers.aws = Some(AwsConfig {
            region: Some(self.scenario.region.to_string().parse().unwrap()),
            endpoints: Endpoints { sts: Some(url.clone()), kms: Some(url) },
            base: BaseIdentity::fixed(id, secret),
            ..AwsConfig::default()
        });
    }

    fn environment(&self) -> Vec<(String, String)> {
        let mut settings = vec![
            ("LEASEHOLD__PROVIDERS__AWS__REGION", self.scenario.region.to_string()),
            ("LEASEHOLD__PROVIDERS__AWS__ENDPOINTS__STS", self.endpoints.aws.clone()),
            ("LEASEHOLD__PROVIDERS__AWS__ENDPOINTS__KMS", self.endpoints.aws.clone()),
        ];
        settings.extend(self.endpoints.instance_environment());
        settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.scenario.access_key.secret_access_key.expose().to_owned()]
    }
}
