//! Amazon Web Services: STS, KMS, the instance metadata service and container credentials.

pub mod policy;
