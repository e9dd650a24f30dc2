//! Resource names.

use std::str::FromStr;

use leasehold_ids::{BindingName, IdError, TenantId};

use crate::FieldError;

/// The tenant that `tenants/{tenant}` names.
///
/// # Errors
/// [`FieldError`] for `field`.
pub fn tenant_id(field: &str, name: &str) -> Result<TenantId, FieldError> {
    let id = name
        .strip_prefix("tenants/")
        .ok_or_else(|| FieldError::new(field, "must have the form tenants/{tenant}"))?;
    id.parse().map_err(|error| FieldError::new(field, error))
}

/// `tenants/{tenant}`.
#[must_use]
pub fn tenant_name(id: &TenantId) -> String {
    format!("tenants/{id}")
}

/// The binding that `tenants/{tenant}/bindings/{binding}` names.
///
/// # Errors
/// [`FieldError`] for `field`.
pub fn binding_name(field: &str, name: &str) -> Result<BindingName, FieldError> {
    name.parse().map_err(|error| FieldError::new(field, error))
}

/// A bare id, of a tenant or binding that is to be created.
///
/// # Errors
/// [`FieldError`] for `field`.
pub fn id<T: FromStr<Err = IdError>>(field: &str, text: &str) -> Result<T, FieldError> {
    text.parse().map_err(|error| FieldError::new(field, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_with_the_field_that_held_them() {
        for bad in ["", "acme", "tenants/", "tenants/A", "tenants/a/bindings/b", "/tenants/a"] {
            assert_eq!(tenant_id("parent", bad).unwrap_err().field(), "parent", "{bad}");
        }
        assert_eq!(tenant_name(&tenant_id("name", "tenants/acme").unwrap()), "tenants/acme");
        assert!(binding_name("name", "tenants/acme").is_err());
    }
}
