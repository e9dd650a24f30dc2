//! Deny policies of projects, as Google writes them: `{"rules": [{"denyRule": {"deniedPrincipals", …}}]}`.
//!
//! <https://cloud.google.com/iam/docs/deny-overview>

use serde::Deserialize;
use serde_json::Value;

use super::Target;
use super::condition::{Condition, ConditionText};
use super::principal::Principal;
use crate::clock::Timestamp;
use crate::error::SimError;

/// What a project denies, whatever allow policies say.
#[derive(Clone, Debug)]
pub(crate) struct DenyPolicy {
    json: Value,
    rules: Vec<DenyRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PolicyText {
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleText {
    #[serde(default, rename = "description")]
    _description: Option<String>,
    deny_rule: DenyRuleText,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DenyRuleText {
    denied_principals: Vec<String>,
    #[serde(default)]
    exception_principals: Vec<String>,
    denied_permissions: Vec<String>,
    #[serde(default)]
    exception_permissions: Vec<String>,
    #[serde(default)]
    denial_condition: Option<ConditionText>,
}

#[derive(Clone, Debug)]
struct DenyRule {
    principals: Vec<String>,
    exception_principals: Vec<String>,
    permissions: Vec<String>,
    exception_permissions: Vec<String>,
    condition: Option<Condition>,
}

impl DenyPolicy {
    /// Reads Google's JSON.
    pub(crate) fn parse(json: &Value) -> Result<Self, SimError> {
        let text = PolicyText::deserialize(json)
            .map_err(|error| SimError::invalid("deny policy", error.to_string()))?;
        let rules = text.rules.into_iter().map(|rule| DenyRule::try_from(rule.deny_rule));
        Ok(Self { json: json.clone(), rules: rules.collect::<Result<_, _>>()? })
    }

    pub(crate) fn json(&self) -> &Value {
        &self.json
    }

    /// Whether it denies a caller a permission (`cloudkms.cryptoKeys.get`) on a resource.
    pub(crate) fn denies(
        &self,
        caller: &Principal,
        permission: &str,
        target: &Target,
        now: Timestamp,
    ) -> bool {
        let permission = permission.replacen('.', ".googleapis.com/", 1);
        self.rules.iter().any(|rule| rule.denies(caller, &permission, target, now))
    }
}

impl TryFrom<DenyRuleText> for DenyRule {
    type Error = SimError;

    fn try_from(text: DenyRuleText) -> Result<Self, SimError> {
        let permissions = text.denied_permissions.iter().chain(&text.exception_permissions);
        for permission in permissions {
            if !permission.contains(".googleapis.com/") {
                let reason =
                    format!("{permission:?} is not of the form service.googleapis.com/resource.verb");
                return Err(SimError::invalid("deny rule", reason));
            }
        }
        for principal in text.denied_principals.iter().chain(&text.exception_principals) {
            if !principal.starts_with("principal://") && !principal.starts_with("principalSet://") {
                let reason = format!("{principal:?} is no principal identifier");
                return Err(SimError::invalid("deny rule", reason));
            }
        }
        Ok(Self {
            principals: text.denied_principals,
            exception_principals: text.exception_principals,
            permissions: text.denied_permissions,
            exception_permissions: text.exception_permissions,
            condition: text.denial_condition.as_ref().map(Condition::parse).transpose()?,
        })
    }
}

impl DenyRule {
    fn denies(&self, caller: &Principal, permission: &str, target: &Target, now: Timestamp) -> bool {
        let caller_in = |list: &[String]| list.iter().any(|named| caller.is_denied_as(named));
        let permission_in = |list: &[String]| list.iter().any(|pattern| covers(pattern, permission));
        caller_in(&self.principals)
            && !caller_in(&self.exception_principals)
            && permission_in(&self.permissions)
            && !permission_in(&self.exception_permissions)
            && self.condition.as_ref().is_none_or(|condition| condition.holds(target, now))
    }
}

/// Whether `cloudkms.googleapis.com/cryptoKeys.*` and the like cover a permission.
fn covers(pattern: &str, permission: &str) -> bool {
    let split = |text: &str| -> Option<[String; 3]> {
        let (service, rest) = text.split_once('/')?;
        let (resource, verb) = rest.split_once('.')?;
        Some([service.to_owned(), resource.to_owned(), verb.to_owned()])
    };
    match (split(pattern), split(permission)) {
        (Some(pattern), Some(permission)) => {
            pattern.iter().zip(&permission).all(|(pattern, part)| pattern == "*" || pattern == part)
        }
        _ => false,
    }
}
