//! Whether the environment has Google's client go through a proxy.
//!
//! Our own connections take none. The client that reads credentials files cannot be told so: it sends our identity through
//! whatever the environment names.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use serde_json::Value;

use crate::config::GcpConfigError;

/// Where that client goes by itself, whatever the file says.
const GOOGLES: [&str; 3] =
    ["https://sts.googleapis.com", "https://oauth2.googleapis.com", "https://iamcredentials.googleapis.com"];

/// That no place which `credentials` has that client ask is behind a proxy, by the same rules as the client's own.
pub(crate) fn check(
    credentials: &Value,
    danger: bool,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<(), GcpConfigError> {
    let variable = |names: [&str; 2]| names.into_iter().find_map(&environment).unwrap_or_default();
    let matcher = Matcher::builder()
        .all(variable(["ALL_PROXY", "all_proxy"]))
        .http(variable(["HTTP_PROXY", "http_proxy"]))
        .https(variable(["HTTPS_PROXY", "https_proxy"]))
        .no(variable(["NO_PROXY", "no_proxy"]))
        .build();
    let mut asked: Vec<Uri> = GOOGLES.into_iter().map(Uri::from_static).collect();
    places(credentials, &mut asked);
    match asked.iter().find(|url| matcher.intercept(url).is_some()) {
        Some(url) if !danger => {
            Err(GcpConfigError::Proxied { host: url.host().unwrap_or_default().to_owned() })
        }
        _ => Ok(()),
    }
}

/// What that client asks by the word of a credentials file, of those that it goes through too. Files name more places, as for
/// people to sign in at.
fn places(credentials: &Value, found: &mut Vec<Uri>) {
    for field in ["token_url", "token_uri", "service_account_impersonation_url", "credential_source"] {
        credentials.get(field).into_iter().for_each(|value| urls(value, found));
    }
    credentials.get("source_credentials").into_iter().for_each(|source| places(source, found));
}

/// Every URL anywhere in `value`.
fn urls(value: &Value, found: &mut Vec<Uri>) {
    match value {
        Value::String(text) if text.starts_with("http://") || text.starts_with("https://") => {
            found.extend(text.parse::<Uri>());
        }
        Value::Array(values) => values.iter().for_each(|value| urls(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| urls(value, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn proxied(environment: &[(&str, &str)], danger: bool) -> bool {
        let file = json!({
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": { "url": "http://169.254.169.254/metadata/identity" },
        });
        let variable = |asked: &str| {
            environment.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
        };
        let outcome = check(&file, danger, variable);
        assert!(outcome.is_ok() || matches!(outcome, Err(GcpConfigError::Proxied { .. })));
        outcome.is_err()
    }

    #[test]
    fn p8_no_proxy_of_the_environment_sees_our_identity() {
        const PROXY: &str = "http://proxy.example:3128";
        for environment in [
            &[("HTTPS_PROXY", PROXY)][..],
            &[("https_proxy", PROXY)],
            &[("HTTP_PROXY", PROXY)],
            &[("all_proxy", PROXY)],
            &[("HTTPS_PROXY", PROXY), ("NO_PROXY", "169.254.169.254,sts.googleapis.com")],
            &[("ALL_PROXY", PROXY), ("NO_PROXY", ".googleapis.com")],
            &[("HTTPS_PROXY", PROXY), ("NO_PROXY", "evilgoogleapis.com")],
        ] {
            assert!(proxied(environment, false), "{environment:?}");
            assert!(!proxied(environment, true), "{environment:?}");
        }
    }

    #[test]
    fn places_that_are_never_asked_are_nobodys_business() {
        let signs_in = "https://accounts.example/o/oauth2/auth";
        let asked = "https://token.example/token";
        for (file, is_asked) in [
            (json!({ "auth_uri": signs_in, "client_x509_cert_url": signs_in }), false),
            (json!({ "source_credentials": { "auth_uri": signs_in } }), false),
            (json!({ "token_uri": asked }), true),
            (json!({ "source_credentials": { "token_uri": asked } }), true),
            (json!({ "service_account_impersonation_url": asked }), true),
            (json!({ "credential_source": { "url": asked } }), true),
        ] {
            let variable = |name: &str| match name {
                "HTTPS_PROXY" => Some("http://proxy.example:3128".to_owned()),
                "NO_PROXY" => Some(".googleapis.com".to_owned()),
                _ => None,
            };
            assert_eq!(check(&file, false, variable).is_err(), is_asked, "{file}");
        }
    }

    #[test]
    fn a_proxy_for_other_places_is_nobodys_business() {
        const PROXY: &str = "http://proxy.example:3128";
        for environment in [
            &[][..],
            &[("HTTPS_PROXY", "")],
            &[("HTTPS_PROXY", PROXY), ("NO_PROXY", ".googleapis.com")],
            &[("all_proxy", PROXY), ("no_proxy", "googleapis.com, 169.254.0.0/16")],
        ] {
            assert!(!proxied(environment, false), "{environment:?}");
        }
    }
}
