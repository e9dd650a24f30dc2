//! Where tenants and bindings are kept.
