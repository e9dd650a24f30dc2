//! The gRPC contract: generated code and its conversions.
//!
//! Owns the code generated from `proto/leasehold/v1` ([`v1`]), the descriptors that reflection serves
//! ([`FILE_DESCRIPTORS`]), and the way from messages to the model and back ([`convert`]). Deliberately knows nothing of
//! leases, errors of the service or the transport's settings: the one table from error to status is the server's.
//!
//! Invariants: a conversion from a message gives a valid value or a [`FieldError`] that names the field, for every
//! message; messages that carry plaintext print no field in Debug; plaintext that arrives is wiped where it arrived, and
//! plaintext that leaves lies in locked memory until it is encoded.
//!
//! Reading order: `v1`, `error`, `reason`, `convert`.

pub mod convert;
mod error;
mod reason;
/// The messages, clients and servers of `leasehold.v1`.
pub mod v1;

pub use error::FieldError;
pub use reason::ERROR_DOMAIN;

/// The compiled descriptors of every proto of the contract, as an encoded `google.protobuf.FileDescriptorSet`; for
/// reflection.
pub const FILE_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
