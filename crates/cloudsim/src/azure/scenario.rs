//! A ready-made world: the platform's directory with its application and managed identity, and tenants that each bring a
//! directory, a vault and a key.

use serde::{Deserialize, Serialize};

use super::clouds::Cloud;
use super::ids::{AppId, DirectoryId, KeyUrl, ObjectId, SubscriptionId, VaultName};
use super::rbac::CRYPTO_SERVICE_ENCRYPTION_USER;
use super::world::vault::KeyKind;
use crate::control::AzureControl;
use crate::control::azure::model::{
    AppSpec, DirectorySpec, FederatedCredentialSpec, KeySpec, ManagedIdentitySpec, VaultSpec,
};
use crate::error::SimError;
use crate::secret::SecretText;

/// The key tag that shows that a key's owner means this service to use it.
pub const CHALLENGE_TAG: &str = "leasehold-challenge";

/// What to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScenarioSpec {
    /// The platform's directory. Default: `10000000-0000-4000-8000-000000000001`.
    pub platform: DirectoryId,
    /// The platform's multi-tenant application. Default: `10000000-0000-4000-8000-0000000000a1`.
    pub app: AppId,
    /// The client id of the platform's managed identity. Default: `10000000-0000-4000-8000-0000000000b1`.
    pub managed_identity: AppId,
    /// The cloud that all of it is in. Default: the public one.
    pub cloud: Cloud,
    /// The tenants.
    pub tenants: Vec<TenantSpec>,
}

/// A tenant to make.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// The tenant's name; its vault is `{name}-vault`, its domain `{name}.onmicrosoft.com`.
    pub name: String,
    /// Its directory.
    pub directory: DirectoryId,
    /// What its key is. Default: a software-protected RSA key.
    #[serde(default)]
    pub kind: KeyKind,
    /// The size of its key in bits. Default: 2048.
    #[serde(default = "usual_size")]
    pub key_size: u32,
}

pub(crate) fn usual_size() -> u32 {
    2048
}

impl ScenarioSpec {
    /// Tenants of these names in directories of their own, `20000000-0000-4000-8000-000000000001` and on.
    ///
    /// # Errors
    /// When there are more names than such ids.
    pub fn with_tenants(names: &[&str]) -> Result<Self, SimError> {
        let tenant = |(index, name): (usize, &&str)| {
            let directory = format!("20000000-0000-4000-8000-{:012}", index + 1).parse()?;
            let name = (*name).to_owned();
            Ok(TenantSpec { name, directory, kind: KeyKind::Rsa, key_size: usual_size() })
        };
        let tenants = names.iter().enumerate().map(tenant).collect::<Result<_, SimError>>()?;
        Ok(Self { tenants, ..Self::default() })
    }
}

impl Default for ScenarioSpec {
    fn default() -> Self {
        let guid = "these are GUIDs";
        Self {
            platform: "10000000-0000-4000-8000-000000000001".parse().expect(guid),
            app: "10000000-0000-4000-8000-0000000000a1".parse().expect(guid),
            managed_identity: "10000000-0000-4000-8000-0000000000b1".parse().expect(guid),
            cloud: Cloud::Public,
            tenants: Vec::new(),
        }
    }
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// The platform's directory.
    pub directory: DirectoryId,
    /// The platform's application.
    pub client_id: AppId,
    /// A secret of the application's, good for 180 days.
    pub client_secret: SecretText,
    /// The managed identity that the platform's machine has, which the application has a federated credential for.
    pub managed_identity: AppId,
    /// The managed identity's principal, which is the subject of that credential.
    pub managed_identity_principal: ObjectId,
    /// The tenants, in the order asked for.
    pub tenants: Vec<Tenant>,
}

/// A tenant that was made. Nobody was let in yet: there is no consent, no role assignment and no challenge tag.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub directory: DirectoryId,
    /// The directory's verified domain.
    pub domain: String,
    /// Its vault.
    pub vault: VaultName,
    /// The key that is to wrap.
    pub key: KeyUrl,
    /// The key's resource id, at which roles are assigned.
    pub key_scope: String,
    /// Its subscription.
    pub subscription: SubscriptionId,
    /// The platform's application, which it is to let in.
    pub app: AppId,
}

/// Makes the world.
pub(crate) fn build(control: &AzureControl, spec: &ScenarioSpec) -> Result<Scenario, SimError> {
    control.put_directory(
        &spec.platform,
        DirectorySpec {
            name: "Platform".to_owned(),
            domains: vec!["platform.onmicrosoft.com".to_owned()],
            cloud: spec.cloud,
            subscription: None,
        },
    )?;
    let app = AppSpec {
        name: "leasehold".to_owned(),
        directory: spec.platform.clone(),
        multi_tenant: true,
        enabled: true,
    };
    control.put_app(&spec.app, app)?;
    let secret = control.add_secret(&spec.app, None)?;
    let identity = ManagedIdentitySpec { directory: spec.platform.clone() };
    let principal = control.put_managed_identity(&spec.managed_identity, identity)?;
    control.set_default_identity(Some(spec.managed_identity.clone()))?;
    control.put_federated_credential(
        &spec.app,
        FederatedCredentialSpec {
            name: "managed-identity".to_owned(),
            issuer: format!("https://{}/{}/v2.0", spec.cloud.login_host(), spec.platform),
            subject: principal.to_string(),
            audiences: vec![spec.cloud.token_exchange().to_owned()],
            jwks: None,
        },
    )?;
    let tenants = spec.tenants.iter().map(|tenant| build_tenant(control, spec, tenant));
    Ok(Scenario {
        directory: spec.platform.clone(),
        client_id: spec.app.clone(),
        client_secret: secret.value,
        managed_identity: spec.managed_identity.clone(),
        managed_identity_principal: principal,
        tenants: tenants.collect::<Result<_, _>>()?,
    })
}

fn build_tenant(
    control: &AzureControl,
    spec: &ScenarioSpec,
    tenant: &TenantSpec,
) -> Result<Tenant, SimError> {
    let domain = format!("{}.onmicrosoft.com", tenant.name);
    let directory = DirectorySpec {
        name: tenant.name.clone(),
        domains: vec![domain.clone()],
        cloud: spec.cloud,
        subscription: None,
    };
    let subscription = control.put_directory(&tenant.directory, directory)?;
    let vault: VaultName = format!("{}-vault", tenant.name).parse()?;
    control.put_vault(&vault, VaultSpec::in_directory(tenant.directory.clone()))?;
    let key = control.create_key(KeySpec {
        vault: vault.clone(),
        name: "main".to_owned(),
        kind: tenant.kind,
        key_size: tenant.key_size,
        key_ops: None,
        tags: Default::default(),
    })?;
    Ok(Tenant {
        name: tenant.name.clone(),
        directory: tenant.directory.clone(),
        domain,
        key_scope: control.key_scope(&key)?,
        vault,
        key,
        subscription,
        app: spec.app.clone(),
    })
}

/// Does what the onboarding asks of a tenant: lets the application in, gives it the one role that it needs at the one key,
/// and puts the challenge on the key. Gives the principal that was let in.
pub(crate) fn onboard(
    control: &AzureControl,
    tenant: &Tenant,
    challenge: &str,
) -> Result<ObjectId, SimError> {
    let principal = control.consent(&tenant.directory, &tenant.app)?;
    let role = format!(
        "/subscriptions/{}/providers/Microsoft.Authorization/roleDefinitions/{CRYPTO_SERVICE_ENCRYPTION_USER}",
        tenant.subscription
    );
    control.put_role_assignment(&serde_json::json!({
        "properties": {
            "roleDefinitionId": role,
            "principalId": principal,
            "principalType": "ServicePrincipal",
        },
        "scope": tenant.key_scope,
    }))?;
    control.put_tag(&tenant.key, CHALLENGE_TAG, challenge)?;
    Ok(principal)
}
