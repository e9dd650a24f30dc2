//! The clouds' own parts of a binding: the one place, outside a cloud's own crate, that knows the names of its settings.
//!
//! To add a cloud: its message joins the two lists at the top, and a section below says what the message's fields are called
//! in the settings that its provider reads. What is empty is left out of the settings, so that there is one way to say it.

use std::collections::HashMap;

use leasehold_envelope::KeyId;
use leasehold_ids::ProviderKind;
use leasehold_tenant::{Binding, CloudSettings};
use serde_json::{Map, Value, json};

use crate::v1::binding::Cloud;
use crate::{FieldError, v1};

/// What a tenant hands over on any cloud.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HandedOver {
    pub(super) provider: ProviderKind,
    pub(super) key: KeyId,
    pub(super) settings: CloudSettings,
}

/// What a message hands over. The settings are checked by the cloud's provider.
pub(super) fn from_proto(cloud: Option<Cloud>) -> Result<HandedOver, FieldError> {
    match cloud {
        Some(Cloud::Aws(aws)) => aws_to_settings(aws),
        Some(Cloud::Azure(azure)) => azure_to_settings(azure),
        Some(Cloud::Gcp(gcp)) => gcp_to_settings(gcp),
        Some(Cloud::Operator(operator)) => operator_to_settings(&operator),
        None => Err(FieldError::new("binding", "must name a cloud: set one of aws, azure, gcp and operator")),
    }
}

/// None for a cloud that this release of the contract cannot say.
pub(super) fn to_proto(binding: &Binding) -> Option<Cloud> {
    let (key, settings) = (&binding.key, &binding.settings.0);
    Some(match binding.provider.as_str() {
        "aws" => Cloud::Aws(aws_from_settings(key, settings)),
        "azure" => Cloud::Azure(azure_from_settings(key, settings)),
        "gcp" => Cloud::Gcp(gcp_from_settings(key, settings)),
        "operator" => Cloud::Operator(v1::OperatorBinding { key_id: key.to_string() }),
        _ => return None,
    })
}

/// The key that is the field `name` of the message for `cloud`; `form` says what one looks like.
fn handed_over(
    cloud: &str,
    (name, key): (&str, &str),
    form: &str,
    settings: Map<String, Value>,
) -> Result<HandedOver, FieldError> {
    let key = key.parse().map_err(|_| FieldError::new(format!("binding.{cloud}.{name}"), form))?;
    let provider = cloud.parse().map_err(|error| FieldError::new(format!("binding.{cloud}"), error))?;
    Ok(HandedOver { provider, key, settings: CloudSettings(settings) })
}

// === AWS ===

fn aws_to_settings(aws: v1::AwsBinding) -> Result<HandedOver, FieldError> {
    let chain: Vec<Value> = aws.chain.into_iter().map(hop_to_json).collect();
    let mut settings = Map::new();
    settings.insert("role_arn".into(), aws.role_arn.into());
    insert_unless_empty(&mut settings, "chain", chain.is_empty(), json!(chain));
    insert_unless_empty(&mut settings, "session_tags", aws.session_tags.is_empty(), json!(aws.session_tags));
    let (tags, source) = (aws.transitive_tag_keys, aws.source_identity);
    insert_unless_empty(&mut settings, "transitive_tag_keys", tags.is_empty(), json!(tags));
    insert_unless_empty(&mut settings, "source_identity", source.is_empty(), json!(source));
    let form = "must be the ARN of a KMS key, arn:aws:kms:{region}:{account}:key/{id}";
    handed_over("aws", ("kms_key_arn", &aws.kms_key_arn), form, settings)
}

fn hop_to_json(hop: v1::AwsHop) -> Value {
    let mut object = Map::new();
    object.insert("role_arn".into(), hop.role_arn.into());
    insert_unless_empty(&mut object, "external_id", hop.external_id.is_empty(), hop.external_id.into());
    Value::Object(object)
}

fn aws_from_settings(key: &KeyId, settings: &Map<String, Value>) -> v1::AwsBinding {
    let hop = |hop: &Value| v1::AwsHop {
        role_arn: text(hop.get("role_arn")),
        external_id: text(hop.get("external_id")),
    };
    v1::AwsBinding {
        kms_key_arn: key.to_string(),
        role_arn: text(settings.get("role_arn")),
        chain: list(settings.get("chain")).iter().map(hop).collect(),
        session_tags: texts_by_name(settings.get("session_tags")),
        transitive_tag_keys: texts(settings.get("transitive_tag_keys")),
        source_identity: text(settings.get("source_identity")),
    }
}

// === Azure ===

fn azure_to_settings(azure: v1::AzureBinding) -> Result<HandedOver, FieldError> {
    let settings = Map::from_iter([("directory_id".to_owned(), azure.directory_id.into())]);
    let form = "must be the URL of a Key Vault key, https://{vault}.vault.azure.net/keys/{name}";
    handed_over("azure", ("key_url", &azure.key_url), form, settings)
}

fn azure_from_settings(key: &KeyId, settings: &Map<String, Value>) -> v1::AzureBinding {
    v1::AzureBinding { key_url: key.to_string(), directory_id: text(settings.get("directory_id")) }
}

// === Google Cloud ===

fn gcp_to_settings(gcp: v1::GcpBinding) -> Result<HandedOver, FieldError> {
    let mut settings = Map::from_iter([("service_account".to_owned(), gcp.service_account.into())]);
    insert_unless_empty(&mut settings, "delegates", gcp.delegates.is_empty(), json!(gcp.delegates));
    let form = "must be the name of a Cloud KMS key, \
                projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{key}";
    handed_over("gcp", ("kms_key_name", &gcp.kms_key_name), form, settings)
}

fn gcp_from_settings(key: &KeyId, settings: &Map<String, Value>) -> v1::GcpBinding {
    v1::GcpBinding {
        kms_key_name: key.to_string(),
        service_account: text(settings.get("service_account")),
        delegates: texts(settings.get("delegates")),
    }
}

// === The platform's own key ===

fn operator_to_settings(operator: &v1::OperatorBinding) -> Result<HandedOver, FieldError> {
    let form = "must be one of the keys that the operator's configuration lists";
    handed_over("operator", ("key_id", &operator.key_id), form, Map::new())
}

// === Reading and writing settings ===

fn insert_unless_empty(into: &mut Map<String, Value>, name: &str, empty: bool, value: Value) {
    if !empty {
        into.insert(name.into(), value);
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    list(value).iter().map(|item| text(Some(item))).collect()
}

fn texts_by_name(value: Option<&Value>) -> HashMap<String, String> {
    let entries = value.and_then(Value::as_object).into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), text(Some(value)))).collect()
}

#[cfg(test)]
#[path = "cloud_tests.rs"]
mod tests;
