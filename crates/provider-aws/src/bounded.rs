//! Answers have a bound: the SDK reads a body to its end, however long it is.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// Longest body that is read. 256 KiB: the longest honest one is a key's policy of 32 KiB, most of it escaped in JSON.
/// <https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html#key-policy-limit>
const MAX_ANSWER: usize = 256 * 1024;

/// `client`, whose answers fail once they are longer than any that we ask for.
pub(crate) fn bounded(client: SharedHttpClient) -> SharedHttpClient {
    SharedHttpClient::new(Bounded(client))
}

#[derive(Debug)]
struct Bounded<T>(T);

impl HttpClient for Bounded<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Bounded(self.0.http_connector(settings, components)))
    }
}

impl HttpConnector for Bounded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move { Ok(answer.await?.map(cut)) })
    }
}

fn cut(body: SdkBody) -> SdkBody {
    SdkBody::from_body_1_x(Limited::new(body, MAX_ANSWER))
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::byte_stream::ByteStream;

    use super::*;

    #[tokio::test]
    async fn p9_an_answer_that_is_longer_than_any_is_not_read_to_its_end() {
        let read = |length| async move { ByteStream::new(cut(vec![0; length].into())).collect().await };
        assert_eq!(read(MAX_ANSWER).await.unwrap().into_bytes().len(), MAX_ANSWER);
        assert!(read(MAX_ANSWER + 1).await.is_err());
    }
}
