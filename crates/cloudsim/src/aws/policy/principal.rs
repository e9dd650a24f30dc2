//! Who makes a request.

use std::fmt;

/// The caller of a request, as policies name it.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// The root user of an account.
    Root {
        /// Twelve digits.
        account: String,
    },
    /// An IAM user.
    User {
        /// Twelve digits.
        account: String,
        /// The user's name, without its path.
        name: String,
    },
    /// A session of a role, which an assume made.
    AssumedRole {
        /// The role's account, twelve digits.
        account: String,
        /// The role's name, without its path.
        role: String,
        /// The session's name.
        session: String,
    },
    /// A bearer of a token of an OpenID provider, before it has become a session.
    WebIdentity {
        /// The provider as a trust policy names it: `arn:aws:iam::{account}:oidc-provider/{host/path}`, or a public
        /// provider's domain.
        provider: String,
    },
    /// Nobody in particular: the request is not signed.
    Anonymous,
}

impl Principal {
    /// The caller's ARN, as `GetCallerIdentity` returns it; for a web identity its provider, for nobody `*`.
    pub fn arn(&self) -> String {
        self.to_string()
    }

    /// The account that the caller belongs to, where it has one.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Root { account } | Self::User { account, .. } | Self::AssumedRole { account, .. } => {
                Some(account)
            }
            Self::WebIdentity { provider } => {
                provider.split(':').nth(4).filter(|part| is_account_id(part) && provider.starts_with("arn:"))
            }
            Self::Anonymous => None,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root { account } => write!(formatter, "arn:aws:iam::{account}:root"),
            Self::User { account, name } => write!(formatter, "arn:aws:iam::{account}:user/{name}"),
            Self::AssumedRole { account, role, session } => {
                write!(formatter, "arn:aws:sts::{account}:assumed-role/{role}/{session}")
            }
            Self::WebIdentity { provider } => formatter.write_str(provider),
            Self::Anonymous => formatter.write_str("*"),
        }
    }
}

/// Twelve decimal digits.
pub(super) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
