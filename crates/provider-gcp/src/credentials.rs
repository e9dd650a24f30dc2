//! Credentials files: which one, who it makes us, and that it sends our tokens nowhere but to Google.

use std::path::{Path, PathBuf};

use serde_json::Value;
use zeroize::Zeroizing;

use crate::config::{GcpConfig, GcpConfigError};
use crate::endpoint::{self, Resolved};
use crate::name::Principal;

/// The domain of Google's public cloud.
const UNIVERSE: &str = "googleapis.com";

/// The file of a federated identity, with our endpoints in it.
pub(crate) fn read_external_account(
    path: &Path,
    config: &GcpConfig,
    resolved: &Resolved,
) -> Result<Value, GcpConfigError> {
    let mut account = read_json(path)?;
    let is_external = account.get("type").and_then(Value::as_str) == Some("external_account");
    let Some(fields) = account.as_object_mut().filter(|_| is_external) else {
        return Err(GcpConfigError::BadCredentials {
            path: path.to_owned(),
            reason: "its type is not external_account",
        });
    };
    if let Some(sts) = &resolved.sts {
        fields.insert("token_url".to_owned(), format!("{sts}/v1/token").into());
    }
    if config.endpoints.iam_credentials.is_some() {
        let url = fields.get("service_account_impersonation_url").and_then(Value::as_str);
        if let Some(email) = url.and_then(impersonated) {
            let url = format!(
                "{}/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
                resolved.iam_credentials
            );
            fields.insert("service_account_impersonation_url".to_owned(), url.into());
        }
    }
    check_urls(path, &account, config.danger_allow_endpoint_overrides)?;
    Ok(account)
}

/// The file that the SDK would take application default credentials from, if there is one.
pub(crate) fn ambient_file() -> Result<Option<(PathBuf, Value)>, GcpConfigError> {
    if let Some(path) = std::env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        let path = PathBuf::from(path);
        return read_json(&path).map(|file| Some((path, file)));
    }
    let Some(home) = std::env::var_os("HOME") else { return Ok(None) };
    let path = Path::new(&home).join(".config/gcloud/application_default_credentials.json");
    match read_json(&path) {
        Ok(file) => Ok(Some((path, file))),
        Err(GcpConfigError::UnreadableCredentials { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn read_json(path: &Path) -> Result<Value, GcpConfigError> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text =
        text.map_err(|source| GcpConfigError::UnreadableCredentials { path: path.to_owned(), source })?;
    // The parser's words may quote the file, which holds secrets.
    serde_json::from_str(&text)
        .map_err(|_| GcpConfigError::BadCredentials { path: path.to_owned(), reason: "it is not JSON" })
}

/// That tokens of ours are sent to nobody but Google, whatever the file says, also of credentials that it goes through.
pub(crate) fn check_urls(path: &Path, credentials: &Value, danger: bool) -> Result<(), GcpConfigError> {
    let bad = |reason| GcpConfigError::BadCredentials { path: path.to_owned(), reason };
    for (field, service) in [
        ("token_url", "sts"),
        ("token_uri", "oauth"),
        ("service_account_impersonation_url", "iam_credentials"),
    ] {
        match credentials.get(field) {
            None => {}
            Some(Value::String(url)) => endpoint::check_url(service, url, danger)?,
            Some(_) => return Err(bad("one of its URLs is not text")),
        }
    }
    // Google's client puts it into URLs that the file does not name.
    if !danger && credentials.get("universe_domain").is_some_and(|domain| domain != UNIVERSE) {
        return Err(bad("its universe_domain is not googleapis.com"));
    }
    credentials.get("source_credentials").map_or(Ok(()), |source| check_urls(path, source, danger))
}

/// Who a credentials file makes us, if it says so.
pub(crate) fn named_in(credentials: &Value) -> Option<Principal> {
    let text = |field| credentials.get(field).and_then(Value::as_str);
    let email =
        text("service_account_impersonation_url").and_then(impersonated).or_else(|| text("client_email"));
    email?.parse().ok()
}

/// The service account whose key a credentials file is, if it is one. Google's client signs tokens with such a key by itself.
pub(crate) fn signer(credentials: &Value) -> Option<Box<str>> {
    let is_key = credentials.get("type").and_then(Value::as_str) == Some("service_account");
    let email: Principal = credentials.get("client_email").filter(|_| is_key)?.as_str()?.parse().ok()?;
    email.as_member().strip_prefix("serviceAccount:").map(Into::into)
}

/// The email in a URL of generateAccessToken.
fn impersonated(url: &str) -> Option<&str> {
    url.rsplit_once("/serviceAccounts/")?.1.strip_suffix(":generateAccessToken")
}
