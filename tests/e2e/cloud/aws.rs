//! AWS: a role that trusts us, and a KMS key that the role may use.

use leasehold::config::Providers;
use leasehold_api::v1;
use leasehold_cloudsim::aws::KeyState;
use leasehold_cloudsim::aws::edits::Edit;
use leasehold_cloudsim::aws::scenario::{Scenario, ScenarioSpec, Tenant};
use leasehold_cloudsim::log::CallMatch;
use leasehold_cloudsim::{AwsControl, Endpoints as SimulatorEndpoints, Simulator};
use leasehold_provider_aws::{AwsConfig, BaseIdentity, Endpoints};

use super::{Estate, Lever, Pulled, of};

/// AWS with a platform's account, and an account for each tenant.
pub(crate) struct Aws {
    pub(crate) scenario: Scenario,
    control: AwsControl,
    endpoints: SimulatorEndpoints,
}

impl Aws {
    pub(crate) fn build(simulator: &Simulator, tenants: &[&str]) -> Self {
        let control = simulator.control().aws();
        let scenario = control.build(&ScenarioSpec::with_tenants(tenants).unwrap()).unwrap();
        Self { scenario, control, endpoints: simulator.endpoints().clone() }
    }

    pub(crate) fn tenant(&self, name: &str) -> &Tenant {
        self.scenario.tenants.iter().find(|tenant| tenant.name == name).unwrap()
    }

    pub(crate) fn control(&self) -> &AwsControl {
        &self.control
    }

    pub(crate) fn edit(&self, edit: Edit) -> Pulled {
        let (control, id) = (self.control.clone(), self.control.edit(edit).unwrap());
        Pulled::undone_by(move || control.undo(id).unwrap())
    }

    /// Forbids the use of the tenant's key under this branch alone.
    pub(crate) fn deny_branch(&self, tenant: &str, branch: &str) -> Pulled {
        self.deny_key(tenant, [("branch".to_owned(), branch.to_owned())].into())
    }

    fn deny_key(&self, tenant: &str, context: std::collections::BTreeMap<String, String>) -> Pulled {
        let tenant = self.tenant(tenant);
        self.edit(Edit::KeyDeny {
            key: tenant.key.clone(),
            principal: tenant.role.to_string(),
            actions: Vec::new(),
            encryption_context: context,
        })
    }

    /// What the tenant hands over.
    pub(crate) fn aws_binding(&self, tenant: &str) -> v1::AwsBinding {
        let tenant = self.tenant(tenant);
        let (kms_key_arn, role_arn) = (tenant.key.to_string(), tenant.role.to_string());
        v1::AwsBinding { kms_key_arn, role_arn, ..Default::default() }
    }
}

impl Estate for Aws {
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

    fn binding(&self, tenant: &str) -> v1::binding::Cloud {
        v1::binding::Cloud::Aws(self.aws_binding(tenant))
    }

    fn key(&self, tenant: &str) -> String {
        self.tenant(tenant).key.to_string()
    }

    /// Trusts our static user as well as our role: which of the two a server is depends on how it was started.
    fn let_in(&self, tenant: &str, external_id: &str) {
        let statement = |principal: String| {
            serde_json::json!({
                "Effect": "Allow",
                "Principal": { "AWS": principal },
                "Action": ["sts:AssumeRole", "sts:TagSession"],
                "Condition": { "StringEquals": { "sts:ExternalId": external_id } },
            })
        };
        let statements =
            [self.scenario.base_user.clone(), self.scenario.base_role.to_string()].map(statement);
        let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": statements });
        self.control.set_trust_policy(&self.tenant(tenant).role, policy).unwrap();
    }

    fn pull(&self, lever: Lever, tenant: &str) -> Pulled {
        let (role, key) = (self.tenant(tenant).role.clone(), self.tenant(tenant).key.clone());
        match lever {
            Lever::Trust => self.edit(Edit::TrustDenyPrincipal { role, principal: "*".to_owned() }),
            Lever::KeyUse => self.deny_key(tenant, [].into()),
            Lever::DisableKey => self.edit(Edit::KeyState { key, state: KeyState::Disabled }),
            Lever::DeleteKey => self.edit(Edit::KeyState { key, state: KeyState::PendingDeletion }),
        }
    }

    fn rotate(&self, tenant: &str) {
        self.control.rotate_key(&self.tenant(tenant).key).unwrap();
    }

    fn about(&self, tenant: &str) -> CallMatch {
        CallMatch { account: Some(self.tenant(tenant).account.to_string()), ..CallMatch::default() }
    }

    fn assumes(&self) -> CallMatch {
        of("AssumeRole")
    }

    fn unwraps(&self) -> CallMatch {
        of("Decrypt")
    }

    fn secrets(&self) -> Vec<String> {
        vec![self.scenario.access_key.secret_access_key.expose().to_owned()]
    }
}
