//! Tenants and bindings, and the registry that keeps them.
