//! Why text is not a rule.

/// Text that makes no rule. Says what would; the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// See [`crate::IdentityPattern`].
    #[error("an identity pattern must be loopback, unix:*, unix:uid=N or unix:gid=N")]
    NotAnIdentityPattern,
    /// See [`crate::TenantPattern`].
    #[error("a tenant pattern must be *, a tenant id, or the beginning of tenant ids followed by *")]
    NotATenantPattern,
    /// See [`crate::FeedName`].
    #[error("the name of an event feed must be 1 to 63 lower-case letters, digits and hyphens")]
    NotAFeedName,
    /// See [`crate::Operations`].
    #[error("an operation must be *, keys, read, manage, or the name of a method such as UnwrapKey")]
    NotAnOperation,
    /// More rules than [`crate::MAX_RULES`].
    #[error("at most {} rules, because every request reads them all", crate::MAX_RULES)]
    TooManyRules,
}
