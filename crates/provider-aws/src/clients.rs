//! The SDK's clients: connections of its own for every session, nothing cached, nothing repeated, no deadline.

use std::collections::BTreeMap;

use aws_config::BehaviorVersion;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::arn::Region;
use crate::base;
use crate::config::{AwsConfig, AwsConfigError};
use crate::endpoint;
use crate::pool::Pools;

/// Clients for all that we ask of AWS.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    pools: Pools,
    /// The region whose STS we ask.
    pub(crate) sts_region: Region,
    /// Who we are, loaded anew whenever it is asked.
    pub(crate) base: SharedCredentialsProvider,
    /// Signs with our base identity.
    pub(crate) base_sts: aws_sdk_sts::Client,
    /// Signs with what each call brings.
    session_sts: aws_sdk_sts::Client,
    kms: BTreeMap<Region, aws_sdk_kms::Client>,
}

impl Clients {
    pub(crate) async fn build(config: &AwsConfig) -> Result<Self, AwsConfigError> {
        let pools = Pools::verifying_by(&config.extra_root_cas).await?;
        Self::with_pools(config, pools).await
    }

    /// The same over connections of one's own.
    async fn with_pools(config: &AwsConfig, pools: Pools) -> Result<Self, AwsConfigError> {
        // For who we are ourselves, and for whatever brings no session.
        let http = pools.make();
        let own = base::region(config).await?;
        let endpoints = endpoint::resolve(config, |name| std::env::var(name).ok())?;
        let base = base::credentials(config, &own, http.clone()).await;
        let sts = || {
            let mut builder = sts_builder(config, &own, http.clone());
            builder.set_endpoint_url(endpoints.sts.as_deref().map(|url| endpoint::in_region(url, &own)));
            builder
        };
        // Our own credentials alone are cached: they are ours, and asking the instance for them on every assume would be
        // throttled there. The cache loads them anew before they expire, and remembers no failure.
        let base_sts = sts().credentials_provider(base.clone()).identity_cache(IdentityCache::lazy().build());
        let session_sts = sts().identity_cache(IdentityCache::no_cache());
        let mut regions = config.allowed_regions.clone();
        if regions.is_empty() {
            regions.push(own.clone());
        }
        let mut kms = BTreeMap::new();
        for region in regions {
            if region.partition() != own.partition() {
                return Err(AwsConfigError::ForeignRegion { region, own });
            }
            let mut builder = kms_builder(config, &region, http.clone());
            builder.set_endpoint_url(endpoints.kms.as_deref().map(|url| endpoint::in_region(url, &region)));
            kms.insert(region, aws_sdk_kms::Client::from_conf(builder.build()));
        }
        Ok(Self {
            pools,
            sts_region: own,
            base,
            base_sts: aws_sdk_sts::Client::from_conf(base_sts.build()),
            session_sts: aws_sdk_sts::Client::from_conf(session_sts.build()),
            kms,
        })
    }

    /// Connections for one session.
    pub(crate) fn pool(&self) -> SharedHttpClient {
        self.pools.make()
    }

    /// The same, with connections in common for all that is asked through it: for an examination that asks much, and
    /// whose sessions end with it.
    pub(crate) fn for_one_visit(&self) -> Self {
        let http = self.pool();
        Self { pools: Pools::made_by(move || http.clone()), ..self.clone() }
    }

    /// Has one call made with `credentials`, over a connection of its own.
    pub(crate) fn signed(&self, credentials: Credentials) -> aws_sdk_kms::config::Builder {
        aws_sdk_kms::config::Builder::new().credentials_provider(credentials).http_client(self.pool())
    }

    /// The client to assume a role with: as ourselves, or as the session of the hop before. What overrides its settings is
    /// for one call.
    pub(crate) fn sts(
        &self,
        session: Option<&Credentials>,
    ) -> (&aws_sdk_sts::Client, aws_sdk_sts::config::Builder) {
        let signed_by = aws_sdk_sts::config::Builder::new().http_client(self.pool());
        match session {
            None => (&self.base_sts, signed_by),
            Some(session) => (&self.session_sts, signed_by.credentials_provider(session.clone())),
        }
    }

    /// The KMS clients of all allowed regions.
    pub(crate) fn regions(&self) -> impl Iterator<Item = (&Region, &aws_sdk_kms::Client)> {
        self.kms.iter()
    }

    /// The client for keys in `region`; `None` outside of the allowed ones.
    pub(crate) fn kms(&self, region: &Region) -> Option<&aws_sdk_kms::Client> {
        self.kms.get(region)
    }
}

/// The settings that both services' builders have in common, under the same names but as different types.
macro_rules! common_settings {
    ($builder:expr, $config:expr, $region:expr, $http:expr) => {
        $builder
            .behavior_version(BehaviorVersion::latest())
            .region(aws_types::region::Region::new($region.as_str().to_owned()))
            .http_client($http)
            // The SDK's retry budget is one for all tenants, and its deadlines know nothing of ours.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .use_fips($config.use_fips)
            .use_dual_stack($config.use_dual_stack)
    };
}

fn sts_builder(config: &AwsConfig, region: &Region, http: SharedHttpClient) -> aws_sdk_sts::config::Builder {
    common_settings!(aws_sdk_sts::config::Builder::new(), config, region, http)
}

fn kms_builder(config: &AwsConfig, region: &Region, http: SharedHttpClient) -> aws_sdk_kms::config::Builder {
    common_settings!(aws_sdk_kms::config::Builder::new(), config, region, http)
        .identity_cache(IdentityCache::no_cache())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::client::http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

    use super::*;
    use crate::config::BaseIdentity;

    /// Notes where requests would go, and sends none.
    #[derive(Debug, Clone, Default)]
    struct Noted(Arc<Mutex<Vec<String>>>);

    impl HttpClient for Noted {
        fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
            SharedHttpConnector::new(self.clone())
        }
    }

    impl HttpConnector for Noted {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            self.0.lock().unwrap().push(request.uri().to_owned());
            HttpConnectorFuture::ready(Err(ConnectorError::io("not sent".into())))
        }
    }

    /// Where an assume as ourselves, an assume as a session and a use of a key would go.
    async fn targets(region: &str, change: impl FnOnce(&mut AwsConfig)) -> Vec<String> {
        let credentials = || Credentials::new("AKIA", "secret", None, None, "test");
        let region: Region = region.parse().unwrap();
        let mut config = AwsConfig {
            region: Some(region.clone()),
            base: BaseIdentity::Fixed(credentials()),
            ..AwsConfig::default()
        };
        change(&mut config);
        let noted = Noted::default();
        let (http, all) = (SharedHttpClient::new(noted.clone()), noted);
        let clients = Clients::with_pools(&config, Pools::made_by(move || http.clone())).await.unwrap();
        let session = credentials();
        for signed_by in [None, Some(&session)] {
            let (client, credentials) = clients.sts(signed_by);
            let sent = client.get_caller_identity().customize().config_override(credentials).send().await;
            assert!(sent.is_err());
        }
        let credentials = aws_sdk_kms::config::Builder::new().credentials_provider(session);
        let describe = clients.kms(&region).unwrap().describe_key().key_id("k");
        assert!(describe.customize().config_override(credentials).send().await.is_err());
        all.0.lock().unwrap().clone()
    }

    #[tokio::test]
    async fn calls_go_to_the_regions_own_endpoints_once_each() {
        let sts = "https://sts.eu-central-1.amazonaws.com/";
        let kms = "https://kms.eu-central-1.amazonaws.com/";
        assert_eq!(targets("eu-central-1", |_| ()).await, [sts, sts, kms]);
        let us = targets("us-east-1", |_| ()).await;
        assert_eq!(us[0], "https://sts.us-east-1.amazonaws.com/", "never the global endpoint");
        let china = targets("cn-north-1", |_| ()).await;
        assert_eq!(china[2], "https://kms.cn-north-1.amazonaws.com.cn/");
    }

    #[tokio::test]
    async fn fips_and_dual_stack_choose_among_awss_endpoints() {
        let fips = targets("us-east-1", |config| config.use_fips = true).await;
        let sts = "https://sts-fips.us-east-1.amazonaws.com/";
        assert_eq!(fips, [sts, sts, "https://kms-fips.us-east-1.amazonaws.com/"]);
        let dual = targets("eu-central-1", |config| config.use_dual_stack = true).await;
        assert_eq!(dual[2], "https://kms.eu-central-1.api.aws/");
    }

    #[tokio::test]
    async fn an_endpoint_of_ones_own_is_asked_instead() {
        let own = targets("eu-central-1", |config| {
            config.endpoints.kms = Some("https://kms.{region}.internal.example".to_owned());
        });
        assert_eq!(own.await[2], "https://kms.eu-central-1.internal.example/");
    }
}
