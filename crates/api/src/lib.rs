//! The gRPC contract: generated code and its conversions.
