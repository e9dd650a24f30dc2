//! Allow policies, as Google writes them: `{"bindings": [{"role", "members", "condition"}]}`.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::condition::{Condition, ConditionText};
use super::role;
use crate::error::SimError;
use crate::gcp::name::RoleName;

/// The forms in which a member begins.
const MEMBERS: [&str; 10] = [
    "serviceAccount:",
    "user:",
    "group:",
    "domain:",
    "deleted:",
    "principal://iam.googleapis.com/",
    "principalSet://iam.googleapis.com/",
    "projectOwner:",
    "projectEditor:",
    "projectViewer:",
];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    #[serde(default)]
    bindings: Vec<BindingText>,
    #[serde(default)]
    etag: Option<String>,
    #[serde(default)]
    version: Option<u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BindingText {
    role: String,
    #[serde(default)]
    members: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<ConditionText>,
}

/// Who a policy lets do what.
#[derive(Clone, Debug, Default)]
pub(crate) struct AllowPolicy {
    pub(crate) bindings: Vec<Binding>,
}

/// A role given to members, perhaps on a condition.
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub(crate) role: String,
    pub(crate) members: Vec<String>,
    pub(crate) condition: Option<(ConditionText, Condition)>,
}

impl AllowPolicy {
    /// Reads Google's JSON.
    pub(crate) fn parse(json: &Value) -> Result<Self, SimError> {
        let text: PolicyText = PolicyText::deserialize(json)
            .map_err(|error| SimError::invalid("allow policy", error.to_string()))?;
        let bindings = text.bindings.into_iter().map(Binding::try_from).collect::<Result<_, _>>()?;
        Ok(Self { bindings })
    }

    /// Google's JSON, with the etag that stands for its content.
    pub(crate) fn json(&self) -> Value {
        let bindings = self.bindings.iter().map(Binding::json).collect::<Vec<_>>();
        let conditional = self.bindings.iter().any(|binding| binding.condition.is_some());
        let mut policy = json!({"version": if conditional { 3 } else { 1 }, "etag": self.etag()});
        // Google leaves an empty list out.
        if !bindings.is_empty() {
            policy["bindings"] = bindings.into();
        }
        policy
    }

    /// Stands for the content: a writer that read another content is refused.
    pub(crate) fn etag(&self) -> String {
        let bindings = self.bindings.iter().map(Binding::json).collect::<Value>();
        data_encoding::BASE64.encode(&Sha256::digest(bindings.to_string().as_bytes())[..8])
    }

    /// Takes a member out of every binding, or all members; bindings without one go.
    pub(crate) fn remove_member(&mut self, member: Option<&str>) {
        match member {
            None => self.bindings.clear(),
            Some(member) => {
                for binding in &mut self.bindings {
                    binding.members.retain(|known| known != member);
                }
                self.bindings.retain(|binding| !binding.members.is_empty());
            }
        }
    }

    /// Gives a member a role, unconditionally.
    pub(crate) fn add(&mut self, role: &str, member: &str) {
        let same = |binding: &&mut Binding| binding.role == role && binding.condition.is_none();
        match self.bindings.iter_mut().find(same) {
            Some(binding) if binding.members.iter().any(|known| known == member) => {}
            Some(binding) => binding.members.push(member.to_owned()),
            None => self.bindings.push(Binding {
                role: role.to_owned(),
                members: vec![member.to_owned()],
                condition: None,
            }),
        }
    }
}

impl TryFrom<BindingText> for Binding {
    type Error = SimError;

    fn try_from(text: BindingText) -> Result<Self, SimError> {
        let refuse = |reason: String| Err(SimError::invalid("binding", reason));
        let custom = text.role.parse::<RoleName>().is_ok();
        if !custom && role::predefined(&text.role, "").is_none() {
            return refuse(format!("role {:?} is not known", text.role));
        }
        let is_public = |member: &String| matches!(member.as_str(), "allUsers" | "allAuthenticatedUsers");
        let unknown =
            |member: &&String| !is_public(member) && !MEMBERS.iter().any(|prefix| member.starts_with(prefix));
        if let Some(member) = text.members.iter().find(unknown) {
            return refuse(format!("{member:?} is no member"));
        }
        if text.condition.is_some() && role::is_basic(&text.role) {
            return refuse(format!("{} takes no condition", text.role));
        }
        if text.condition.is_some() && text.members.iter().any(is_public) {
            return refuse("nobody in particular takes no condition".to_owned());
        }
        let condition = match text.condition {
            Some(text) => Some((text.clone(), Condition::parse(&text)?)),
            None => None,
        };
        Ok(Self { role: text.role, members: text.members, condition })
    }
}

impl Binding {
    fn json(&self) -> Value {
        let condition = self.condition.as_ref().map(|(text, _)| text.clone());
        let text = BindingText { role: self.role.clone(), members: self.members.clone(), condition };
        serde_json::to_value(text).unwrap_or_default()
    }
}
