//! Operations of a key's owner: CreateKey, PutKeyPolicy, EnableKey, DisableKey, deletion and aliases.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::authorize::dry_run_success;
use super::describe::{check_policy_name, default_policy, metadata, seconds, unknown_value};
use super::{KmsCall, parameters};
use crate::aws::arn::KeyArn;
use crate::aws::call::Service;
use crate::aws::error::AwsError;
use crate::aws::policy::PolicyKind;
use crate::aws::world::key::{Key, KeyOrigin, KeySpec, KeyState, KeyUsage};
use crate::aws::world::keymaker::NewKey;
use crate::aws::world::policies::parse;
use crate::aws::world::{EditKind, State};

const DAY: Duration = Duration::from_secs(86_400);

impl KmsCall<'_> {
    pub(super) fn create_key(&mut self, state: &mut State) -> Result<Value, AwsError> {
        self.authorize_account("kms:CreateKey")?;
        let spec: KeySpec = self
            .optional_enum("KeySpec")?
            .or(self.optional_enum("CustomerMasterKeySpec")?)
            .unwrap_or_default();
        let usage: KeyUsage = self.optional_enum("KeyUsage")?.unwrap_or(spec.usual_usage());
        if !spec.allows(usage) {
            let message = format!("KeyUsage {} is not compatible with KeySpec {}", usage.name(), spec.name());
            return Err(AwsError::validation(Service::Kms, message));
        }
        let origin: KeyOrigin = self.optional_enum("Origin")?.unwrap_or_default();
        let policy = match parameters::optional_text(self.input, "Policy")? {
            Some(text) => policy_of(text)?,
            None => default_policy(&self.caller.account.root_arn()),
        };
        let id = uuid::Uuid::new_v4().to_string();
        let arn = KeyArn { region: self.caller.region.clone(), account: self.caller.account.clone(), id };
        self.check_lockout(&arn, &policy)?;
        let new = NewKey {
            id: Some(arn.id),
            spec,
            usage,
            origin,
            description: parameters::optional_text(self.input, "Description")?.unwrap_or_default().to_owned(),
            policy,
            state: if origin == KeyOrigin::EXTERNAL { KeyState::PendingImport } else { KeyState::Enabled },
        };
        let arn = new
            .make(state, &self.caller.account, &self.caller.region, self.caller.now)
            .map_err(|error| malformed(&error.to_string()))?;
        self.note(&arn);
        let key = state.key(&arn).ok_or_else(|| AwsError::internal(Service::Kms))?;
        Ok(json!({"KeyMetadata": metadata(key, self.caller.now)}))
    }

    pub(super) fn put_key_policy(&mut self, state: &mut State) -> Result<Value, AwsError> {
        check_policy_name(self.input)?;
        let document = policy_of(parameters::text(self.input, "Policy")?)?;
        let named = parameters::text(self.input, "KeyId")?;
        let arn = self.authorized(state, named, "kms:PutKeyPolicy", None)?.arn.clone();
        self.check_lockout(&arn, &document)?;
        let time = state.edit_time(EditKind::KeyPolicy, self.caller.now);
        let key = state.key_mut(&arn).map_err(|_| AwsError::internal(Service::Kms))?;
        key.policy.replace_single(document, time).map_err(|error| malformed(&error.to_string()))?;
        Ok(Value::Null)
    }

    /// Refuses a policy that would keep its own author from changing it again, unless the author insists.
    fn check_lockout(&self, arn: &KeyArn, document: &Value) -> Result<(), AwsError> {
        if self.input.get("BypassPolicyLockoutSafetyCheck").and_then(Value::as_bool) == Some(true) {
            return Ok(());
        }
        let policy = parse(PolicyKind::Key, document).map_err(|error| malformed(&error.to_string()))?;
        if self.would_allow(arn, "kms:PutKeyPolicy", &policy) {
            return Ok(());
        }
        Err(malformed("The new key policy will not allow you to update the key policy in the future."))
    }

    pub(super) fn enable_key(&mut self, state: &mut State) -> Result<Value, AwsError> {
        self.switch(state, "kms:EnableKey", KeyState::Enabled)
    }

    pub(super) fn disable_key(&mut self, state: &mut State) -> Result<Value, AwsError> {
        self.switch(state, "kms:DisableKey", KeyState::Disabled)
    }

    fn switch(&mut self, state: &mut State, action: &str, wanted: KeyState) -> Result<Value, AwsError> {
        let time = state.edit_time(EditKind::KeyState, self.caller.now);
        let key = self.owned(state, action)?;
        match *key.state.newest() {
            KeyState::Enabled | KeyState::Disabled | KeyState::ExternalTimeout => {}
            other => return Err(wrong_state(key, other)),
        }
        key.state.set(wanted, time.now, time.effective);
        Ok(Value::Null)
    }

    pub(super) fn schedule_key_deletion(&mut self, state: &mut State) -> Result<Value, AwsError> {
        let days = parameters::optional_number(self.input, "PendingWindowInDays", 7, 30)?.unwrap_or(30);
        let time = state.edit_time(EditKind::KeyState, self.caller.now);
        let key = self.owned(state, "kms:ScheduleKeyDeletion")?;
        if *key.state.newest() == KeyState::PendingDeletion {
            return Err(wrong_state(key, KeyState::PendingDeletion));
        }
        let at = time.now.plus(DAY * days);
        key.deletion_at = Some(at);
        key.state.set(KeyState::PendingDeletion, time.now, time.effective);
        Ok(json!({
            "KeyId": key.arn.to_string(),
            "DeletionDate": seconds(at),
            "KeyState": "PendingDeletion",
            "PendingWindowInDays": days,
        }))
    }

    pub(super) fn cancel_key_deletion(&mut self, state: &mut State) -> Result<Value, AwsError> {
        let time = state.edit_time(EditKind::KeyState, self.caller.now);
        let key = self.owned(state, "kms:CancelKeyDeletion")?;
        if *key.state.newest() != KeyState::PendingDeletion {
            let message = format!("{} is not pending deletion.", key.arn);
            return Err(AwsError::new("KMSInvalidStateException", message));
        }
        key.deletion_at = None;
        key.state.set(KeyState::Disabled, time.now, time.effective);
        Ok(json!({"KeyId": key.arn.to_string()}))
    }

    /// As a dry run alone: whether the caller may. Grants are not simulated.
    pub(super) fn create_grant(&mut self, state: &State) -> Result<Value, AwsError> {
        let named = parameters::text(self.input, "KeyId")?;
        parameters::text(self.input, "GranteePrincipal")?;
        self.authorized(state, named, "kms:CreateGrant", None)?;
        if parameters::dry_run(self.input) {
            return Err(dry_run_success());
        }
        Err(AwsError::new("UnsupportedOperationException", "grants are not simulated"))
    }

    pub(super) fn create_alias(&mut self, state: &mut State) -> Result<Value, AwsError> {
        let name = parameters::text(self.input, "AliasName")?.to_owned();
        let target = parameters::text(self.input, "TargetKeyId")?;
        if !name.starts_with("alias/") || name.starts_with("alias/aws/") || name.len() <= "alias/".len() {
            return Err(AwsError::new(
                "InvalidAliasNameException",
                "Alias must start with the prefix \"alias/\"",
            ));
        }
        let id = self.authorized(state, target, "kms:CreateAlias", None)?.arn.id.clone();
        let aliases = &mut state
            .account_mut(&self.caller.account)
            .map_err(|_| AwsError::internal(Service::Kms))?
            .aliases;
        let place = (self.caller.region.clone(), name);
        if aliases.contains_key(&place) {
            let arn = format!("arn:aws:kms:{}:{}:{}", place.0, self.caller.account, place.1);
            return Err(AwsError::new(
                "AlreadyExistsException",
                format!("An alias with the name {arn} already exists"),
            ));
        }
        aliases.insert(place, id);
        Ok(Value::Null)
    }

    pub(super) fn delete_alias(&mut self, state: &mut State) -> Result<Value, AwsError> {
        let name = parameters::text(self.input, "AliasName")?;
        self.authorized(state, name, "kms:DeleteAlias", None)?;
        let aliases = &mut state
            .account_mut(&self.caller.account)
            .map_err(|_| AwsError::internal(Service::Kms))?
            .aliases;
        aliases.remove(&(self.caller.region.clone(), name.to_owned()));
        Ok(Value::Null)
    }

    /// The key that the call names, to change it, if the caller may.
    pub(super) fn owned<'s>(&mut self, state: &'s mut State, action: &str) -> Result<&'s mut Key, AwsError> {
        let named = parameters::text(self.input, "KeyId")?;
        let arn = self.authorized(state, named, action, None)?.arn.clone();
        state.key_mut(&arn).map_err(|_| AwsError::internal(Service::Kms))
    }

    fn optional_enum<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, AwsError> {
        let Some(text) = parameters::optional_text(self.input, name)? else { return Ok(None) };
        serde_json::from_value(text.into()).map(Some).map_err(|_| unknown_value(name, text))
    }
}

/// The state forbids the operation.
pub(super) fn wrong_state(key: &Key, state: KeyState) -> AwsError {
    let why = match state {
        KeyState::Disabled => return AwsError::new("DisabledException", format!("{} is disabled.", key.arn)),
        KeyState::PendingDeletion => "is pending deletion",
        KeyState::PendingImport => "is pending import",
        KeyState::Unavailable => "is unavailable",
        KeyState::Creating => "is creating",
        KeyState::Updating => "is updating",
        KeyState::Enabled | KeyState::ExternalTimeout => "is enabled",
    };
    AwsError::new("KMSInvalidStateException", format!("{} {why}.", key.arn))
}

fn policy_of(text: &str) -> Result<Value, AwsError> {
    serde_json::from_str(text).map_err(|_| malformed("The policy is not valid JSON"))
}

fn malformed(message: &str) -> AwsError {
    AwsError::new("MalformedPolicyDocumentException", message)
}
