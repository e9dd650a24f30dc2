//! The one list of clouds: their sections in the configuration, and what is made of each.

use std::sync::Arc;
use std::time::SystemTime;

use leasehold_clock::TimeSource;
use leasehold_envelope::{EncryptionContext, Hierarchy, KeyId};
use leasehold_ids::{BindingName, DeploymentId, IdError, ProviderKind};
use leasehold_lease::Providers;
use leasehold_provider::{Guarded, KeyProvider, Limits};
use leasehold_provider_aws::{AwsConfig, AwsProvider};
use leasehold_provider_azure::{AzureConfig, AzureProvider};
use leasehold_provider_gcp::{GcpConfig, GcpProvider};
use leasehold_secret::Arena;
use leasehold_tenant::{Binding, ExternalId, NewBinding, RESERVED_PREFIX};
use serde::Deserialize;

use crate::config;

/// The clouds, as sections of `[providers]`. One that is absent is not enabled.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clouds {
    /// AWS: see [`AwsConfig`].
    pub aws: Option<AwsConfig>,
    /// Azure: see [`AzureConfig`].
    pub azure: Option<AzureConfig>,
    /// Google Cloud: see [`GcpConfig`].
    pub gcp: Option<GcpConfig>,
    /// Keys of the platform's own, for tenants that bring none.
    pub operator: Option<Operator>,
}

impl Clouds {
    /// Those that are enabled, as bindings name them.
    #[must_use]
    pub fn enabled(&self) -> Vec<&'static str> {
        let sections = [
            ("aws", self.aws.is_some()),
            ("azure", self.azure.is_some()),
            ("gcp", self.gcp.is_some()),
            ("operator", self.operator.is_some()),
        ];
        sections.into_iter().filter_map(|(name, enabled)| enabled.then_some(name)).collect()
    }
}

/// Keys of the platform's own, for tenants that bring none. Such a tenant cannot revoke.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// Which cloud they are in. That cloud's own section says how it is reached, and must be there. Required.
    pub cloud: OperatorCloud,
    /// The keys that bindings may name, as the cloud names them. At least one. Required.
    pub keys: Vec<KeyId>,
}

/// Where the platform's own keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorCloud {
    /// In AWS, reached as `[providers.aws]` says.
    Aws,
    /// In Azure, reached as `[providers.azure]` says.
    Azure,
    /// In Google Cloud, reached as `[providers.gcp]` says.
    Gcp,
}

/// The clouds that there are to be cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvidersError {
    /// A cloud's settings cannot work.
    #[error("the settings of providers.{section} cannot work")]
    Settings {
        /// Whose.
        section: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The platform's own keys are in a cloud without settings.
    #[error(
        "providers.operator is reached as providers.{section} says, and there is no such section: add it"
    )]
    OperatorElsewhere {
        /// What is missing.
        section: &'static str,
    },
    /// The platform has no keys of its own after all.
    #[error("providers.operator.keys is empty: name the keys, or leave the section out")]
    OperatorWithoutKeys,
    /// A sentinel's settings cannot work.
    #[error("the sentinel for {provider} cannot work")]
    Sentinel {
        /// Which cloud.
        provider: ProviderKind,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No cloud is configured, so no binding could ever work.
    #[error("no cloud is enabled: configure providers.aws, providers.azure or providers.gcp")]
    None,
}

/// The clouds that are configured, each with the same deadlines, retries and budgets around it.
pub(crate) async fn build(
    clouds: Clouds,
    arena: &Arena,
    clock: &Arc<dyn TimeSource>,
) -> Result<Providers, ProvidersError> {
    let mut built = Vec::new();
    if let Some(own) = &clouds.operator {
        built.push(operator(own, &clouds, arena).await?);
    }
    if let Some(aws) = clouds.aws {
        built.push(cloud("aws", AwsProvider::build(aws, arena.clone()).await)?);
    }
    if let Some(azure) = clouds.azure {
        built.push(cloud("azure", AzureProvider::build(azure, arena.clone()).await)?);
    }
    if let Some(gcp) = clouds.gcp {
        built.push(cloud("gcp", GcpProvider::build(gcp, arena.clone()).await)?);
    }
    if built.is_empty() {
        return Err(ProvidersError::None);
    }
    let guarded =
        |cloud| Arc::new(Guarded::new(cloud, Arc::clone(clock), Limits::default())) as Arc<dyn KeyProvider>;
    Ok(Providers::new(built.into_iter().map(guarded)))
}

/// The platform's own keys, as their cloud's provider uses them.
async fn operator(
    own: &Operator,
    clouds: &Clouds,
    arena: &Arena,
) -> Result<Arc<dyn KeyProvider>, ProvidersError> {
    if own.keys.is_empty() {
        return Err(ProvidersError::OperatorWithoutKeys);
    }
    let (keys, arena) = (own.keys.clone(), arena.clone());
    match own.cloud {
        OperatorCloud::Aws => {
            let config = settings("aws", clouds.aws.as_ref())?;
            cloud("operator", AwsProvider::build_operator(config, keys, arena).await)
        }
        OperatorCloud::Azure => {
            let config = settings("azure", clouds.azure.as_ref())?;
            cloud("operator", AzureProvider::build_operator(config, keys, arena).await)
        }
        OperatorCloud::Gcp => {
            let config = settings("gcp", clouds.gcp.as_ref())?;
            cloud("operator", GcpProvider::build_operator(config, keys, arena).await)
        }
    }
}

fn settings<T: Clone>(section: &'static str, settings: Option<&T>) -> Result<T, ProvidersError> {
    settings.cloned().ok_or(ProvidersError::OperatorElsewhere { section })
}

fn cloud<P, E>(section: &'static str, built: Result<P, E>) -> Result<Arc<dyn KeyProvider>, ProvidersError>
where
    P: KeyProvider,
    E: std::error::Error + Send + Sync + 'static,
{
    match built {
        Ok(provider) => Ok(Arc::new(provider)),
        Err(error) => Err(ProvidersError::Settings { section, source: Box::new(error) }),
    }
}

/// `providers` with the operator's sentinels.
pub(crate) fn with_sentinels(
    providers: Providers,
    sentinels: Vec<config::Sentinel>,
    deployment: &DeploymentId,
    clock: &Arc<dyn TimeSource>,
) -> Result<Providers, ProvidersError> {
    sentinels.into_iter().try_fold(providers, |providers, sentinel| {
        let provider = sentinel.provider.clone();
        let cannot = |source| ProvidersError::Sentinel { provider: provider.clone(), source };
        let binding = binding(sentinel, deployment, clock.wall()).map_err(|error| cannot(error.into()))?;
        let cloud = providers.get(&binding.provider).map_err(|error| cannot(error.into()))?;
        cloud.check(&binding).map_err(|error| cannot(error.into()))?;
        tracing::info!(provider = %binding.provider, external_id = %binding.external_id, "sentinel");
        Ok(providers.with_sentinel(binding))
    })
}

/// The binding that a sentinel is; it is in no registry.
fn binding(
    sentinel: config::Sentinel,
    deployment: &DeploymentId,
    now: SystemTime,
) -> Result<Binding, IdError> {
    let name: BindingName =
        format!("tenants/{RESERVED_PREFIX}sentinel/bindings/{}", sentinel.provider).parse()?;
    let new = NewBinding {
        provider: sentinel.provider,
        key: sentinel.key,
        settings: sentinel.settings,
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    let external_id = ExternalId::derive(deployment, &name);
    Ok(Binding::pending(name, new, external_id, now))
}

#[cfg(test)]
mod tests {
    use leasehold_clock::ManualClock;
    use leasehold_secret::{ArenaConfig, OnUnlockable};

    use super::*;

    const AWS: &str = "[aws]\nregion = 'eu-central-1'\n";
    const AZURE: &str = "[azure]\nclient_id = 'aaaabbbb-0000-cccc-1111-dddd2222eeee'\n\
                         directory_id = '11112222-bbbb-3333-cccc-4444dddd5555'\n";
    const GCP: &str = "[gcp]\n";

    /// Each cloud with its own section and a key of the platform's own there.
    const OWN: [(&str, &str, &str); 3] = [
        ("aws", AWS, "arn:aws:kms:eu-central-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab"),
        ("azure", AZURE, "https://platform.vault.azure.net/keys/own"),
        ("gcp", GCP, "projects/platform/locations/europe-west3/keyRings/leasehold/cryptoKeys/own"),
    ];

    /// The kinds that these sections enable.
    async fn kinds(sections: &str) -> Result<Vec<String>, ProvidersError> {
        let clouds = toml::from_str(sections).unwrap();
        let on_unlockable = OnUnlockable::DangerUseOrdinaryMemory;
        let arena = Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, on_unlockable }).unwrap();
        let clock: Arc<dyn TimeSource> = Arc::new(ManualClock::new());
        let providers = build(clouds, &arena, &clock).await?;
        Ok(providers.kinds().into_iter().map(ToString::to_string).collect())
    }

    fn operator(cloud: &str, keys: &str) -> String {
        format!("[operator]\ncloud = '{cloud}'\nkeys = [{keys}]\n")
    }

    #[tokio::test]
    async fn each_section_enables_its_cloud() {
        for (cloud, section, _) in OWN {
            assert_eq!(kinds(section).await.unwrap(), [cloud]);
        }
        let all = format!("{AWS}{AZURE}{GCP}");
        assert_eq!(kinds(&all).await.unwrap(), ["aws", "azure", "gcp"]);
    }

    #[tokio::test]
    async fn the_platforms_own_keys_are_a_kind_of_their_own_in_any_cloud() {
        for (cloud, section, key) in OWN {
            let keys = operator(cloud, &format!("'{key}'"));
            assert_eq!(kinds(&format!("{section}{keys}")).await.unwrap(), [cloud, "operator"]);
            let elsewhere = kinds(&keys).await.unwrap_err().to_string();
            assert!(elsewhere.contains(&format!("providers.{cloud}")), "{elsewhere}");
            let odd = format!("{section}{}", operator(cloud, "'no-key-of-any-cloud'"));
            let odd = kinds(&odd).await.unwrap_err().to_string();
            assert!(odd.contains("providers.operator"), "{odd}");
        }
    }

    #[tokio::test]
    async fn what_cannot_work_is_refused_with_what_to_change() {
        for (sections, says) in
            [(String::new(), "no cloud is enabled"), (operator("aws", ""), "keys is empty")]
        {
            let error = kinds(&sections).await.unwrap_err().to_string();
            assert!(error.contains(says), "{sections}: {error}");
        }
        assert!(toml::from_str::<Clouds>(&operator("mars", "")).is_err());
    }
}
