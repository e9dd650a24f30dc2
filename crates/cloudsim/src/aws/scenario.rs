//! A ready-made world: the platform's own account, and tenants that each bring a key and a role.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::arn::{AccountId, KeyArn, Region, RoleArn};
use super::kms::describe::default_policy;
use crate::control::{AccessKeySpec, AwsControl, KeyInput, RoleSpec, UserSpec};
use crate::error::SimError;

/// What to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScenarioSpec {
    /// The platform's account. Default: `100000000001`.
    pub platform: AccountId,
    /// The platform's role, which its machines hold. Default: `leasehold`.
    pub base_role: String,
    /// The platform's user with static access keys. Default: `leasehold-static`.
    pub base_user: String,
    /// Where the platform's machines are. Default: `eu-central-1`.
    pub region: Region,
    /// The tenants.
    pub tenants: Vec<TenantSpec>,
}

/// A tenant to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// The tenant's name, also its key's alias.
    pub name: String,
    /// Its account.
    pub account: AccountId,
    /// Its key's region; the platform's when absent.
    #[serde(default)]
    pub region: Option<Region>,
    /// Its role's name. Default: `leasehold-access`.
    #[serde(default = "access_role")]
    pub role: String,
    /// The external id that its role demands. Absent: the role trusts nobody outside its account until
    /// [`AwsControl::trust_with_external_id`] says otherwise, because the service issues the external id.
    #[serde(default)]
    pub external_id: Option<String>,
}

fn access_role() -> String {
    "leasehold-access".to_owned()
}

impl ScenarioSpec {
    /// Tenants of these names in accounts of their own, `200000000001` and on.
    ///
    /// # Errors
    /// When there are more names than account ids.
    pub fn with_tenants(names: &[&str]) -> Result<Self, SimError> {
        let tenant = |(index, name): (usize, &&str)| {
            let account = format!("2{:011}", index + 1).parse()?;
            let name = (*name).to_owned();
            Ok(TenantSpec { name, account, region: None, role: access_role(), external_id: None })
        };
        let tenants = names.iter().enumerate().map(tenant).collect::<Result<_, SimError>>()?;
        Ok(Self { tenants, ..Self::default() })
    }
}

impl Default for ScenarioSpec {
    fn default() -> Self {
        Self {
            platform: "100000000001".parse().expect("twelve digits are an account id"),
            base_role: "leasehold".to_owned(),
            base_user: "leasehold-static".to_owned(),
            region: "eu-central-1".parse().expect("this is a region code"),
            tenants: Vec::new(),
        }
    }
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// The platform's role, which the metadata service and the container endpoint hand out.
    pub base_role: RoleArn,
    /// ARN of the platform's user.
    pub base_user: String,
    /// The user's access key.
    pub access_key: AccessKeySpec,
    /// Where the platform's machines are.
    pub region: Region,
    /// The tenants, in the order asked for.
    pub tenants: Vec<Tenant>,
}

/// A tenant that was made.
#[derive(Clone, Debug, Serialize)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its account.
    pub account: AccountId,
    /// The role that the platform is to become.
    pub role: RoleArn,
    /// The key that is to wrap.
    pub key: KeyArn,
}

/// Makes the world.
pub(crate) fn build(control: &AwsControl, spec: &ScenarioSpec) -> Result<Scenario, SimError> {
    let base_role = RoleArn { account: spec.platform.clone(), name: spec.base_role.clone() };
    let access_key = build_platform(control, spec, &base_role)?;
    let tenants = spec.tenants.iter().map(|tenant| build_tenant(control, spec, tenant, &base_role));
    Ok(Scenario {
        base_user: format!("arn:aws:iam::{}:user/{}", spec.platform, spec.base_user),
        access_key,
        region: spec.region.clone(),
        tenants: tenants.collect::<Result<_, _>>()?,
        base_role,
    })
}

fn build_platform(
    control: &AwsControl,
    spec: &ScenarioSpec,
    base_role: &RoleArn,
) -> Result<AccessKeySpec, SimError> {
    let assume = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Resource": "*",
        }],
    });
    let policies = BTreeMap::from([("assume".to_owned(), assume)]);
    control.put_account(&spec.platform);
    let ec2 = json!({
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    });
    let role = RoleSpec {
        trust_policy: ec2,
        identity_policies: policies.clone(),
        boundary: None,
        tags: BTreeMap::new(),
        max_session_seconds: 3600,
    };
    control.put_role(base_role, role)?;
    control.set_instance_role(Some(base_role.clone()));
    control.set_container_role(Some(base_role.clone()), BTreeMap::new());
    control.put_user(
        &spec.platform,
        &spec.base_user,
        UserSpec { identity_policies: policies, ..UserSpec::default() },
    )
}

fn build_tenant(
    control: &AwsControl,
    spec: &ScenarioSpec,
    tenant: &TenantSpec,
    base_role: &RoleArn,
) -> Result<Tenant, SimError> {
    control.put_account(&tenant.account);
    let key = control.create_key(KeyInput {
        account: tenant.account.clone(),
        region: tenant.region.clone().unwrap_or_else(|| spec.region.clone()),
        key_id: None,
        spec: Default::default(),
        usage: None,
        origin: Default::default(),
        state: None,
        policy: Some(default_policy(&tenant.account.root_arn())),
        aliases: vec![format!("alias/{}", tenant.name)],
        description: format!("the key of {}", tenant.name),
    })?;
    let role = RoleArn { account: tenant.account.clone(), name: tenant.role.clone() };
    let trust_policy = match &tenant.external_id {
        Some(external_id) => trust_policy(&base_role.to_string(), Some(external_id)),
        None => trust_policy(&tenant.account.root_arn(), None),
    };
    let identity_policies = BTreeMap::from([("use-key".to_owned(), key_policy(&key))]);
    let spec = RoleSpec {
        trust_policy,
        identity_policies,
        boundary: None,
        tags: BTreeMap::new(),
        max_session_seconds: 3600,
    };
    control.put_role(&role, spec)?;
    Ok(Tenant { name: tenant.name.clone(), account: tenant.account.clone(), role, key })
}

/// A trust policy as an onboarding asks for: assume under the external id, and tag the session.
pub(crate) fn trust_policy(principal: &str, external_id: Option<&str>) -> Value {
    let mut assume = json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"});
    if let Some(external_id) = external_id {
        assume["Condition"] = json!({"StringEquals": {"sts:ExternalId": external_id}});
    }
    let tag = json!({"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:TagSession"});
    json!({"Version": "2012-10-17", "Statement": [assume, tag]})
}

fn key_policy(key: &KeyArn) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Action": [
                "kms:Encrypt",
                "kms:Decrypt",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyWithoutPlaintext",
                "kms:DescribeKey",
                "kms:GetKeyRotationStatus",
            ],
            "Resource": key.to_string(),
        }],
    })
}
