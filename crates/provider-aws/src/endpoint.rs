//! Where the services are, and who may say so.

use std::collections::BTreeSet;
use std::net::IpAddr;

use http::Uri;

use crate::arn::Region;
use crate::config::{AwsConfig, AwsConfigError, Endpoints};

/// The SDKs' variable for all services.
const ALL: &str = "AWS_ENDPOINT_URL";
/// Their variable for STS alone.
const STS: &str = "AWS_ENDPOINT_URL_STS";
/// Their variable for KMS alone.
const KMS: &str = "AWS_ENDPOINT_URL_KMS";

/// The endpoints that `config` asks for, with the environment's where that is allowed.
pub(crate) fn resolve(
    config: &AwsConfig,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Endpoints, AwsConfigError> {
    let mut endpoints = config.endpoints.clone();
    if config.danger_allow_endpoint_overrides {
        let environment = |name| environment(name).filter(|url| !url.is_empty());
        endpoints.sts = endpoints.sts.or_else(|| environment(STS)).or_else(|| environment(ALL));
        endpoints.kms = endpoints.kms.or_else(|| environment(KMS)).or_else(|| environment(ALL));
    }
    if (config.use_fips || config.use_dual_stack) && endpoints != Endpoints::default() {
        return Err(AwsConfigError::SwitchesWithEndpoints);
    }
    for (service, endpoint) in [("sts", &endpoints.sts), ("kms", &endpoints.kms)] {
        if let Some(endpoint) = endpoint {
            check(service, endpoint, config.danger_allow_endpoint_overrides)?;
        }
    }
    Ok(endpoints)
}

/// The hosts to which the environment would redirect STS although it may not. The SDK's own sources of base credentials
/// honour those variables whatever we say, so calls to these hosts are stopped on their way out.
pub(crate) fn forbidden(
    config: &AwsConfig,
    environment: impl Fn(&str) -> Option<String>,
) -> BTreeSet<String> {
    if config.danger_allow_endpoint_overrides {
        return BTreeSet::new();
    }
    let urls = [STS, ALL].into_iter().filter_map(environment);
    urls.filter_map(|url| url.parse::<Uri>().ok()?.authority().map(|authority| authority.as_str().to_owned()))
        .collect()
}

/// `template` for `region`.
pub(crate) fn in_region(template: &str, region: &Region) -> String {
    template.replace("{region}", region.as_str())
}

fn check(service: &'static str, template: &str, danger: bool) -> Result<(), AwsConfigError> {
    let bad = || AwsConfigError::BadEndpoint { service };
    // Any region will do: the check is of the URL around it.
    let uri: Uri = template.replace("{region}", "eu-central-1").parse().map_err(|_| bad())?;
    let (scheme, authority) = (uri.scheme_str().ok_or_else(bad)?, uri.authority().ok_or_else(bad)?);
    if authority.as_str().contains('@') || uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return Err(bad());
    }
    match scheme {
        "https" => Ok(()),
        "http" if danger || is_this_machine(authority.host()) => Ok(()),
        "http" => Err(AwsConfigError::PlainEndpoint { service }),
        _ => Err(bad()),
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(sts: Option<&str>, danger: bool) -> AwsConfig {
        let endpoints = Endpoints { sts: sts.map(str::to_owned), kms: None };
        AwsConfig { endpoints, danger_allow_endpoint_overrides: danger, ..AwsConfig::default() }
    }

    fn hostile(name: &str) -> Option<String> {
        name.starts_with("AWS_ENDPOINT_URL")
            .then(|| format!("https://{}.example", name.to_lowercase().replace('_', "-")))
    }

    #[test]
    fn the_environment_cannot_redirect_us_unless_it_is_allowed_to() {
        assert_eq!(resolve(&config(None, false), hostile).unwrap(), Endpoints::default());
        let allowed = resolve(&config(None, true), hostile).unwrap();
        assert_eq!(allowed.sts.as_deref(), Some("https://aws-endpoint-url-sts.example"));
        assert_eq!(allowed.kms.as_deref(), Some("https://aws-endpoint-url-kms.example"));
        let general = resolve(&config(None, true), |name| hostile(name).filter(|_| name == ALL)).unwrap();
        assert_eq!(general.kms.as_deref(), Some("https://aws-endpoint-url.example"));
    }

    #[test]
    fn the_configuration_goes_before_the_environment() {
        let endpoints = resolve(&config(Some("https://own.example"), true), hostile).unwrap();
        assert_eq!(endpoints.sts.as_deref(), Some("https://own.example"));
    }

    #[test]
    fn hosts_that_the_environment_may_not_name_are_known() {
        let hosts = forbidden(&config(None, false), hostile);
        assert!(hosts.contains("aws-endpoint-url-sts.example") && hosts.contains("aws-endpoint-url.example"));
        assert!(forbidden(&config(None, true), hostile).is_empty());
    }

    #[test]
    fn plaintext_keys_do_not_leave_the_machine_in_the_clear() {
        for here in ["http://127.0.0.1:4566", "http://[::1]:1", "http://localhost:1", "https://vpce.example"]
        {
            assert!(resolve(&config(Some(here), false), |_| None).is_ok(), "{here}");
        }
        for away in ["http://10.0.0.1", "http://kms.{region}.example", "http://localhost.evil.example"] {
            let error = resolve(&config(Some(away), false), |_| None).unwrap_err();
            assert!(matches!(error, AwsConfigError::PlainEndpoint { service: "sts" }), "{away}");
            assert!(resolve(&config(Some(away), true), |_| None).is_ok());
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for bad in [
            "",
            "sts",
            "ftp://x",
            "https://",
            "https://u:p@x",
            "https://x/path",
            "https://x?q",
            "https://x y",
        ] {
            let error = resolve(&config(Some(bad), true), |_| None).unwrap_err();
            assert!(matches!(error, AwsConfigError::BadEndpoint { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn switches_among_awss_endpoints_exclude_endpoints_of_ones_own() {
        let both = AwsConfig { use_fips: true, ..config(Some("https://x"), false) };
        assert!(matches!(resolve(&both, |_| None), Err(AwsConfigError::SwitchesWithEndpoints)));
    }

    #[test]
    fn an_endpoint_can_have_the_region_in_it() {
        let region = "eu-central-1".parse().unwrap();
        assert_eq!(in_region("https://kms.{region}.example", &region), "https://kms.eu-central-1.example");
    }
}
