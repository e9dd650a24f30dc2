//! The `Principal` and `NotPrincipal` elements: whom a statement of a resource policy is about.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>

use serde_json::Value;

use super::error::PolicyError;
use super::principal::{Principal, is_account_id};
use super::statement::strings;

/// What a `Principal` or `NotPrincipal` element lists.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PrincipalSet {
    members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq)]
enum Member {
    Everyone,
    Account(String),
    User {
        account: String,
        name: String,
    },
    Role {
        account: String,
        name: String,
    },
    Session {
        account: String,
        role: String,
        session: String,
    },
    Federated(String),
    /// A service of AWS, which none of the simulated callers is.
    Service,
}

/// How closely a resource policy names a caller, loosest first; what else must allow depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    /// Only its account: the decision is delegated to the account's identity policies.
    Account,
    /// Its role.
    Role,
    /// The user or session itself, or everyone.
    Itself,
}

impl PrincipalSet {
    /// Reads the element at `at`.
    pub(super) fn parse(value: &Value, at: &str) -> Result<Self, PolicyError> {
        let mut members = Vec::new();
        match value {
            Value::String(text) if text == "*" => members.push(Member::Everyone),
            Value::String(text) => return Err(PolicyError::invalid(at, text, "\"*\" or an object")),
            Value::Object(kinds) if !kinds.is_empty() => {
                for (kind, names) in kinds {
                    let at = format!("{at}.{kind}");
                    for name in strings(names, &at)? {
                        members.push(member(kind, name, &at)?);
                    }
                }
            }
            _ => return Err(PolicyError::wrong_type(at, "\"*\" or an object of principals")),
        }
        Ok(Self { members })
    }

    /// How closely the set names a caller; nothing if it does not.
    pub(super) fn names(&self, caller: &Principal) -> Option<Closeness> {
        self.members.iter().filter_map(|member| member.names(caller)).max()
    }

    /// Whether a `NotPrincipal` spares a caller: its account *and* every step from there to itself has to be listed.
    ///
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
    pub(super) fn spares(&self, caller: &Principal) -> bool {
        if self.members.contains(&Member::Everyone) {
            return true;
        }
        let listed = |closeness| self.members.iter().any(|member| member.names(caller) == Some(closeness));
        match caller {
            Principal::AssumedRole { .. } => {
                [Closeness::Account, Closeness::Role, Closeness::Itself].into_iter().all(listed)
            }
            Principal::User { .. } => listed(Closeness::Account) && listed(Closeness::Itself),
            Principal::Root { .. } | Principal::WebIdentity { .. } => listed(Closeness::Itself),
            Principal::Anonymous => false,
        }
    }
}

impl Member {
    fn names(&self, caller: &Principal) -> Option<Closeness> {
        match (self, caller) {
            (Self::Everyone, _) => Some(Closeness::Itself),
            // The account's ARN *is* the root user's.
            (Self::Account(account), Principal::Root { account: own }) => {
                (account == own).then_some(Closeness::Itself)
            }
            (Self::Account(account), Principal::User { account: own, .. })
            | (Self::Account(account), Principal::AssumedRole { account: own, .. }) => {
                (account == own).then_some(Closeness::Account)
            }
            (Self::User { account, name }, Principal::User { account: own, name: own_name }) => {
                (account == own && name == own_name).then_some(Closeness::Itself)
            }
            (Self::Role { account, name }, Principal::AssumedRole { account: own, role, .. }) => {
                (account == own && name == role).then_some(Closeness::Role)
            }
            (
                Self::Session { account, role, session },
                Principal::AssumedRole { account: own, role: own_role, session: own_session },
            ) => (account == own && role == own_role && session == own_session).then_some(Closeness::Itself),
            (Self::Federated(provider), Principal::WebIdentity { provider: own }) => {
                (provider == own).then_some(Closeness::Itself)
            }
            _ => None,
        }
    }
}

fn member(kind: &str, name: &str, at: &str) -> Result<Member, PolicyError> {
    match kind {
        "AWS" => aws(name).ok_or_else(|| {
            PolicyError::invalid(
                at,
                name,
                "\"*\", an account id, or the arn of a root, role, user or session",
            )
        }),
        "Federated" if !name.is_empty() && !name.contains('*') => Ok(Member::Federated(name.to_owned())),
        "Federated" => Err(PolicyError::invalid(at, name, "an identity provider")),
        "Service" if name.contains('.') && !name.contains('*') => Ok(Member::Service),
        "Service" => Err(PolicyError::invalid(at, name, "a service principal")),
        _ => Err(PolicyError::Unexpected { at: at.to_owned() }),
    }
}

/// Wildcards stand for everyone or nobody: a part of a principal's name cannot be left open.
fn aws(name: &str) -> Option<Member> {
    if name == "*" {
        return Some(Member::Everyone);
    }
    if is_account_id(name) {
        return Some(Member::Account(name.to_owned()));
    }
    let mut parts = name.splitn(6, ':');
    let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let partition_known = partition == "aws" || partition.starts_with("aws-");
    if arn != "arn"
        || !partition_known
        || !region.is_empty()
        || !is_account_id(account)
        || resource.contains(['*', '?'])
    {
        return None;
    }
    aws_resource(service, account.to_owned(), resource)
}

fn aws_resource(service: &str, account: String, resource: &str) -> Option<Member> {
    let Some((kind, path)) = resource.split_once('/') else {
        return (service == "iam" && resource == "root").then_some(Member::Account(account));
    };
    // Names are unique in an account whatever their path, so the last segment is enough.
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?.to_owned();
    match (service, kind) {
        ("iam", "role") => Some(Member::Role { account, name }),
        ("iam", "user") => Some(Member::User { account, name }),
        ("sts", "assumed-role") => {
            let (role, session) = path.split_once('/')?;
            let well_formed = !role.is_empty() && !session.is_empty() && !session.contains('/');
            well_formed.then(|| Member::Session {
                account,
                role: role.to_owned(),
                session: session.to_owned(),
            })
        }
        _ => None,
    }
}
