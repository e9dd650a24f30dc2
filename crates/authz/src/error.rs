//! Why text is not a rule.

/// Text that makes no rule. Says what would; the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// See [`crate::IdentityPattern`].
    #[error(
        "an identity pattern must be loopback, unix:*, unix:uid=N, unix:gid=N, spiffe://DOMAIN/PATH or dns:NAME; a whole segment of \
         the path, or label of the name, may be * or a capture such as {{t}}"
    )]
    NotAnIdentityPattern,
    /// See [`crate::TenantPattern`].
    #[error(
        "a tenant pattern must be *, a tenant id, the beginning of tenant ids followed by *, or a capture such as {{t}}"
    )]
    NotATenantPattern,
    /// See [`crate::FeedName`].
    #[error("the name of an event feed must be 1 to 63 lower-case letters, digits and hyphens")]
    NotAFeedName,
    /// See [`crate::Operations`].
    #[error("an operation must be *, keys, read, manage, or the name of a method such as UnwrapKey")]
    NotAnOperation,
    /// See [`crate::Identity`].
    #[error(
        "an identity must be loopback, unix:uid=N,gid=N, feed:NAME, spiffe://DOMAIN/PATH or dns:NAME, with commas between names"
    )]
    NotAnIdentity,
    /// See [`crate::SpiffeId`].
    #[error("a SPIFFE id must be spiffe:// with a trust domain in lower case and a path of plain segments")]
    NotASpiffeId,
    /// See [`crate::DnsNames`].
    #[error("there must be from 1 to 16 DNS names, and none of them a wildcard")]
    NotDnsNames,
    /// A tenant pattern means a capture that the identity pattern does not have.
    #[error("the rule {rule:?} says {{{capture}}} in its tenants and not in its identity")]
    UnknownCapture {
        /// The rule's name.
        rule: Box<str>,
        /// The capture's.
        capture: Box<str>,
    },
    /// A capture that nothing comes of: the rule would reach other tenants than it seems to.
    #[error("the rule {rule:?} captures {{{capture}}} and does not say it in its tenants; write * for any")]
    UnusedCapture {
        /// The rule's name.
        rule: Box<str>,
        /// The capture's.
        capture: Box<str>,
    },
    /// More rules than [`crate::MAX_RULES`].
    #[error("at most {} rules, because every request reads them all", crate::MAX_RULES)]
    TooManyRules,
}
