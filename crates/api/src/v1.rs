//! What the protos generate, and Debug for the messages that must not print themselves.
#![allow(
    missing_docs,
    reason = "the generator documents what the protos document, and its own modules not at all"
)]
#![allow(clippy::too_many_lines, reason = "the generator writes one function for all methods of a service")]

use std::fmt;

tonic::include_proto!("leasehold.v1");

/// Prints the name alone: the fields hold plaintext.
macro_rules! debug_without_fields {
    ($($message:ident),*) => {
        $(impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        })*
    };
}

debug_without_fields!(GenerateDataKeyResponse, WrapKeyRequest, UnwrapKeyResponse);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p4_messages_that_carry_plaintext_print_none_of_it() {
        let plaintext = bytes::Bytes::from_static(b"not-to-be-seen-not-to-be-seen-32");
        let generated = GenerateDataKeyResponse { plaintext: plaintext.clone(), ..Default::default() };
        let wrap = WrapKeyRequest { plaintext: plaintext.clone(), ..Default::default() };
        let unwrapped = UnwrapKeyResponse { plaintext, ..Default::default() };
        for text in [format!("{generated:?}"), format!("{wrap:?}"), format!("{unwrapped:#?}")] {
            assert!(!text.contains("not-to-be-seen") && !text.contains("110"), "{text}");
        }
    }
}
