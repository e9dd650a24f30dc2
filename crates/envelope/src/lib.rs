//! The bytes of a wrapped key: format, parser and encryption context.
