//! Why a string is not an id.

/// A string that is not a valid id. The text says what a valid one looks like and never echoes the input, which may
/// be long or hostile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not a DNS label: see [`crate::TenantId`].
    #[error(
        "{what} must be 1 to 63 lower-case letters, digits or hyphens, beginning and ending with a letter or digit"
    )]
    NotALabel {
        /// Which id was being parsed, for example `tenant id`.
        what: &'static str,
    },
    /// Not of the form `tenants/{tenant}/bindings/{binding}`.
    #[error("binding name must have the form tenants/{{tenant}}/bindings/{{binding}}")]
    NotABindingName,
    /// Not a provider kind: see [`crate::ProviderKind`].
    #[error("provider kind must be 1 to 16 lower-case letters, digits or hyphens, beginning with a letter")]
    NotAProviderKind,
}
