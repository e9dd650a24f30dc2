//! Answers with plaintext, until their readers have taken them.
//!
//! A reader that grants no room holds its answer back for as long as it likes. Once the lease ends that the answer was
//! given under, what the transport has not begun to send never leaves (promise P1). What it has begun to send is cut off with
//! the connection, 250 ms later while our part of the answer is not all sent, and 2 s later at most: nobody can take back what
//! the transport's buffers hold, just as nobody can from the kernel's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use hyper::body::{Frame, SizeHint};
use leasehold_ids::BindingName;
use tonic::Status;
use tonic::body::Body;

use super::connection::{Connection, Untaken};

/// Marks a response whose message has plaintext under this binding.
#[derive(Debug, Clone)]
struct HasPlaintext(BindingName);

/// Says of `response` that its message has plaintext, under the binding that the message names.
pub(crate) fn mark<T>(
    mut response: tonic::Response<T>,
    binding: impl FnOnce(&T) -> &str,
) -> tonic::Response<T> {
    let binding = binding(response.get_ref()).parse().expect("we name a binding by its name");
    response.extensions_mut().insert(HasPlaintext(binding));
    response
}

/// `response`, kept from leaving once the lease has ended of the plaintext that it has, if any.
pub(crate) fn guard(connection: &Arc<Connection>, response: Response<Body>) -> Response<Body> {
    let Some(HasPlaintext(binding)) = response.extensions().get() else { return response };
    let untaken = Untaken::on(connection, binding);
    response.map(|body| Body::new(Guarded { body, untaken }))
}

/// A body with plaintext.
#[derive(Debug)]
struct Guarded {
    body: Body,
    untaken: Untaken,
}

impl hyper::body::Body for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.untaken.is_late() {
            // An error in a body resets its stream.
            return Poll::Ready(Some(Err(Status::unavailable(
                "the lease ended before the answer was taken",
            ))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use leasehold_authz::Identity;

    use super::*;
    use crate::grpc::Connections;

    /// An answer with plaintext under `main`, or one with none.
    fn answer(connection: &Arc<Connection>, has_plaintext: bool) -> Response<Body> {
        let message = tonic::Response::new("tenants/acme/bindings/main".to_owned());
        let answer = if has_plaintext { mark(message, |binding| binding) } else { message };
        let (_, name, extensions) = answer.into_parts();
        let mut response = Response::new(Body::new(Full::new(Bytes::from(name))));
        *response.extensions_mut() = extensions;
        guard(connection, response)
    }

    #[tokio::test]
    async fn p1_an_answer_that_has_not_left_when_its_lease_ends_never_does() {
        let connections = Connections::default();
        let (connection, _listed) = connections.open(Identity::Loopback);
        let binding = "tenants/acme/bindings/main".parse().unwrap();
        connection.carries(&binding);
        let bodies = [true, true, false].map(|has_plaintext| answer(&connection, has_plaintext));
        let [in_time, late, other] = bodies;
        assert_eq!(in_time.into_body().collect().await.unwrap().to_bytes().len(), 26);
        connections.close_carriers(Some(&binding));
        assert!(connection.is_stalled());
        assert_eq!(late.into_body().collect().await.unwrap_err().code(), tonic::Code::Unavailable);
        assert!(!connection.is_stalled(), "nobody waits for what never leaves");
        assert!(other.into_body().collect().await.is_ok());
    }
}
