//! Typed calls with deadlines and retries.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use leasehold_api::convert::{duration, plaintext_from_proto, plaintext_to_proto, tenant_name};
use leasehold_api::v1;
use leasehold_api::v1::key_service_client::KeyServiceClient;
use leasehold_api::v1::tenant_service_client::TenantServiceClient;
use leasehold_clock::{Moment, TimeSource};
use leasehold_envelope::{EncryptionContext, WrappedKey};
use leasehold_ids::{BindingName, TenantId};
use leasehold_secret::{Arena, KeyLength, PlaintextKey};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::endpoint::MAX_ANSWER;
use crate::{ClientError, Endpoint, LeaseStream, RetryPolicy};

/// How often one call moves to another connection because the service was closing the one it had chosen, as it does with
/// connections that carried keys of a lease that ended. Once is the rule; a new connection is hardly ever closed at once.
const MAX_MOVES: u32 = 2;

/// How a client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long one attempt may take. Default 15 s: a little longer than the service lets a request wait for a proof.
    pub deadline: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
}

impl Default for Settings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(15), retry: RetryPolicy::default() }
    }
}

/// Something that may be held as long as a lease lives.
pub struct Leased<T> {
    /// What may be held.
    pub value: T,
    /// Whose lease it is under.
    pub binding: BindingName,
    /// Until when it may be held. Counted from when the request was sent.
    pub expires: Moment,
}

/// A new key, in the clear and wrapped.
pub struct NewKey {
    /// In the clear.
    pub key: PlaintextKey,
    /// Wrapped.
    pub wrapped: WrappedKey,
}

/// A wrapped key and the binding that wrapped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The wrapped key.
    pub wrapped: WrappedKey,
    /// The binding.
    pub binding: BindingName,
}

/// A client of the service. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Client {
    keys: KeyServiceClient<Channel>,
    tenants: TenantServiceClient<Channel>,
    settings: Settings,
    arena: Arena,
    clock: Arc<dyn TimeSource>,
}

impl Client {
    /// A client of the service at `endpoint`; connects when it is first used. Keys that arrive are held in `arena`. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn new(endpoint: &Endpoint, settings: Settings, arena: Arena, clock: Arc<dyn TimeSource>) -> Self {
        let channel = endpoint.channel();
        Self {
            keys: KeyServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER),
            tenants: TenantServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER),
            settings,
            arena,
            clock,
        }
    }

    /// Makes a new key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn generate_data_key(
        &self,
        tenant: &TenantId,
        length: KeyLength,
        context: &EncryptionContext,
    ) -> Result<Leased<NewKey>, ClientError> {
        let request = v1::GenerateDataKeyRequest {
            tenant: tenant_name(tenant),
            key_bytes: bytes_of(length),
            encryption_context: entries(context),
        };
        let call =
            |mut keys: KeyServiceClient<_>, request| async move { keys.generate_data_key(request).await };
        let (answer, sent) = self.keys(request, call).await?;
        let key = plaintext_from_proto(&self.arena, answer.plaintext)?;
        let value = NewKey { key, wrapped: wrapped(answer.wrapped_key)? };
        leased(value, &answer.binding, answer.lease_ttl, sent)
    }

    /// Makes a new key that nobody needs in the clear yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn generate_data_key_without_plaintext(
        &self,
        tenant: &TenantId,
        length: KeyLength,
        context: &EncryptionContext,
    ) -> Result<Wrapped, ClientError> {
        let request = v1::GenerateDataKeyWithoutPlaintextRequest {
            tenant: tenant_name(tenant),
            key_bytes: bytes_of(length),
            encryption_context: entries(context),
        };
        let call = |mut keys: KeyServiceClient<_>, request| async move {
            keys.generate_data_key_without_plaintext(request).await
        };
        let (answer, _) = self.keys(request, call).await?;
        Ok(Wrapped { wrapped: wrapped(answer.wrapped_key)?, binding: binding(&answer.binding)? })
    }

    /// Wraps `key`, which is wiped when the call ends.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wrap_key(
        &self,
        tenant: &TenantId,
        key: PlaintextKey,
        context: &EncryptionContext,
    ) -> Result<Leased<WrappedKey>, ClientError> {
        let request = v1::WrapKeyRequest {
            tenant: tenant_name(tenant),
            plaintext: plaintext_to_proto(key),
            encryption_context: entries(context),
        };
        let call = |mut keys: KeyServiceClient<_>, request| async move { keys.wrap_key(request).await };
        let (answer, sent) = self.keys(request, call).await?;
        leased(wrapped(answer.wrapped_key)?, &answer.binding, answer.lease_ttl, sent)
    }

    /// Unwraps a key.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn unwrap_key(
        &self,
        tenant: &TenantId,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<Leased<PlaintextKey>, ClientError> {
        let request = v1::UnwrapKeyRequest {
            tenant: tenant_name(tenant),
            wrapped_key: wrapped.clone().into_bytes(),
            encryption_context: entries(context),
        };
        let call = |mut keys: KeyServiceClient<_>, request| async move { keys.unwrap_key(request).await };
        let (answer, sent) = self.keys(request, call).await?;
        let key = plaintext_from_proto(&self.arena, answer.plaintext)?;
        leased(key, &answer.binding, answer.lease_ttl, sent)
    }

    /// Wraps a wrapped key anew under the tenant's ACTIVE binding, and to `new_context` if there is one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn rewrap_key(
        &self,
        tenant: &TenantId,
        old: &WrappedKey,
        context: &EncryptionContext,
        new_context: Option<&EncryptionContext>,
    ) -> Result<Wrapped, ClientError> {
        let request = v1::RewrapKeyRequest {
            tenant: tenant_name(tenant),
            wrapped_key: old.clone().into_bytes(),
            encryption_context: entries(context),
            new_encryption_context: new_context.map(|c| v1::EncryptionContext { entries: entries(c) }),
        };
        let call = |mut keys: KeyServiceClient<_>, request| async move { keys.rewrap_key(request).await };
        let (answer, _) = self.keys(request, call).await?;
        Ok(Wrapped { wrapped: wrapped(answer.wrapped_key)?, binding: binding(&answer.binding)? })
    }

    /// Opens a stream of leases.
    ///
    /// # Errors
    /// [`ClientError`]; the retry policy is not followed here.
    pub async fn leases(&self) -> Result<LeaseStream, ClientError> {
        let mut moves = 0;
        loop {
            match LeaseStream::open(self.keys.clone(), Arc::clone(&self.clock)).await {
                Err(ClientError::Refused(refusal)) if refusal.lost_its_connection() && moves < MAX_MOVES => {
                    moves += 1
                }
                opened => return opened,
            }
        }
    }

    /// Calls a method of `TenantService`: `client.tenants(request, |mut tenants, request| async move {
    /// tenants.get_tenant(request).await })`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tenants<Q, A, F>(
        &self,
        request: Q,
        call: impl Fn(TenantServiceClient<Channel>, Request<Q>) -> F,
    ) -> Result<A, ClientError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        Ok(self.retried(request, |request| call(self.tenants.clone(), request)).await?.0)
    }

    /// The clock by which leases are counted.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn TimeSource> {
        &self.clock
    }

    /// Where keys that arrive are held.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    async fn keys<Q, A, F>(
        &self,
        request: Q,
        call: impl Fn(KeyServiceClient<Channel>, Request<Q>) -> F,
    ) -> Result<(A, Moment), ClientError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.retried(request, |request| call(self.keys.clone(), request)).await
    }

    /// The answer, and when the attempt that got it was sent.
    async fn retried<Q, A, F>(
        &self,
        request: Q,
        call: impl Fn(Request<Q>) -> F,
    ) -> Result<(A, Moment), ClientError>
    where
        Q: Clone,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let began = self.clock.now();
        let (mut attempt, mut moves) = (1, 0);
        loop {
            let mut message = Request::new(request.clone());
            message.set_timeout(self.settings.deadline);
            let sent = self.clock.now();
            let refusal = match call(message).await.map_err(ClientError::from) {
                Ok(answer) => return Ok((answer.into_inner(), sent)),
                Err(ClientError::Refused(refusal)) => refusal,
                Err(other) => return Err(other),
            };
            if refusal.lost_its_connection() && moves < MAX_MOVES {
                moves += 1;
                continue;
            }
            let elapsed = self.clock.now().since(began);
            match self.settings.retry.pause(&refusal, attempt, elapsed, rand::random()) {
                Some(pause) => self.clock.sleep(pause).await,
                None => return Err(ClientError::Refused(refusal)),
            }
            attempt += 1;
        }
    }
}

fn leased<T>(
    value: T,
    name: &str,
    ttl: Option<prost_types::Duration>,
    sent: Moment,
) -> Result<Leased<T>, ClientError> {
    let ttl = duration("lease_ttl", ttl.unwrap_or_default());
    let ttl = ttl.map_err(|_| ClientError::Answer("the lease's time to live is not a duration"))?;
    Ok(Leased { value, binding: binding(name)?, expires: sent + ttl })
}

fn binding(name: &str) -> Result<BindingName, ClientError> {
    name.parse().map_err(|_| ClientError::Answer("the binding's name is malformed"))
}

fn wrapped(bytes: Bytes) -> Result<WrappedKey, ClientError> {
    bytes.try_into().map_err(|_| ClientError::Answer("the wrapped key is empty or too large"))
}

fn entries(context: &EncryptionContext) -> std::collections::HashMap<String, String> {
    context.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn bytes_of(length: KeyLength) -> u32 {
    // At most 64.
    u32::try_from(length.bytes()).unwrap_or_default()
}
