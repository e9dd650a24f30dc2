//! Who calls, and how policies name those they mean.

use std::collections::BTreeMap;
use std::fmt;

use crate::gcp::name::{PoolName, ServiceAccountEmail};

const IAM: &str = "//iam.googleapis.com/";

/// A caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    ServiceAccount { email: ServiceAccountEmail, unique_id: String },
    User(String),
    Federated(Federated),
}

/// An identity of a workload identity pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Federated {
    pub(crate) pool: PoolName,
    pub(crate) subject: String,
    pub(crate) groups: Vec<String>,
    /// `attribute.*` without the prefix.
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Principal {
    /// Whether an allow policy's member means this caller. Groups and domains have nobody in them here.
    pub(crate) fn is_member(&self, member: &str) -> bool {
        match member {
            "allUsers" | "allAuthenticatedUsers" => true,
            _ => match (self, member.split_once(':')) {
                (Self::ServiceAccount { email, .. }, Some(("serviceAccount", named))) => {
                    email.to_string().eq_ignore_ascii_case(named)
                }
                (Self::User(email), Some(("user", named))) => email.eq_ignore_ascii_case(named),
                _ => self.is_identifier(member),
            },
        }
    }

    /// Whether a deny policy's principal means this caller.
    ///
    /// <https://cloud.google.com/iam/docs/principal-identifiers#v2>
    pub(crate) fn is_denied_as(&self, named: &str) -> bool {
        if named == "principalSet://goog/public:all" {
            return true;
        }
        match self {
            Self::User(email) => {
                named.strip_prefix("principal://goog/subject/").is_some_and(|n| n.eq_ignore_ascii_case(email))
            }
            _ => self.is_identifier(named),
        }
    }

    /// Whether a `principal://` or `principalSet://` identifier means this caller.
    fn is_identifier(&self, named: &str) -> bool {
        let single = named.strip_prefix("principal:").and_then(|rest| rest.strip_prefix(IAM));
        let set = named.strip_prefix("principalSet:").and_then(|rest| rest.strip_prefix(IAM));
        match self {
            Self::ServiceAccount { email, unique_id } => single
                .and_then(|rest| rest.strip_prefix("projects/-/serviceAccounts/"))
                .is_some_and(|id| id == unique_id || id.eq_ignore_ascii_case(&email.to_string())),
            Self::User(_) => false,
            Self::Federated(federated) => {
                let within = |text: Option<&str>| {
                    text.and_then(|rest| rest.strip_prefix(&federated.pool.to_string())?.strip_prefix('/'))
                        .map(str::to_owned)
                };
                within(single).is_some_and(|rest| rest.strip_prefix("subject/") == Some(&federated.subject))
                    || within(set).is_some_and(|rest| federated.is_in(&rest))
            }
        }
    }
}

impl Federated {
    fn is_in(&self, set: &str) -> bool {
        if set == "*" {
            return true;
        }
        if let Some(group) = set.strip_prefix("group/") {
            return self.groups.iter().any(|known| known == group);
        }
        set.strip_prefix("attribute.")
            .and_then(|rest| rest.split_once('/'))
            .is_some_and(|(name, value)| self.attributes.get(name).is_some_and(|known| known == value))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceAccount { email, .. } => email.fmt(formatter),
            Self::User(email) => formatter.write_str(email),
            Self::Federated(Federated { pool, subject, .. }) => {
                write!(formatter, "principal:{IAM}{pool}/subject/{subject}")
            }
        }
    }
}
