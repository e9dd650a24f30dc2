//! Other places to connect to, and who may name them.

use std::net::IpAddr;

use url::{Host, Url};

use crate::config::{AzureConfig, AzureConfigError};

/// The endpoints of a configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Targets {
    /// Where to connect for Entra ID.
    pub(crate) entra: Option<Target>,
    /// Where to connect for any vault.
    pub(crate) key_vault: Option<Target>,
    /// Where the instance metadata service is; asked by this address, and in plain HTTP if it says so.
    pub(crate) managed_identity: Option<Url>,
}

/// A host and port to connect to in place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Targets {
    pub(crate) fn of(config: &AzureConfig) -> Result<Self, AzureConfigError> {
        let danger = config.danger_allow_endpoint_overrides;
        let tls = |service, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            let url = check(service, text, danger)?;
            if url.scheme() != "https" {
                return Err(AzureConfigError::PlainEndpoint { service });
            }
            let host = url.host().map(|host| match host {
                Host::Domain(name) => name.to_owned(),
                Host::Ipv4(address) => address.to_string(),
                Host::Ipv6(address) => address.to_string(),
            });
            let bad = || AzureConfigError::BadEndpoint { service };
            let port = url.port_or_known_default().ok_or_else(bad)?;
            Ok(Some(Target { host: host.ok_or_else(bad)?, port }))
        };
        let endpoints = &config.endpoints;
        let managed_identity = endpoints.managed_identity.as_deref();
        Ok(Self {
            entra: tls("entra", &endpoints.entra)?,
            key_vault: tls("key_vault", &endpoints.key_vault)?,
            managed_identity: managed_identity
                .map(|text| check("managed_identity", text, danger))
                .transpose()?,
        })
    }
}

/// The reply address of a configuration. <https://learn.microsoft.com/entra/identity-platform/reply-url>
pub(crate) fn reply_url(text: Option<&str>) -> Result<Option<Url>, AzureConfigError> {
    let Some(text) = text else { return Ok(None) };
    let url: Url = text.parse().map_err(|_| AzureConfigError::BadReplyUrl)?;
    let local = url.scheme() == "http" && url.host_str() == Some("localhost");
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if plain && (local || url.scheme() == "https") {
        Ok(Some(url))
    } else {
        Err(AzureConfigError::BadReplyUrl)
    }
}

fn check(service: &'static str, text: &str, danger: bool) -> Result<Url, AzureConfigError> {
    let bad = || AzureConfigError::BadEndpoint { service };
    let url: Url = text.parse().map_err(|_| bad())?;
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !plain || !anonymous {
        return Err(bad());
    }
    if danger || url.host().is_some_and(is_this_machine) {
        return Ok(url);
    }
    Err(AzureConfigError::EndpointElsewhere { service })
}

fn is_this_machine(host: Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => IpAddr::V4(address).is_loopback(),
        Host::Ipv6(address) => IpAddr::V6(address).is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoints;

    fn targets(change: impl FnOnce(&mut Endpoints), danger: bool) -> Result<Targets, AzureConfigError> {
        let guid = "00000000-1111-2222-3333-444444444444";
        let mut config = AzureConfig::new(guid.parse().unwrap(), guid.parse().unwrap());
        change(&mut config.endpoints);
        config.danger_allow_endpoint_overrides = danger;
        Targets::of(&config)
    }

    #[test]
    fn endpoints_on_this_machine_need_no_flag() {
        for here in ["https://127.0.0.1:4433", "https://[::1]:4433/", "https://localhost:4433"] {
            let targets = targets(|e| e.key_vault = Some(here.to_owned()), false).unwrap();
            assert_eq!(targets.key_vault.unwrap().port, 4433);
        }
        assert!(targets(|e| e.managed_identity = Some("http://127.0.0.1:80".to_owned()), false).is_ok());
    }

    #[test]
    fn endpoints_elsewhere_need_the_flag() {
        for away in ["https://10.0.0.1", "https://localhost.evil.example"] {
            let set = |e: &mut Endpoints| e.entra = Some(away.to_owned());
            let error = targets(set, false).unwrap_err();
            assert!(matches!(error, AzureConfigError::EndpointElsewhere { service: "entra" }), "{away}");
            assert_eq!(targets(set, true).unwrap().entra.unwrap().port, 443);
        }
    }

    #[test]
    fn what_carries_keys_and_credentials_is_always_tls() {
        for set in [|e: &mut Endpoints, u| e.entra = Some(u), |e: &mut Endpoints, u| e.key_vault = Some(u)] {
            let error = targets(|e| set(e, "http://127.0.0.1:1".to_owned()), true).unwrap_err();
            assert!(matches!(error, AzureConfigError::PlainEndpoint { .. }));
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for bad in [
            "",
            "login",
            "ftp://x",
            "https://",
            "https://u:p@x",
            "https://x/path",
            "https://x?q",
            "https://x#f",
        ] {
            let error = targets(|e| e.entra = Some(bad.to_owned()), true).unwrap_err();
            assert!(matches!(error, AzureConfigError::BadEndpoint { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn a_reply_address_is_one_that_can_be_registered() {
        for good in ["https://leasehold.example/thanks?from=azure", "http://localhost:8080/"] {
            assert_eq!(reply_url(Some(good)).unwrap().unwrap().as_str(), good);
        }
        assert_eq!(reply_url(None).unwrap(), None);
        for bad in
            ["", "thanks", "http://leasehold.example/", "https://u:p@x/", "https://x/#f", "javascript:x"]
        {
            assert!(matches!(reply_url(Some(bad)), Err(AzureConfigError::BadReplyUrl)), "{bad}");
        }
    }
}
