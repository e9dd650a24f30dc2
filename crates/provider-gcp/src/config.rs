//! The operator's settings for GCP: plain data, until [`crate::GcpProvider::build`] turns them into running parts.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::name::{Location, NameError, Principal, ProjectId};

/// How this deployment reaches GCP.
///
/// There is no setting for certificate authorities of one's own: Google's client for Cloud KMS takes none.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GcpConfig {
    /// Who we are before we become anybody. Default: the application default credentials.
    pub identity: BaseIdentity,
    /// The principal that tenants' policies are to name. Default: what the metadata server or the credentials file says.
    /// Needed for a federated identity without a service account, and for a person's credentials.
    pub principal: Option<Principal>,
    /// The projects that are ours: what is in them is no tenant's, whoever names it. Default: the project of our principal,
    /// and that of the machine where a metadata server is our identity. Needed where neither is known, because the
    /// principal says no more than a project's number, or is a person; and for projects of ours besides these.
    pub own_projects: Vec<ProjectId>,
    /// The locations in which tenants' keys may be. Default: all.
    pub allowed_locations: Vec<Location>,
    /// Where the services are, if not where Google has them.
    pub endpoints: Endpoints,
    /// Lets `GCE_METADATA_HOST` redirect us, lets an endpoint be outside of Google's domain or plain HTTP off this machine,
    /// where a wrap sends plaintext, and lets a proxy of the environment see what a credentials file makes us. Default:
    /// false.
    pub danger_allow_endpoint_overrides: bool,
}

/// Other places for the services: `https://` within `googleapis.com`, for example of Private Service Connect, or `http://` on
/// this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// Cloud KMS; `https://cloudkms.googleapis.com` by default.
    pub kms: Option<String>,
    /// IAM Service Account Credentials; `https://iamcredentials.googleapis.com` by default.
    pub iam_credentials: Option<String>,
    /// The Security Token Service of workload identity federation; what the credentials file says by default.
    pub sts: Option<String>,
    /// The metadata server, with or without `http://`; `169.254.169.254` by default, which a machine without IPv4 has at
    /// `[fd20:ce::254]`.
    pub metadata: Option<String>,
}

/// Who we are before we become anybody.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BaseIdentity {
    /// The application default credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names (a service account's key
    /// among others), the file that gcloud leaves, or else the metadata server.
    #[default]
    Ambient,
    /// The metadata server of Compute Engine, GKE or Cloud Run.
    Metadata,
    /// Workload identity federation.
    WorkloadIdentityFederation {
        /// The credentials file of type `external_account` that `gcloud iam workload-identity-pools create-cred-config`
        /// writes. Read once, at the start; the subject token that it points to is read each time.
        file: PathBuf,
    },
    /// This access token, for tests and the simulator.
    #[serde(skip)]
    Fixed(FixedToken),
}

/// An access token that is never renewed. Wiped when it is dropped.
#[derive(Clone)]
pub struct FixedToken(pub(crate) Zeroizing<String>);

impl FixedToken {
    /// This token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(Zeroizing::new(token.into()))
    }
}

impl fmt::Debug for FixedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FixedToken(..)")
    }
}

/// Settings for GCP that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GcpConfigError {
    /// An endpoint that is no URL.
    #[error("the {service} endpoint is not a URL: give scheme, host and port only")]
    BadEndpoint {
        /// Which service.
        service: &'static str,
    },
    /// An endpoint that would carry keys or tokens in the clear.
    #[error(
        "the {service} endpoint is plain HTTP on another machine: use https, or set danger_allow_endpoint_overrides"
    )]
    PlainEndpoint {
        /// Which service.
        service: &'static str,
    },
    /// An endpoint that is neither Google's nor on this machine.
    #[error(
        "the {service} endpoint is outside of googleapis.com, and keys and tokens are sent there: set \
         danger_allow_endpoint_overrides if that is meant"
    )]
    ForeignEndpoint {
        /// Which service.
        service: &'static str,
    },
    /// The environment redirects the metadata server although it may not.
    #[error(
        "GCE_METADATA_HOST redirects Google's client to another metadata server: unset it, name the same in \
         gcp.endpoints.metadata, or set danger_allow_endpoint_overrides"
    )]
    RedirectedMetadata,
    /// The environment would have a proxy see our own identity.
    #[error(
        "the environment names a proxy for {host}, and our own credentials would be sent through it: add it to NO_PROXY, \
         or set danger_allow_endpoint_overrides"
    )]
    Proxied {
        /// Which place is behind the proxy.
        host: String,
    },
    /// The environment makes Google's client print what it decrypts.
    #[error("GOOGLE_CLOUD_RUST_LOGGING makes Google's client log plaintext keys: unset it")]
    PlaintextLogging,
    /// A credentials file that could not be read.
    #[error("cannot read the credentials in {path}")]
    UnreadableCredentials {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A credentials file that is not what was asked for.
    #[error("{path} is not a credentials file that can be used: {reason}")]
    BadCredentials {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nothing tells what is ours from what is a tenant's.
    #[error(
        "nothing says which projects are ours, and so which keys and service accounts no tenant may name: set \
         gcp.own_projects"
    )]
    NoOwnProject,
    /// A key of the operator's own that is not named as one.
    #[error("{key} is not the name of a key")]
    BadKey {
        /// What was given.
        key: String,
        /// What a name looks like.
        #[source]
        source: NameError,
    },
    /// A key of the operator's own in a location that is not allowed.
    #[error("{key} is not in one of allowed_locations")]
    KeyLocation {
        /// Which key.
        key: String,
    },
    /// An HTTP client could not be made.
    #[error("the client could not be set up")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<GcpConfig, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(parse(r#"{ "identiy": "metadata" }"#).is_err());
        assert!(parse(r#"{ "endpoints": { "storage": "https://x" } }"#).is_err());
        assert!(parse(r#"{ "own_projects": ["123456789012"] }"#).is_err(), "a number is no id");
        assert!(
            parse(r#"{ "identity": { "fixed": "token" } }"#).is_err(),
            "credentials are never configured"
        );
        assert!(
            parse(r#"{ "identity": { "workload_identity_federation": { "file": "f", "x": 1 } } }"#).is_err()
        );
    }

    #[test]
    fn an_empty_configuration_is_a_whole_one() {
        let config = parse("{}").unwrap();
        assert!(!config.danger_allow_endpoint_overrides && config.allowed_locations.is_empty());
        assert!(matches!(config.identity, BaseIdentity::Ambient));
    }

    #[test]
    fn each_identity_can_be_named() {
        let federated = r#"{ "identity": { "workload_identity_federation": { "file": "/etc/wif.json" } } }"#;
        assert!(matches!(
            parse(federated).unwrap().identity,
            BaseIdentity::WorkloadIdentityFederation { .. }
        ));
        assert!(matches!(parse(r#"{ "identity": "metadata" }"#).unwrap().identity, BaseIdentity::Metadata));
    }

    #[test]
    fn debugging_the_configuration_shows_no_token() {
        let identity = BaseIdentity::Fixed(FixedToken::new("hush-hush"));
        let text = format!("{:?}", GcpConfig { identity, ..GcpConfig::default() });
        assert!(!text.contains("hush-hush"), "{text}");
    }
}
