//! Where the services are, and who may say so.

use std::net::IpAddr;

use http::Uri;

use crate::config::{BaseIdentity, GcpConfig, GcpConfigError};

/// The variable that redirects Google's own clients to another metadata server.
const METADATA_VARIABLE: &str = "GCE_METADATA_HOST";
/// The variable that makes the SDK log its answers, plaintext keys among them.
const LOGGING_VARIABLE: &str = "GOOGLE_CLOUD_RUST_LOGGING";

const KMS: &str = "https://cloudkms.googleapis.com";
const IAM_CREDENTIALS: &str = "https://iamcredentials.googleapis.com";
/// By address: whoever answers for a name is a matter of the network, and only Google's network is Google's.
const METADATA: &str = "http://169.254.169.254";

/// Hosts that are the machine's own metadata server, by whatever name (<https://cloud.google.com/compute/docs/metadata>).
const METADATA_HOSTS: [&str; 4] =
    ["metadata.google.internal", "metadata", "169.254.169.254", "[fd20:ce::254]"];

/// Where to call, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) kms: String,
    pub(crate) iam_credentials: String,
    /// Only if the settings name one; what the credentials file says otherwise.
    pub(crate) sts: Option<String>,
    pub(crate) metadata: String,
}

/// The endpoints that `config` asks for, with the environment's where that is allowed.
pub(crate) fn resolve(
    config: &GcpConfig,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Resolved, GcpConfigError> {
    if environment(LOGGING_VARIABLE).as_deref() == Some("true") {
        return Err(GcpConfigError::PlaintextLogging);
    }
    let danger = config.danger_allow_endpoint_overrides;
    let checked = |service, url: &Option<String>| {
        url.as_deref().map(|url| check(service, url, danger).map(|()| trimmed(url))).transpose()
    };
    Ok(Resolved {
        kms: checked("kms", &config.endpoints.kms)?.unwrap_or_else(|| KMS.to_owned()),
        iam_credentials: checked("iam_credentials", &config.endpoints.iam_credentials)?
            .unwrap_or_else(|| IAM_CREDENTIALS.to_owned()),
        sts: checked("sts", &config.endpoints.sts)?,
        metadata: metadata(config, environment(METADATA_VARIABLE).filter(|host| !host.is_empty()))?,
    })
}

/// Whether `url`, which may have a path, leads to a place where `service` may be.
pub(crate) fn check_url(service: &'static str, url: &str, danger: bool) -> Result<(), GcpConfigError> {
    let uri: Uri = url.parse().map_err(|_| GcpConfigError::BadEndpoint { service })?;
    let origin = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or_default(),
        uri.authority().map(http::uri::Authority::as_str).unwrap_or_default()
    );
    check(service, &origin, danger)
}

fn metadata(config: &GcpConfig, redirected: Option<String>) -> Result<String, GcpConfigError> {
    const SERVICE: &str = "metadata";
    let danger = config.danger_allow_endpoint_overrides;
    let with_scheme = |host: &str| {
        if host.contains("://") { trimmed(host) } else { format!("http://{}", trimmed(host)) }
    };
    let configured = config.endpoints.metadata.as_deref().map(with_scheme);
    if let Some(url) = &configured {
        let (scheme, host) = parts(SERVICE, url)?;
        if scheme != "http" {
            return Err(GcpConfigError::BadEndpoint { service: SERVICE });
        }
        if !danger && !is_this_machine(&host) && !METADATA_HOSTS.contains(&host.as_str()) {
            return Err(GcpConfigError::PlainEndpoint { service: SERVICE });
        }
    }
    let endpoint = configured.unwrap_or_else(|| METADATA.to_owned());
    let uses_it = matches!(config.identity, BaseIdentity::Ambient | BaseIdentity::Metadata);
    let Some(redirected) = redirected.filter(|_| uses_it).map(|host| with_scheme(&host)) else {
        return Ok(endpoint);
    };
    let is_the_same = redirected == endpoint
        || parts(SERVICE, &redirected).is_ok_and(|(_, host)| METADATA_HOSTS.contains(&host.as_str()));
    if danger || is_the_same { Ok(redirected) } else { Err(GcpConfigError::RedirectedMetadata) }
}

fn check(service: &'static str, url: &str, danger: bool) -> Result<(), GcpConfigError> {
    let (scheme, host) = parts(service, url)?;
    let is_googles = host == "googleapis.com" || host.ends_with(".googleapis.com");
    match scheme.as_str() {
        "https" if danger || is_googles || is_this_machine(&host) => Ok(()),
        "https" => Err(GcpConfigError::ForeignEndpoint { service }),
        "http" if danger || is_this_machine(&host) => Ok(()),
        "http" => Err(GcpConfigError::PlainEndpoint { service }),
        _ => Err(GcpConfigError::BadEndpoint { service }),
    }
}

/// Scheme and host of a URL that has no more than these and a port.
fn parts(service: &'static str, url: &str) -> Result<(String, String), GcpConfigError> {
    let bad = || GcpConfigError::BadEndpoint { service };
    let uri: Uri = url.parse().map_err(|_| bad())?;
    let (scheme, authority) = (uri.scheme_str().ok_or_else(bad)?, uri.authority().ok_or_else(bad)?);
    if authority.as_str().contains('@') || uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return Err(bad());
    }
    Ok((scheme.to_owned(), authority.host().to_ascii_lowercase()))
}

fn trimmed(url: &str) -> String {
    url.trim_end_matches('/').to_owned()
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoints;

    fn with_kms(url: &str, danger: bool) -> Result<Resolved, GcpConfigError> {
        let endpoints = Endpoints { kms: Some(url.to_owned()), ..Endpoints::default() };
        let config = GcpConfig { endpoints, danger_allow_endpoint_overrides: danger, ..GcpConfig::default() };
        resolve(&config, |_| None)
    }

    fn redirected(
        to: &'static str,
        danger: bool,
        metadata: Option<&str>,
    ) -> Result<Resolved, GcpConfigError> {
        let endpoints = Endpoints { metadata: metadata.map(str::to_owned), ..Endpoints::default() };
        let config = GcpConfig { endpoints, danger_allow_endpoint_overrides: danger, ..GcpConfig::default() };
        resolve(&config, |name| (name == METADATA_VARIABLE).then(|| to.to_owned()))
    }

    #[test]
    fn googles_own_endpoints_are_the_default() {
        let resolved = resolve(&GcpConfig::default(), |_| None).unwrap();
        assert_eq!(
            (resolved.kms.as_str(), resolved.iam_credentials.as_str(), resolved.metadata.as_str()),
            (KMS, IAM_CREDENTIALS, METADATA)
        );
        assert_eq!(resolved.sts, None);
    }

    #[test]
    fn plaintext_keys_leave_neither_the_machine_nor_googles_domain() {
        for here in
            ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://kms-x.p.googleapis.com/"]
        {
            assert!(with_kms(here, false).is_ok(), "{here}");
        }
        for away in
            ["https://kms.example", "https://googleapis.com.evil.example", "https://evilgoogleapis.com"]
        {
            let error = with_kms(away, false).unwrap_err();
            assert!(matches!(error, GcpConfigError::ForeignEndpoint { service: "kms" }), "{away}");
            assert!(with_kms(away, true).is_ok());
        }
        for clear in ["http://10.0.0.1", "http://cloudkms.googleapis.com", "http://localhost.evil.example"] {
            let error = with_kms(clear, false).unwrap_err();
            assert!(matches!(error, GcpConfigError::PlainEndpoint { service: "kms" }), "{clear}");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for bad in [
            "",
            "kms",
            "ftp://x",
            "https://",
            "https://u:p@x",
            "https://x/path",
            "https://x?q",
            "https://x y",
        ] {
            let error = with_kms(bad, true).unwrap_err();
            assert!(matches!(error, GcpConfigError::BadEndpoint { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn the_environment_cannot_redirect_us_unless_it_is_allowed_to() {
        let error = redirected("evil.example", false, None).unwrap_err();
        assert!(matches!(error, GcpConfigError::RedirectedMetadata));
        assert_eq!(redirected("evil.example", true, None).unwrap().metadata, "http://evil.example");
        assert_eq!(
            redirected("127.0.0.1:8080", false, Some("127.0.0.1:8080")).unwrap().metadata,
            "http://127.0.0.1:8080"
        );
        assert_eq!(
            redirected("169.254.169.254", false, None).unwrap().metadata,
            "http://169.254.169.254",
            "the same server by another name"
        );
    }

    #[test]
    fn p4_the_environment_cannot_make_the_sdk_log_keys() {
        let logging = |name: &str| (name == LOGGING_VARIABLE).then(|| "true".to_owned());
        let config = GcpConfig { danger_allow_endpoint_overrides: true, ..GcpConfig::default() };
        assert!(matches!(resolve(&config, logging), Err(GcpConfigError::PlaintextLogging)));
    }

    #[test]
    fn the_metadata_server_is_never_far_away() {
        let far = Endpoints { metadata: Some("10.0.0.1:80".to_owned()), ..Endpoints::default() };
        let config = GcpConfig { endpoints: far, ..GcpConfig::default() };
        let error = resolve(&config, |_| None).unwrap_err();
        assert!(matches!(error, GcpConfigError::PlainEndpoint { service: "metadata" }));
    }
}
