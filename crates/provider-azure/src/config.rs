//! The operator's settings for Azure: plain data, until [`crate::AzureProvider::build`] turns them into running parts.

use std::path::PathBuf;

use crate::cloud::Cloud;
use crate::ids::{ClientId, DirectoryId};

/// How this deployment reaches Azure.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureConfig {
    /// The client id of our multi-tenant application, whose service principal tenants let into their directories.
    pub client_id: ClientId,
    /// The directory in which our application is registered.
    pub directory_id: DirectoryId,
    /// How our application proves to Entra ID who it is. Default: the system-assigned managed identity.
    #[serde(default)]
    pub identity: Identity,
    /// Which of Azure's clouds. Vaults outside of it are refused. Default: `public`.
    #[serde(default)]
    pub cloud: Cloud,
    /// Where to connect, if not where Azure is.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// Lets an endpoint be off this machine. A wrap sends plaintext there. Default: false.
    #[serde(default)]
    pub danger_allow_endpoint_overrides: bool,
    /// PEM files with certificate authorities to trust besides the system's.
    #[serde(default)]
    pub extra_root_cas: Vec<PathBuf>,
    /// One of the reply addresses (redirect URIs) that are registered with our application, for example a page that says
    /// thank you. With it, kits offer tenants a link by which they let us in; without, a command alone. Default: none.
    #[serde(default)]
    pub consent_reply_url: Option<String>,
}

impl AzureConfig {
    /// A configuration that says nothing beyond who our application is.
    #[must_use]
    pub fn new(client_id: ClientId, directory_id: DirectoryId) -> Self {
        Self {
            client_id,
            directory_id,
            identity: Identity::default(),
            cloud: Cloud::default(),
            endpoints: Endpoints::default(),
            danger_allow_endpoint_overrides: false,
            extra_root_cas: Vec::new(),
            consent_reply_url: None,
        }
    }
}

/// How our application proves to Entra ID who it is. Files are read anew each time, so that they can be replaced while we
/// run; no credentials are stored (promise P8).
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// A managed identity of the virtual machine, container app or App Service that we run on, which is a federated
    /// credential of our application.
    ManagedIdentity {
        /// The client id of a user-assigned identity. Default: the system-assigned one.
        #[serde(default)]
        client_id: Option<ClientId>,
    },
    /// The token of a Kubernetes service account whose issuer is a federated credential of our application.
    WorkloadIdentity {
        /// Where the token is. Default: what `AZURE_FEDERATED_TOKEN_FILE` says.
        #[serde(default)]
        token_file: Option<PathBuf>,
    },
    /// A certificate that is registered with our application.
    Certificate {
        /// The certificate, PEM.
        certificate_file: PathBuf,
        /// Its RSA key, PEM.
        key_file: PathBuf,
    },
    /// A client secret. For trying things out: it is the one that can be stolen and used elsewhere.
    Secret {
        /// A file with the secret alone; a line end after it is ignored.
        file: PathBuf,
    },
}

impl Default for Identity {
    fn default() -> Self {
        Self::ManagedIdentity { client_id: None }
    }
}

/// Other places to connect to. Only the connection goes there: the name that we ask for, and that the certificate must have,
/// stays the one of the cloud.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// In place of Entra ID's host, for example `https://127.0.0.1:4433`.
    pub entra: Option<String>,
    /// In place of every vault's host.
    pub key_vault: Option<String>,
    /// In place of the instance metadata service, `http://169.254.169.254`. May be plain HTTP, as that is.
    pub managed_identity: Option<String>,
}

/// Settings for Azure that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AzureConfigError {
    /// An endpoint that is no URL.
    #[error("the {service} endpoint is not a URL: give scheme, host and port only")]
    BadEndpoint {
        /// Which.
        service: &'static str,
    },
    /// An endpoint that would carry plaintext keys or credentials in the clear.
    #[error("the {service} endpoint must be https")]
    PlainEndpoint {
        /// Which.
        service: &'static str,
    },
    /// An endpoint on another machine.
    #[error(
        "the {service} endpoint is on another machine, and keys and credentials are sent there: leave it out, or set \
         danger_allow_endpoint_overrides"
    )]
    EndpointElsewhere {
        /// Which.
        service: &'static str,
    },
    /// A reply address that Entra ID would not register.
    #[error("consent_reply_url is not the https URL of a page, or one on localhost")]
    BadReplyUrl,
    /// A file of certificate authorities that could not be read.
    #[error("cannot read the certificate authorities in {path}")]
    UnreadableRoots {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file without certificate authorities, or with one that is not valid.
    #[error("{path} does not hold valid PEM certificates")]
    BadRoots {
        /// Which file.
        path: PathBuf,
    },
    /// The TLS client could not be made.
    #[error("the TLS client could not be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Workload identity without a token.
    #[error(
        "no token for workload identity: set azure.identity.workload_identity.token_file, or AZURE_FEDERATED_TOKEN_FILE"
    )]
    NoTokenFile,
    /// Our own identity cannot be used as it is configured.
    #[error("our own identity cannot be used: {why}")]
    BadIdentity {
        /// What is wrong with which file.
        why: String,
    },
    /// One of the platform's own keys is not a key of this cloud.
    #[error("the platform's own key {key} cannot be used: {why}")]
    BadOperatorKey {
        /// Which.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GUID: &str = "00000000-1111-2222-3333-444444444444";

    fn parse(mut extra: serde_json::Value) -> Result<AzureConfig, serde_json::Error> {
        extra["client_id"] = json!(GUID);
        extra["directory_id"] = json!(GUID);
        serde_json::from_value(extra)
    }

    #[test]
    fn unknown_settings_are_refused() {
        for unknown in [
            json!({ "clientid": GUID }),
            json!({ "endpoints": { "graph": "https://x" } }),
            json!({ "identity": { "managed_identity": { "object_id": GUID } } }),
            json!({ "identity": { "secret": { "value": "hush" } } }),
            json!({ "identity": { "password": {} } }),
            json!({ "cloud": "germany" }),
        ] {
            assert!(parse(unknown.clone()).is_err(), "{unknown}");
        }
    }

    #[test]
    fn who_we_are_is_all_that_must_be_said() {
        let config = parse(json!({})).unwrap();
        assert_eq!(config.identity, Identity::ManagedIdentity { client_id: None });
        assert_eq!((config.cloud, config.danger_allow_endpoint_overrides), (Cloud::Public, false));
        assert!(serde_json::from_value::<AzureConfig>(json!({})).is_err());
    }

    #[test]
    fn every_kind_of_identity_can_be_written_down() {
        for (text, expected) in [
            (
                json!({ "managed_identity": { "client_id": GUID } }),
                Identity::ManagedIdentity { client_id: GUID.parse().ok() },
            ),
            (json!({ "workload_identity": {} }), Identity::WorkloadIdentity { token_file: None }),
            (
                json!({ "certificate": { "certificate_file": "/c", "key_file": "/k" } }),
                Identity::Certificate { certificate_file: "/c".into(), key_file: "/k".into() },
            ),
            (json!({ "secret": { "file": "/s" } }), Identity::Secret { file: "/s".into() }),
        ] {
            assert_eq!(parse(json!({ "identity": text })).unwrap().identity, expected);
        }
    }
}
