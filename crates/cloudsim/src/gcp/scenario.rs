//! A ready-made world: the platform's own project, and tenants that each bring a key and a service account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::name::{KeyName, KeyRingName, ProjectId, ProviderName, RoleName, ServiceAccountEmail};
use crate::control::GcpControl;
use crate::control::gcp::{KeyInput, PolicyPlace, ProviderSpec};
use crate::error::SimError;
use crate::secret::SecretText;

/// The label that holds the challenge.
pub const CHALLENGE_LABEL: &str = "leasehold-challenge";

/// What to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScenarioSpec {
    /// The platform's project. Default: `leasehold-platform`.
    pub platform: ProjectId,
    /// The name of the platform's service account, before the at sign. Default: `leasehold`.
    pub base: String,
    /// Where keys are. Default: `europe-west3`.
    pub location: String,
    /// The issuer of the platform's cluster. Default: `https://oidc.leasehold.example/cluster`.
    pub issuer: String,
    /// The subject of the platform's workload there. Default: `system:serviceaccount:leasehold:server`.
    pub subject: String,
    /// The tenants.
    pub tenants: Vec<TenantSpec>,
}

/// A tenant to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// The tenant's name, also its key ring's id.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// Its key's location; the platform's when absent.
    #[serde(default)]
    pub location: Option<String>,
}

impl ScenarioSpec {
    /// Tenants of these names in projects of their own, `customer-000001` and on.
    ///
    /// # Errors
    /// When there are more names than project ids.
    pub fn with_tenants(names: &[&str]) -> Result<Self, SimError> {
        let tenant = |(index, name): (usize, &&str)| {
            let project = format!("customer-{:06}", index + 1).parse()?;
            Ok(TenantSpec { name: (*name).to_owned(), project, location: None })
        };
        let tenants = names.iter().enumerate().map(tenant).collect::<Result<_, SimError>>()?;
        Ok(Self { tenants, ..Self::default() })
    }
}

impl Default for ScenarioSpec {
    fn default() -> Self {
        Self {
            platform: "leasehold-platform".parse().expect("this is a project id"),
            base: "leasehold".to_owned(),
            location: "europe-west3".to_owned(),
            issuer: "https://oidc.leasehold.example/cluster".to_owned(),
            subject: "system:serviceaccount:leasehold:server".to_owned(),
            tenants: Vec::new(),
        }
    }
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// The platform's service account, whose tokens the metadata server hands out.
    pub base: ServiceAccountEmail,
    /// The text of a key file of it.
    pub service_account_key: SecretText,
    /// Takes the tokens of the platform's cluster. Its default audience is its own name, as `//iam.googleapis.com/…`.
    pub provider: ProviderName,
    /// The test issuer of the platform's cluster.
    pub issuer: String,
    /// The subject that may become the platform's service account.
    pub subject: String,
    /// The tenants, in the order asked for.
    pub tenants: Vec<Tenant>,
}

/// A tenant that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The service account that the platform is to become.
    pub service_account: ServiceAccountEmail,
    /// The key that is to wrap.
    pub key: KeyName,
    /// The platform's service account, which an onboarding lets in.
    pub platform: ServiceAccountEmail,
}

/// Makes the world. Tenants let nobody in until [`onboard`].
pub(crate) fn build(control: &GcpControl, spec: &ScenarioSpec) -> Result<Scenario, SimError> {
    let base: ServiceAccountEmail =
        format!("{}@{}.iam.gserviceaccount.com", spec.base, spec.platform).parse()?;
    control.put_project(&spec.platform);
    control.put_service_account(&base)?;
    control.set_instance_service_account(Some(base.clone()));
    let provider = build_federation(control, spec, &base)?;
    let tenants = spec.tenants.iter().map(|tenant| build_tenant(control, spec, tenant, &base));
    Ok(Scenario {
        service_account_key: control.create_service_account_key(&base)?,
        provider,
        issuer: spec.issuer.clone(),
        subject: spec.subject.clone(),
        tenants: tenants.collect::<Result<_, _>>()?,
        base,
    })
}

fn build_federation(
    control: &GcpControl,
    spec: &ScenarioSpec,
    base: &ServiceAccountEmail,
) -> Result<ProviderName, SimError> {
    control.put_test_issuer(&spec.issuer)?;
    let pool = control.put_pool(&spec.platform, "leasehold")?;
    let provider = ProviderName { pool, id: "cluster".to_owned() };
    let mapping = BTreeMap::from([("google.subject".to_owned(), "assertion.sub".to_owned())]);
    control.put_provider(
        &provider,
        ProviderSpec {
            issuer: spec.issuer.clone(),
            allowed_audiences: Vec::new(),
            attribute_mapping: mapping,
            attribute_condition: None,
            jwks: None,
            disabled: false,
        },
    )?;
    let member = format!("principal://iam.googleapis.com/{}/subject/{}", provider.pool, spec.subject);
    control.grant(&PolicyPlace::ServiceAccount(base.clone()), "roles/iam.workloadIdentityUser", &member)?;
    Ok(provider)
}

fn build_tenant(
    control: &GcpControl,
    spec: &ScenarioSpec,
    tenant: &TenantSpec,
    base: &ServiceAccountEmail,
) -> Result<Tenant, SimError> {
    let project = tenant.project.clone();
    control.put_project(&project);
    let service_account: ServiceAccountEmail =
        format!("leasehold-access@{project}.iam.gserviceaccount.com").parse()?;
    control.put_service_account(&service_account)?;
    let location = tenant.location.clone().unwrap_or_else(|| spec.location.clone());
    let ring = KeyRingName { project: project.clone(), location, id: tenant.name.clone() };
    let key = KeyName { ring, id: "leasehold".to_owned() }.to_string().parse::<KeyName>()?;
    control.create_key(KeyInput::new(key.clone()))?;
    Ok(Tenant { name: tenant.name.clone(), project, service_account, key, platform: base.clone() })
}

/// Does what the onboarding asks of a tenant, with the least privilege that does it.
pub(crate) fn onboard(control: &GcpControl, tenant: &Tenant, challenge: &str) -> Result<(), SimError> {
    let role = |id: &str| RoleName { project: tenant.project.clone(), id: id.to_owned() };
    let (impersonator, key_user) = (role("leaseholdImpersonator"), role("leaseholdKeyUser"));
    control.put_custom_role(
        &impersonator,
        json!({
            "title": "Leasehold: become the service account",
            "includedPermissions": ["iam.serviceAccounts.getAccessToken"],
        }),
    )?;
    control.put_custom_role(
        &key_user,
        json!({
            "title": "Leasehold: use and describe the key",
            "includedPermissions": [
                "cloudkms.cryptoKeyVersions.useToEncrypt",
                "cloudkms.cryptoKeyVersions.useToDecrypt",
                "cloudkms.cryptoKeys.get",
                "cloudkms.cryptoKeyVersions.get",
                "cloudkms.cryptoKeyVersions.list",
            ],
        }),
    )?;
    control.grant(
        &PolicyPlace::ServiceAccount(tenant.service_account.clone()),
        &impersonator.to_string(),
        &format!("serviceAccount:{}", tenant.platform),
    )?;
    control.grant(
        &PolicyPlace::Key(tenant.key.clone()),
        &key_user.to_string(),
        &format!("serviceAccount:{}", tenant.service_account),
    )?;
    control.set_label(&tenant.key, CHALLENGE_LABEL, challenge)
}
