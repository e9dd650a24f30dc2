//! Callers that go on asking, with ids of their own for their requests.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use leasehold_api::v1;
use leasehold_api::v1::key_service_client::KeyServiceClient;
use tonic::Request;
use tonic::transport::Channel;

/// Callers that go on asking, and the requests of theirs that were answered.
pub(crate) struct Traffic {
    answered: Arc<Mutex<Vec<String>>>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Traffic {
    pub(crate) async fn start(endpoint: &str) -> Self {
        let answered = Arc::<Mutex<Vec<String>>>::default();
        let mut callers = Vec::new();
        for caller in 0..16 {
            let keys = KeyServiceClient::new(connect(endpoint).await);
            callers.push(tokio::spawn(ask_on(keys, caller, Arc::clone(&answered))));
        }
        Self { answered, callers }
    }

    pub(crate) fn count(&self) -> usize {
        self.answered.lock().unwrap().len()
    }

    pub(crate) async fn end(self) -> Vec<String> {
        for caller in self.callers {
            caller.await.unwrap();
        }
        Arc::into_inner(self.answered).unwrap().into_inner().unwrap()
    }
}

async fn connect(endpoint: &str) -> Channel {
    let path = PathBuf::from(endpoint.strip_prefix("unix:").unwrap());
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://unix");
    endpoint.connect_with_connector(connector).await.unwrap()
}

/// Generates keys and unwraps each, with ids of its own choosing, until nobody answers any more.
async fn ask_on(mut keys: KeyServiceClient<Channel>, caller: usize, answered: Arc<Mutex<Vec<String>>>) {
    let context = BTreeMap::from([("branch".to_owned(), format!("b{caller}"))]);
    for turn in 0.. {
        let generate = v1::GenerateDataKeyRequest {
            tenant: "tenants/acme".into(),
            key_bytes: 32,
            encryption_context: context.clone().into_iter().collect(),
        };
        let (request, generated) = named(generate, format!("{caller}-{turn}-generate"));
        let Ok(made) = keys.generate_data_key(request).await else { return };
        answered.lock().unwrap().push(generated);
        let unwrap = v1::UnwrapKeyRequest {
            tenant: "tenants/acme".into(),
            wrapped_key: made.into_inner().wrapped_key,
            encryption_context: context.clone().into_iter().collect(),
        };
        let (request, unwrapped) = named(unwrap, format!("{caller}-{turn}-unwrap"));
        let Ok(_) = keys.unwrap_key(request).await else { return };
        answered.lock().unwrap().push(unwrapped);
    }
}

/// `message` under this id, and the id.
pub(crate) fn named<Q>(message: Q, request_id: String) -> (Request<Q>, String) {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-request-id", request_id.parse().unwrap());
    (request, request_id)
}
