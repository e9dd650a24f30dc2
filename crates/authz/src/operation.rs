//! What a caller may ask for.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::RuleError;

/// What an operation does, for rules that name a whole kind of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// Handles keys, or says whether a caller may go on holding them.
    Keys,
    /// Reads tenants and bindings.
    Read,
    /// Changes tenants and bindings, or makes us ask a cloud.
    Manage,
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident: $group:ident,)*) => {
        /// One operation for each method that callers may call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Operation {
            $($(#[$doc])* $name,)*
        }

        impl Operation {
            /// Every operation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name of the method, for example `UnwrapKey`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            const fn group(self) -> Group {
                match self {
                    $(Self::$name => Group::$group,)*
                }
            }
        }
    };
}

operations! {
    /// Make a new key; returns it in the clear and wrapped.
    GenerateDataKey: Keys,
    /// Make a new key; returns it wrapped only.
    GenerateDataKeyWithoutPlaintext: Keys,
    /// Wrap a key that the caller has.
    WrapKey: Keys,
    /// Unwrap a key.
    UnwrapKey: Keys,
    /// Unwrap a key and wrap it anew, without returning it.
    RewrapKey: Keys,
    /// Be told for how long a tenant's keys may be held, and keep its lease alive.
    WatchLeases: Keys,
    /// Create a tenant.
    CreateTenant: Manage,
    /// Read a tenant.
    GetTenant: Read,
    /// List tenants; only those for which the caller has this operation are listed.
    ListTenants: Read,
    /// Change a tenant's display name or terms.
    UpdateTenant: Manage,
    /// Delete a tenant, softly.
    DeleteTenant: Manage,
    /// Take a deletion back.
    UndeleteTenant: Manage,
    /// Stop serving a tenant.
    SuspendTenant: Manage,
    /// Serve a suspended tenant again.
    ResumeTenant: Manage,
    /// Have a tenant's bindings proven now.
    ReproveTenant: Manage,
    /// Create a binding, PENDING.
    CreateBinding: Manage,
    /// Read a binding.
    GetBinding: Read,
    /// List a tenant's bindings.
    ListBindings: Read,
    /// Read what a tenant must paste into their cloud.
    GetOnboardingKit: Read,
    /// Verify a binding and make it the one that wraps.
    ActivateBinding: Manage,
    /// Try a binding step by step in the tenant's cloud, and read what each step found.
    VerifyBinding: Manage,
    /// Move a binding one step nearer to its end.
    RetireBinding: Manage,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Operation {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::ALL.iter().copied().find(|o| o.as_str() == text).ok_or(RuleError::NotAnOperation)
    }
}

/// A set of operations, written as a list of words: `*` (all), `keys`, `read`, `manage`, or names of methods.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Operations(BTreeSet<Operation>);

impl Operations {
    /// Every operation there is.
    #[must_use]
    pub fn all() -> Self {
        Operation::ALL.iter().copied().collect()
    }

    /// This operation and no other.
    #[must_use]
    pub fn only(operation: Operation) -> Self {
        Self(BTreeSet::from([operation]))
    }

    /// The operations that these words name.
    ///
    /// # Errors
    /// [`RuleError::NotAnOperation`].
    pub fn parse<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> Result<Self, RuleError> {
        let named = words.into_iter().map(|word| Self::word(word.as_ref())).collect::<Result<Vec<_>, _>>()?;
        Ok(named.into_iter().flat_map(|o| o.0).collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `operation` is one of them.
    #[must_use]
    pub fn contains(&self, operation: Operation) -> bool {
        self.0.contains(&operation)
    }

    fn word(word: &str) -> Result<Self, RuleError> {
        let of = |group| Operation::ALL.iter().copied().filter(|o| o.group() == group).collect();
        match word {
            "*" => Ok(Self::all()),
            "keys" => Ok(of(Group::Keys)),
            "read" => Ok(of(Group::Read)),
            "manage" => Ok(of(Group::Manage)),
            name => Ok(Self(BTreeSet::from([name.parse()?]))),
        }
    }
}

impl FromIterator<Operation> for Operations {
    fn from_iter<I: IntoIterator<Item = Operation>>(operations: I) -> Self {
        Self(operations.into_iter().collect())
    }
}

impl TryFrom<Vec<String>> for Operations {
    type Error = RuleError;

    fn try_from(words: Vec<String>) -> Result<Self, RuleError> {
        Self::parse(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_groups_divide_all_operations() {
        let groups: Vec<_> = ["keys", "read", "manage"].map(|g| Operations::parse([g]).unwrap()).into();
        for operation in Operation::ALL {
            assert_eq!(groups.iter().filter(|g| g.contains(*operation)).count(), 1, "{operation}");
        }
        assert_eq!(Operations::parse(["keys", "read", "manage"]), Ok(Operations::all()));
    }

    #[test]
    fn a_group_of_reads_changes_nothing_and_hands_out_no_key() {
        let read = Operations::parse(["read"]).unwrap();
        let names: Vec<_> =
            Operation::ALL.iter().filter(|o| read.contains(**o)).map(|o| o.as_str()).collect();
        assert_eq!(names, ["GetTenant", "ListTenants", "GetBinding", "ListBindings", "GetOnboardingKit"]);
    }

    #[test]
    fn operations_are_named_as_their_methods() {
        for operation in Operation::ALL {
            assert_eq!(operation.to_string().parse(), Ok(*operation));
        }
        for bad in ["", "unwrapkey", "UnwrapKeys", "**", "key"] {
            assert_eq!(Operations::parse([bad]), Err(RuleError::NotAnOperation), "{bad}");
        }
    }
}
