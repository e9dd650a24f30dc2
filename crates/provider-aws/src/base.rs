//! Who we are before we become anybody: the SDK's default chain.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::default_provider::region::DefaultRegionChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use http::Uri;

use crate::arn::Region;
use crate::config::{AwsConfig, AwsConfigError, BaseIdentity};
use crate::endpoint;

/// The configured region, or what the default chain says.
pub(crate) async fn region(config: &AwsConfig) -> Result<Region, AwsConfigError> {
    if let Some(region) = &config.region {
        return Ok(region.clone());
    }
    let found = DefaultRegionChain::builder().build().region().await.ok_or(AwsConfigError::NoRegion)?;
    found.as_ref().parse().map_err(|_| AwsConfigError::NoRegion)
}

/// Our base credentials. They keep no credentials themselves; the client that uses them caches.
pub(crate) async fn credentials(
    config: &AwsConfig,
    region: &Region,
    http: SharedHttpClient,
) -> SharedCredentialsProvider {
    match &config.base {
        BaseIdentity::Fixed(credentials) => return SharedCredentialsProvider::new(credentials.clone()),
        BaseIdentity::Source(source) => return source.clone(),
        BaseIdentity::DefaultChain => {}
    }
    let forbidden = endpoint::forbidden(config, |name| std::env::var(name).ok());
    let http = SharedHttpClient::new(Fenced { inner: http, forbidden: Arc::new(forbidden) });
    let sources = ProviderConfig::without_region()
        .with_http_client(http)
        .with_use_fips(Some(config.use_fips))
        .with_use_dual_stack(Some(config.use_dual_stack));
    let region = aws_types::region::Region::new(region.as_str().to_owned());
    SharedCredentialsProvider::new(
        DefaultCredentialsChain::builder().configure(sources).region(region).build().await,
    )
}

/// Sends nothing to some hosts.
#[derive(Debug)]
struct Fenced {
    inner: SharedHttpClient,
    forbidden: Arc<BTreeSet<String>>,
}

impl HttpClient for Fenced {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(FencedConnector { inner, forbidden: Arc::clone(&self.forbidden) })
    }
}

#[derive(Debug)]
struct FencedConnector {
    inner: SharedHttpConnector,
    forbidden: Arc<BTreeSet<String>>,
}

impl HttpConnector for FencedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().parse::<Uri>();
        let host = uri.ok().and_then(|uri| uri.authority().map(|authority| authority.as_str().to_owned()));
        // A request whose host cannot be read goes nowhere either.
        if host.is_some_and(|host| !self.forbidden.contains(&host)) {
            return self.inner.call(request);
        }
        HttpConnectorFuture::ready(Err(ConnectorError::user(Box::new(Redirected))))
    }
}

/// The environment redirects STS although it may not.
#[derive(Debug)]
struct Redirected;

impl fmt::Display for Redirected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "an AWS_ENDPOINT_URL variable redirects STS; unset it, or set danger_allow_endpoint_overrides",
        )
    }
}

impl std::error::Error for Redirected {}
