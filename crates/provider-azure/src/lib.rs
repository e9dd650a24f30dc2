//! Becoming our application's service principal in a tenant's directory and using the tenant's Key Vault key.
