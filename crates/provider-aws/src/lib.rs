//! Becoming a tenant's IAM role and using the tenant's AWS KMS key.
