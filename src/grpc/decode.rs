//! What the generated code refuses before a call reaches us, in our own words.
//!
//! A message that is too large or is no message of the method never becomes a call. The generated code answers with a bare
//! status and, for the latter, one that blames the service. Clients are to find a reason in every error, so these two get
//! one, and a record; so does such a message in the middle of a stream.

use http::header::HeaderValue;
use http::{Request, Response, Uri};
use leasehold_api::FieldError;
use leasehold_service::Caller;
use tonic::body::Body;
use tonic::{Code, Status};

use super::call::{REQUEST_ID, refused, request_id};
use super::connection::Connection;
use crate::status::Refusal;

/// Whoever is told of each refusal here.
#[tonic::async_trait]
pub(crate) trait Witness: Send + Sync {
    /// Who called which method, and why it is refused.
    async fn refused_unread(&self, caller: &Caller, method: &str, refusal: &Refusal);

    /// Somebody was turned away when they connected. `from` says who, or where from if that is all that is known.
    fn turned_away(&self, from: Box<str>, reason: &'static str);
}

/// What is kept of a request to explain its answer by.
pub(super) struct Asked {
    uri: Uri,
    request_id: Option<HeaderValue>,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        Self { uri: request.uri().clone(), request_id: request.headers().get(REQUEST_ID).cloned() }
    }

    /// The response as it is, or with a reason if it is a bare error about the message itself.
    pub(super) async fn explain(
        self,
        response: Response<Body>,
        connection: &Connection,
        witness: &dyn Witness,
    ) -> Response<Body> {
        // Errors come in the headers, because no message precedes them.
        let status = Status::from_header_map(response.headers());
        let Some(refusal) = status.as_ref().and_then(refusal) else { return response };
        self.refuse(&refusal, connection, witness).await
    }

    /// The answer that refuses it, told and logged as such.
    pub(super) async fn refuse(
        self,
        refusal: &Refusal,
        connection: &Connection,
        witness: &dyn Witness,
    ) -> Response<Body> {
        let request_id = request_id(self.request_id.as_ref().map(HeaderValue::as_bytes));
        let caller = Caller { identity: connection.identity().clone(), request_id };
        let method = self.uri.path().rsplit('/').next().unwrap_or_default();
        let status = refused(method, &caller, "", refusal);
        witness.refused_unread(&caller, method, refusal).await;
        status.into_http()
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
    use std::sync::Mutex;

    use leasehold_authz::Identity;
    use tonic_types::StatusExt;

    use super::*;
    use crate::grpc::Connections;

    #[derive(Default)]
    struct Told(Mutex<Vec<String>>);

    #[tonic::async_trait]
    impl Witness for Told {
        async fn refused_unread(&self, caller: &Caller, method: &str, refusal: &Refusal) {
            let line = format!("{} {method} {}", caller.request_id, refusal.reason().wire_name());
            self.0.lock().unwrap().push(line);
        }

        fn turned_away(&self, _: Box<str>, _: &'static str) {}
    }

    /// What an answer with `status` becomes: its code, its reason and the id of the request; and what was told of it.
    async fn explained(status: Status) -> (Code, Option<String>, Option<String>, Vec<String>) {
        let told = Told::default();
        let (connection, _listed) = Connections::default().open(Identity::Loopback);
        let request =
            Request::post("http://x/leasehold.v1.KeyService/WrapKey").header(REQUEST_ID, "r1").body(());
        let asked = Asked::of(&request.unwrap());
        let response = asked.explain(status.into_http(), &connection, &told).await;
        let id = response.headers().get(REQUEST_ID).map(|id| id.to_str().unwrap().to_owned());
        let status = Status::from_header_map(response.headers()).unwrap();
        let reason = status.get_error_details().error_info().map(|info| info.reason.clone());
        (status.code(), reason, id, told.0.into_inner().unwrap())
    }

    #[tokio::test]
    async fn p7_messages_that_never_became_a_call_are_refused_with_a_reason_and_recorded() {
        for bare in [Status::out_of_range("too large"), Status::internal("failed to decode")] {
            let (code, reason, id, told) = explained(bare).await;
            assert_eq!((code, reason.as_deref()), (Code::InvalidArgument, Some("INVALID_FIELD")));
            assert_eq!((id.as_deref(), &*told), (Some("r1"), &["r1 WrapKey INVALID_FIELD".to_owned()][..]));
        }
    }

    #[test]
    fn a_client_that_went_away_sent_no_bad_message() {
        for status in [Status::cancelled("reset"), Status::unknown("broken pipe")] {
            assert!(refusal(&status).is_none(), "{status}");
        }
    }

    #[tokio::test]
    async fn errors_that_have_a_reason_keep_it_and_were_recorded_before() {
        for (status, expected) in [
            (Refusal::Deadline.status(""), (Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED".to_owned()))),
            (Status::unimplemented("no such method"), (Code::Unimplemented, None)),
        ] {
            let (code, reason, _, told) = explained(status).await;
            assert_eq!(((code, reason), told), (expected, vec![]));
        }
    }
}
