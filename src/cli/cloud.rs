//! What the command line knows of each cloud: how a binding is given and shown. To add a cloud, add it here.

use clap::{Args, Subcommand};
use leasehold_client::api::v1;
use leasehold_client::api::v1::binding::Cloud;
use serde_json::{Value, json};

use super::args::Pair;

/// The tenant's cloud.
#[derive(Debug, Subcommand)]
pub(super) enum CloudArgs {
    /// The tenant is on AWS: a role to become and a KMS key to use.
    #[command(after_help = "Example:\n  leasehold binding create acme/main aws \\\n    \
                            --kms-key arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab \\\n    \
                            --role arn:aws:iam::111122223333:role/leasehold")]
    Aws(Aws),
    /// The tenant is on Azure: a directory that lets our application in, and a Key Vault key to use.
    #[command(after_help = "Example:\n  leasehold binding create acme/main azure \\\n    \
                            --key https://acme.vault.azure.net/keys/leasehold \\\n    \
                            --directory aaaabbbb-0000-cccc-1111-dddd2222eeee")]
    Azure(Azure),
    /// The tenant is on Google Cloud: a service account to become and a Cloud KMS key to use.
    #[command(after_help = "Example:\n  leasehold binding create acme/main gcp \\\n    \
                            --kms-key projects/acme/locations/europe-west3/keyRings/leasehold/cryptoKeys/main \\\n    \
                            --service-account leasehold@acme.iam.gserviceaccount.com")]
    Gcp(Gcp),
    /// The tenant brings no key: use one of the platform's own. NOT REVOCABLE by the tenant.
    #[command(after_help = "Example:\n  leasehold binding create acme/main operator \\\n    \
                            --key arn:aws:kms:eu-central-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab")]
    Operator(Operator),
}

/// A role to become and a key to use.
#[derive(Debug, Args)]
pub(super) struct Aws {
    /// ARN of the symmetric KMS key; not of an alias.
    #[arg(long, value_name = "ARN")]
    kms_key: String,
    /// ARN of the role to become.
    #[arg(long, value_name = "ARN")]
    role: String,
    /// A role to become on the way, with its external id if it wants one; repeat for a second hop.
    #[arg(long, value_name = "ARN[,EXTERNAL_ID]")]
    chain: Vec<String>,
    /// A session tag to declare; the trust policy must allow it. Repeat for more.
    #[arg(long, value_name = "NAME=VALUE")]
    session_tag: Vec<Pair>,
    /// A session tag that stays through later hops; repeat for more.
    #[arg(long, value_name = "NAME")]
    transitive_tag: Vec<String>,
    /// The source identity to declare; the trust policy must allow it.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    source_identity: String,
}

/// A directory to be let into and a key to use.
#[derive(Debug, Args)]
pub(super) struct Azure {
    /// URL of the Key Vault key, without a version: https://VAULT.vault.azure.net/keys/NAME.
    #[arg(long, value_name = "URL")]
    key: String,
    /// The tenant's Microsoft Entra directory (what Azure calls the tenant id).
    #[arg(long, value_name = "GUID")]
    directory: String,
}

/// A service account to become and a key to use.
#[derive(Debug, Args)]
pub(super) struct Gcp {
    /// Name of the Cloud KMS key, without a version: projects/…/locations/…/keyRings/…/cryptoKeys/….
    #[arg(long, value_name = "NAME")]
    kms_key: String,
    /// The service account to become.
    #[arg(long, value_name = "EMAIL")]
    service_account: String,
    /// A service account to become on the way; repeat for more, in order.
    #[arg(long, value_name = "EMAIL")]
    delegate: Vec<String>,
}

/// A key of the platform's own.
#[derive(Debug, Args)]
pub(super) struct Operator {
    /// The key, as `[providers.operator]` of the service's configuration lists it.
    #[arg(long, value_name = "ID")]
    key: String,
}

impl CloudArgs {
    pub(super) fn into_proto(self) -> Cloud {
        match self {
            Self::Aws(aws) => Cloud::Aws(aws.into_proto()),
            Self::Azure(Azure { key, directory }) => {
                Cloud::Azure(v1::AzureBinding { key_url: key, directory_id: directory })
            }
            Self::Gcp(Gcp { kms_key, service_account, delegate }) => {
                Cloud::Gcp(v1::GcpBinding { kms_key_name: kms_key, service_account, delegates: delegate })
            }
            Self::Operator(Operator { key }) => Cloud::Operator(v1::OperatorBinding { key_id: key }),
        }
    }
}

impl Aws {
    fn into_proto(self) -> v1::AwsBinding {
        let hop = |hop: String| {
            let (role_arn, external_id) = hop.split_once(',').unwrap_or((&hop, ""));
            v1::AwsHop { role_arn: role_arn.to_owned(), external_id: external_id.to_owned() }
        };
        v1::AwsBinding {
            kms_key_arn: self.kms_key,
            role_arn: self.role,
            chain: self.chain.into_iter().map(hop).collect(),
            session_tags: self.session_tag.into_iter().map(|Pair(name, value)| (name, value)).collect(),
            transitive_tag_keys: self.transitive_tag,
            source_identity: self.source_identity,
        }
    }
}

/// The cloud's part of a binding, with the name of its field.
pub(super) fn json(cloud: &Cloud) -> (&'static str, Value) {
    match cloud {
        Cloud::Aws(aws) => ("aws", aws_json(aws)),
        Cloud::Azure(azure) => {
            ("azure", json!({ "key_url": azure.key_url, "directory_id": azure.directory_id }))
        }
        Cloud::Gcp(gcp) => (
            "gcp",
            json!({
                "kms_key_name": gcp.kms_key_name,
                "service_account": gcp.service_account,
                "delegates": gcp.delegates,
            }),
        ),
        Cloud::Operator(operator) => {
            ("operator", json!({ "key_id": operator.key_id, "revocable_by_tenant": false }))
        }
    }
}

fn aws_json(aws: &v1::AwsBinding) -> Value {
    let hop = |hop: &v1::AwsHop| json!({ "role_arn": hop.role_arn, "external_id": hop.external_id });
    json!({
        "kms_key_arn": aws.kms_key_arn,
        "role_arn": aws.role_arn,
        "chain": aws.chain.iter().map(hop).collect::<Vec<_>>(),
        "session_tags": aws.session_tags,
        "transitive_tag_keys": aws.transitive_tag_keys,
        "source_identity": aws.source_identity,
    })
}
