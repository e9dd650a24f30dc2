//! Operations that only tell: DescribeKey, GetKeyPolicy, ListKeys, ListAliases.

use serde_json::{Value, json};

use super::{KmsCall, parameters};
use crate::aws::call::Service;
use crate::aws::error::AwsError;
use crate::aws::world::State;
use crate::aws::world::key::{Key, KeySpec, KeyState, KeyUsage};
use crate::clock::Timestamp;

/// Entries of one page unless the caller says otherwise.
const PAGE: u32 = 100;

impl KmsCall<'_> {
    pub(super) fn describe_key(&mut self, state: &State) -> Result<Value, AwsError> {
        let named = parameters::text(self.input, "KeyId")?;
        let key = self.authorized(state, named, "kms:DescribeKey", None)?;
        Ok(json!({"KeyMetadata": metadata(key, self.caller.now)}))
    }

    pub(super) fn get_key_policy(&mut self, state: &State) -> Result<Value, AwsError> {
        let named = parameters::text(self.input, "KeyId")?;
        let key = self.authorized(state, named, "kms:GetKeyPolicy", None)?;
        check_policy_name(self.input)?;
        let policy = key.policy.newest().first().map(Value::to_string);
        Ok(json!({"Policy": policy, "PolicyName": "default"}))
    }

    pub(super) fn list_keys(&mut self, state: &State) -> Result<Value, AwsError> {
        self.authorize_account("kms:ListKeys")?;
        let keys =
            state.accounts.get(&self.caller.account).into_iter().flat_map(|account| account.keys.values());
        let mine =
            keys.filter(|key| key.arn.region == self.caller.region && !key.is_deleted(self.caller.now));
        let entries =
            mine.map(|key| (key.arn.id.clone(), json!({"KeyId": key.arn.id, "KeyArn": key.arn.to_string()})));
        self.page("Keys", entries.collect())
    }

    pub(super) fn list_aliases(&mut self, state: &State) -> Result<Value, AwsError> {
        self.authorize_account("kms:ListAliases")?;
        let Some(account) = state.accounts.get(&self.caller.account) else {
            return self.page("Aliases", Vec::new());
        };
        let region = &self.caller.region;
        let entries =
            account.aliases.iter().filter(|((at, _), _)| at == region).map(|((_, alias), target)| {
                let arn = format!("arn:aws:kms:{region}:{}:{alias}", self.caller.account);
                (alias.clone(), json!({"AliasName": alias, "AliasArn": arn, "TargetKeyId": target}))
            });
        self.page("Aliases", entries.collect())
    }

    /// One page of entries that are sorted by their markers.
    fn page(&self, member: &str, entries: Vec<(String, Value)>) -> Result<Value, AwsError> {
        let limit = parameters::optional_number(self.input, "Limit", 1, 1000)?.unwrap_or(PAGE) as usize;
        let after = parameters::optional_text(self.input, "Marker")?;
        let rest: Vec<_> =
            entries.into_iter().filter(|(name, _)| after.is_none_or(|after| name.as_str() > after)).collect();
        let truncated = rest.len() > limit;
        let next = truncated.then(|| rest[limit - 1].0.clone());
        let shown: Vec<Value> = rest.into_iter().take(limit).map(|(_, entry)| entry).collect();
        let mut answer = json!({member: shown, "Truncated": truncated});
        if let Some(next) = next {
            answer["NextMarker"] = next.into();
        }
        Ok(answer)
    }
}

/// The one policy of a key is called `default`.
pub(super) fn check_policy_name(input: &Value) -> Result<(), AwsError> {
    match parameters::optional_text(input, "PolicyName")? {
        None | Some("default") => Ok(()),
        Some(other) => Err(AwsError::new("NotFoundException", format!("No such policy exists: {other}"))),
    }
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_KeyMetadata.html>
pub(super) fn metadata(key: &Key, now: Timestamp) -> Value {
    let state = key.state_at(now);
    let mut metadata = json!({
        "AWSAccountId": key.arn.account.to_string(),
        "KeyId": key.arn.id,
        "Arn": key.arn.to_string(),
        "CreationDate": seconds(key.created_at),
        "Enabled": state.reported() == "Enabled",
        "Description": key.description,
        "KeyUsage": key.usage.name(),
        "KeyState": state.reported(),
        "Origin": key.origin.name(),
        "KeyManager": "CUSTOMER",
        "CustomerMasterKeySpec": key.spec.name(),
        "KeySpec": key.spec.name(),
        "MultiRegion": false,
    });
    if key.usage == KeyUsage::EncryptDecrypt {
        metadata["EncryptionAlgorithms"] = match key.spec {
            KeySpec::SYMMETRIC_DEFAULT => json!(["SYMMETRIC_DEFAULT"]),
            _ => json!(["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]),
        };
    }
    if let (KeyState::PendingDeletion, Some(at)) = (state, key.deletion_at) {
        metadata["DeletionDate"] = seconds(at);
    }
    metadata
}

/// A moment as the JSON protocol writes it: seconds since the epoch, with a fraction.
pub(super) fn seconds(moment: Timestamp) -> Value {
    json!(moment.unix_millis() as f64 / 1000.0)
}

/// The policy that KMS gives a key whose maker brings none: the account decides by its identity policies.
///
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html>
pub(crate) fn default_policy(root_arn: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Id": "key-default-1",
        "Statement": [{
            "Sid": "Enable IAM User Permissions",
            "Effect": "Allow",
            "Principal": {"AWS": root_arn},
            "Action": "kms:*",
            "Resource": "*",
        }],
    })
}

/// A malformed member of an enumeration.
pub(super) fn unknown_value(member: &str, value: &str) -> AwsError {
    AwsError::constraint(Service::Kms, member, value, "satisfy enum value set")
}
