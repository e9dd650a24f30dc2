//! The one TLS listener of Entra ID and Key Vault: which service a connection is for is told by its `Host` header.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, header};

use super::answer::{self, Dialect};
use super::clouds::Cloud;
use super::entra::{self, EntraCall};
use super::key_vault::{self, VaultCall};
use crate::server::{Handler, Outcome};
use crate::simulator::Shared;

/// Serves Entra ID and all vaults.
pub(crate) struct Endpoint {
    pub(crate) shared: Arc<Shared>,
}

impl Handler for Endpoint {
    fn handle(self: Arc<Self>, request: Request<Bytes>) -> BoxFuture<'static, Outcome> {
        async move {
            let host = host(&request);
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            let local = matches!(name, "localhost" | "127.0.0.1");
            if local || Cloud::of_login_host(name).is_some() {
                let call = EntraCall::parse(&request, &host, Cloud::of_login_host(name));
                let facts = entra::facts(&call, &self.shared);
                let execute = |facts: &mut _| entra::execute(&call, &self.shared, facts);
                return answer::serve(&self.shared, Dialect::Entra, facts, execute).await;
            }
            let peer = request.extensions().get::<SocketAddr>().map(SocketAddr::ip);
            match VaultCall::parse(&request, name, peer, &self.shared) {
                Some(call) => {
                    let mut facts = key_vault::facts(&call, &self.shared);
                    facts.parameters.extend(correlation_id(&request));
                    let execute = |facts: &mut _| key_vault::execute(&call, &self.shared, facts);
                    answer::serve(&self.shared, Dialect::KeyVault, facts, execute).await
                }
                // A vault that does not exist has no name in the DNS: there would be no connection at all.
                None => Outcome::Reset,
            }
        }
        .boxed()
    }
}

/// What the client calls its request: the only id of it that a vault's log has
/// (<https://learn.microsoft.com/azure/key-vault/general/logging>).
fn correlation_id(request: &Request<Bytes>) -> Option<(String, String)> {
    let id = request.headers().get("x-ms-client-request-id")?.to_str().ok()?;
    Some(("correlationId".to_owned(), id.to_owned()))
}

/// The host that is called, with its port.
fn host(request: &Request<Bytes>) -> String {
    let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = named.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    host.unwrap_or_default().to_ascii_lowercase()
}
