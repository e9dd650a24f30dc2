//! Becoming a tenant's service account and using the tenant's Cloud KMS key.
