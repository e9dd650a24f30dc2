//! The operator's settings for AWS: plain data, until [`crate::AwsProvider::build`] turns them into running parts.

use std::path::PathBuf;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use crate::arn::{Region, RoleArn};

/// How this deployment reaches AWS.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AwsConfig {
    /// The region whose STS we ask. Default: what the environment, the profile or the instance says.
    pub region: Option<Region>,
    /// The regions in which tenants' keys may be. Default: `region` alone.
    pub allowed_regions: Vec<Region>,
    /// Where STS and KMS are, if not where AWS has them.
    pub endpoints: Endpoints,
    /// Lets `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_STS` and `AWS_ENDPOINT_URL_KMS` redirect our calls, and lets an endpoint
    /// be plain HTTP off this machine. A wrap sends plaintext there. Default: false, and the variables are ignored.
    pub danger_allow_endpoint_overrides: bool,
    /// Whether to use the endpoints that AWS validated under FIPS 140. Default: false.
    pub use_fips: bool,
    /// Whether to use the endpoints that also speak IPv6. Default: false.
    pub use_dual_stack: bool,
    /// PEM files with certificate authorities to trust besides the system's.
    pub extra_root_cas: Vec<PathBuf>,
    /// The principal that tenants' trust policies are to name. Default: what GetCallerIdentity says, which leaves out the
    /// path of a role; set it if ours has one.
    pub principal: Option<RoleArn>,
    /// Who we are before we become anybody. Not part of a configuration file: no credentials are stored (promise P8).
    #[serde(skip)]
    pub base: BaseIdentity,
}

/// Other places for the services. `{region}` stands for the region. `https://` only, unless the host is this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Endpoints {
    /// The STS endpoint.
    pub sts: Option<String>,
    /// The KMS endpoint.
    pub kms: Option<String>,
}

/// Who we are before we become anybody.
#[derive(Debug, Clone, Default)]
pub enum BaseIdentity {
    /// The SDK's default chain: environment, profile, web identity, ECS or EKS container, IMDSv2. Kept until shortly before
    /// it expires, then loaded anew.
    #[default]
    DefaultChain,
    /// These, for tests and the simulator.
    Fixed(Credentials),
    /// A source of one's own, asked as the default chain would be.
    Source(SharedCredentialsProvider),
}

impl BaseIdentity {
    /// This access key, for tests and the simulator.
    #[must_use]
    pub fn fixed(access_key_id: impl Into<String>, secret_access_key: impl Into<String>) -> Self {
        Self::Fixed(Credentials::new(access_key_id, secret_access_key, None, None, "fixed"))
    }
}

/// Settings for AWS that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AwsConfigError {
    /// Neither the settings nor the environment name a region.
    #[error("no AWS region: set aws.region, or AWS_REGION")]
    NoRegion,
    /// A region of another partition than ours; nothing crosses between partitions.
    #[error(
        "region {region} is not in the partition of our own region {own}: run a deployment per partition"
    )]
    ForeignRegion {
        /// The one that is too many.
        region: Region,
        /// Ours.
        own: Region,
    },
    /// One of the platform's own keys that cannot be used.
    #[error("the platform's own key {key} cannot be used: {why}")]
    BadOperatorKey {
        /// Which.
        key: String,
        /// What to change.
        why: String,
    },
    /// An endpoint that is no URL.
    #[error("the {service} endpoint is not a URL: give scheme, host and port only")]
    BadEndpoint {
        /// `sts` or `kms`.
        service: &'static str,
    },
    /// An endpoint that would carry plaintext keys in the clear.
    #[error(
        "the {service} endpoint is plain HTTP on another machine, and a wrap sends plaintext keys there: use https, or set \
         danger_allow_endpoint_overrides"
    )]
    PlainEndpoint {
        /// `sts` or `kms`.
        service: &'static str,
    },
    /// FIPS or dual-stack endpoints and endpoints of one's own exclude each other.
    #[error(
        "use_fips and use_dual_stack choose among AWS's endpoints: they do not go with endpoints of your own"
    )]
    SwitchesWithEndpoints,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_refused() {
        assert!(serde_json::from_str::<AwsConfig>(r#"{ "regoin": "eu-central-1" }"#).is_err());
        assert!(serde_json::from_str::<AwsConfig>(r#"{ "endpoints": { "s3": "https://x" } }"#).is_err());
        assert!(
            serde_json::from_str::<AwsConfig>(r#"{ "base": {} }"#).is_err(),
            "credentials are never configured"
        );
    }

    #[test]
    fn an_empty_configuration_is_a_whole_one() {
        let config: AwsConfig = serde_json::from_str("{}").unwrap();
        assert!(!config.danger_allow_endpoint_overrides && config.allowed_regions.is_empty());
        assert!(matches!(config.base, BaseIdentity::DefaultChain));
    }

    #[test]
    fn debugging_the_configuration_shows_no_secret_key() {
        let base =
            BaseIdentity::Fixed(Credentials::new("AKID", "hush-hush", Some("session".into()), None, "test"));
        let text = format!("{:?}", AwsConfig { base, ..AwsConfig::default() });
        assert!(!text.contains("hush-hush") && !text.contains("session\""), "{text}");
    }
}
