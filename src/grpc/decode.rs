//! What the generated code refuses before a call reaches us, in our own words.
//!
//! A message that is too large or is no message of the method never becomes a call. The generated code answers with a bare
//! status and, for the latter, one that blames the service. Clients are to find a reason in every error, so these two get
//! one; so does such a message in the middle of a stream.

use http::Response;
use leasehold_api::FieldError;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::status::Refusal;

/// The response as it is, or with a reason if it is a bare error about the message itself.
pub(crate) fn explain(response: Response<Body>) -> Response<Body> {
    // Errors come in the headers, because no message precedes them.
    match Status::from_header_map(response.headers()).as_ref().and_then(refusal) {
        Some(refusal) => refusal.status("").into_http(),
        None => response,
    }
}

/// What is wrong with a message that could not be read; none if `status` is not about a message.
pub(super) fn refusal(status: &Status) -> Option<Refusal> {
    // Every error of our own has details.
    let what = match status.code() {
        _ if !status.details().is_empty() => return None,
        Code::OutOfRange => "is too large; its bounds are documented with its fields",
        Code::Internal => "is not a protobuf message of this method",
        _ => return None,
    };
    Some(FieldError::new("message", what).into())
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn reason(status: Status) -> (Code, Option<String>) {
        let response = explain(status.into_http());
        let status = Status::from_header_map(response.headers()).unwrap();
        (status.code(), status.get_error_details().error_info().map(|info| info.reason.clone()))
    }

    #[test]
    fn messages_that_never_became_a_call_are_refused_with_a_reason() {
        for bare in [Status::out_of_range("too large"), Status::internal("failed to decode")] {
            assert_eq!(reason(bare), (Code::InvalidArgument, Some("INVALID_FIELD".to_owned())));
        }
    }

    #[test]
    fn a_client_that_went_away_sent_no_bad_message() {
        for status in [Status::cancelled("reset"), Status::unknown("broken pipe")] {
            assert!(refusal(&status).is_none(), "{status}");
        }
    }

    #[test]
    fn errors_that_have_a_reason_keep_it() {
        assert_eq!(
            reason(Refusal::Deadline.status("")),
            (Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED".to_owned()))
        );
        assert_eq!(reason(Status::unimplemented("no such method")), (Code::Unimplemented, None));
    }
}
