//! What can be wrong with a policy document.

/// Why a policy document was refused; the services call all of these `MalformedPolicyDocument`.
///
/// `at` is the place in the document, such as `Statement[2].Condition.StringLike`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The text is not JSON, or an object says the same thing twice.
    #[error("policy is not well-formed json: {0}")]
    Json(String),
    /// The document is longer than any service takes.
    #[error("policy is longer than {limit} bytes")]
    TooLong {
        /// The bound, in bytes.
        limit: usize,
    },
    /// An element has the wrong JSON type.
    #[error("{at} must be {expected}")]
    WrongType {
        /// Where.
        at: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// An element that has to be there is not.
    #[error("{at} lacks {element}")]
    Missing {
        /// Where.
        at: String,
        /// The element or elements, one of which is needed.
        element: &'static str,
    },
    /// An element that the policy language does not have, or not in this kind of policy.
    #[error("{at} has no place here")]
    Unexpected {
        /// The element.
        at: String,
    },
    /// Two elements that exclude each other.
    #[error("{at} has both {one} and {other}")]
    Conflict {
        /// Where.
        at: String,
        /// The one.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A value that is not one of the language's.
    #[error("{at}: {value:?} is not {expected}")]
    Invalid {
        /// Where.
        at: String,
        /// The offending value.
        value: String,
        /// What belongs there.
        expected: &'static str,
    },
}

impl PolicyError {
    pub(super) fn invalid(at: &str, value: &str, expected: &'static str) -> Self {
        Self::Invalid { at: at.to_owned(), value: value.to_owned(), expected }
    }

    pub(super) fn wrong_type(at: &str, expected: &'static str) -> Self {
        Self::WrongType { at: at.to_owned(), expected }
    }
}
