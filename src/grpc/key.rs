//! `KeyService`.

use leasehold_api::convert::{
    context, duration_to_proto, key_length, plaintext_from_proto, plaintext_to_proto, tenant_id, wrapped_key,
};
use leasehold_api::v1::key_service_server::KeyService;
use leasehold_api::{FieldError, v1};
use leasehold_secret::{Arena, SecretError};
use leasehold_service::Service;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::call::{Call, Calls};
use super::{untaken, watch};
use crate::status::Refusal;

/// The key operations over gRPC.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) service: Service,
    pub(crate) calls: Calls,
    pub(crate) arena: Arena,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl KeyService for Keys {
    async fn generate_data_key(
        &self,
        request: Request<v1::GenerateDataKeyRequest>,
    ) -> Answer<v1::GenerateDataKeyResponse> {
        let about = request.get_ref().tenant.clone();
        let handle = |call, q| self.generate(call, q);
        let answer = self.calls.unary("GenerateDataKey", request, about, handle).await?;
        Ok(untaken::mark(answer, |message| &message.binding))
    }

    async fn generate_data_key_without_plaintext(
        &self,
        request: Request<v1::GenerateDataKeyWithoutPlaintextRequest>,
    ) -> Answer<v1::GenerateDataKeyWithoutPlaintextResponse> {
        let about = request.get_ref().tenant.clone();
        let handle = |call, q| self.generate_without_plaintext(call, q);
        self.calls.unary("GenerateDataKeyWithoutPlaintext", request, about, handle).await
    }

    async fn wrap_key(&self, request: Request<v1::WrapKeyRequest>) -> Answer<v1::WrapKeyResponse> {
        let about = request.get_ref().tenant.clone();
        self.calls.bringing("WrapKey", request, about, |call, q| self.wrap(call, q)).await
    }

    async fn unwrap_key(&self, request: Request<v1::UnwrapKeyRequest>) -> Answer<v1::UnwrapKeyResponse> {
        let about = request.get_ref().tenant.clone();
        let handle = |call, q| self.unwrap(call, q);
        let answer = self.calls.unary("UnwrapKey", request, about, handle).await?;
        Ok(untaken::mark(answer, |message| &message.binding))
    }

    async fn rewrap_key(&self, request: Request<v1::RewrapKeyRequest>) -> Answer<v1::RewrapKeyResponse> {
        let about = request.get_ref().tenant.clone();
        self.calls.unary("RewrapKey", request, about, |call, q| self.rewrap(call, q)).await
    }

    type WatchLeasesStream = ReceiverStream<Result<v1::WatchLeasesResponse, Status>>;

    async fn watch_leases(
        &self,
        request: Request<Streaming<v1::WatchLeasesRequest>>,
    ) -> Answer<Self::WatchLeasesStream> {
        watch::start(&self.service, &self.calls, request).await
    }
}

// `release` comes last in each of these: nothing is waited for between the last check of the lease and the answer.
impl Keys {
    async fn generate(
        &self,
        call: Call,
        request: v1::GenerateDataKeyRequest,
    ) -> Result<v1::GenerateDataKeyResponse, Refusal> {
        let tenant = tenant_id("tenant", &request.tenant)?;
        let length = key_length("key_bytes", request.key_bytes)?;
        let context = context("encryption_context", request.encryption_context)?;
        let served = self.service.generate_data_key(&call.caller, &tenant, length, &context).await?;
        let binding = served.binding().clone();
        call.carries(&binding);
        let released = served.release().await?;
        Ok(v1::GenerateDataKeyResponse {
            plaintext: plaintext_to_proto(released.value.key),
            wrapped_key: released.value.wrapped.into_bytes(),
            lease_ttl: Some(duration_to_proto(released.lease_ttl)),
            binding: binding.to_string(),
        })
    }

    async fn generate_without_plaintext(
        &self,
        call: Call,
        request: v1::GenerateDataKeyWithoutPlaintextRequest,
    ) -> Result<v1::GenerateDataKeyWithoutPlaintextResponse, Refusal> {
        let tenant = tenant_id("tenant", &request.tenant)?;
        let length = key_length("key_bytes", request.key_bytes)?;
        let context = context("encryption_context", request.encryption_context)?;
        let served =
            self.service.generate_data_key_without_plaintext(&call.caller, &tenant, length, &context).await?;
        let binding = served.binding().to_string();
        let wrapped_key = served.release().await?.value.into_bytes();
        Ok(v1::GenerateDataKeyWithoutPlaintextResponse { wrapped_key, binding })
    }

    async fn wrap(&self, call: Call, request: v1::WrapKeyRequest) -> Result<v1::WrapKeyResponse, Refusal> {
        let plaintext = plaintext_from_proto(&self.arena, request.plaintext).map_err(unheld)?;
        let tenant = tenant_id("tenant", &request.tenant)?;
        let context = context("encryption_context", request.encryption_context)?;
        let served = self.service.wrap_key(&call.caller, &tenant, plaintext, &context).await?;
        let binding = served.binding().to_string();
        let released = served.release().await?;
        Ok(v1::WrapKeyResponse {
            wrapped_key: released.value.into_bytes(),
            lease_ttl: Some(duration_to_proto(released.lease_ttl)),
            binding,
        })
    }

    async fn unwrap(
        &self,
        call: Call,
        request: v1::UnwrapKeyRequest,
    ) -> Result<v1::UnwrapKeyResponse, Refusal> {
        let tenant = tenant_id("tenant", &request.tenant)?;
        let wrapped = wrapped_key("wrapped_key", request.wrapped_key)?;
        let context = context("encryption_context", request.encryption_context)?;
        let served = self.service.unwrap_key(&call.caller, &tenant, &wrapped, &context).await?;
        let binding = served.binding().clone();
        call.carries(&binding);
        let released = served.release().await?;
        Ok(v1::UnwrapKeyResponse {
            plaintext: plaintext_to_proto(released.value),
            lease_ttl: Some(duration_to_proto(released.lease_ttl)),
            binding: binding.to_string(),
        })
    }

    async fn rewrap(
        &self,
        call: Call,
        request: v1::RewrapKeyRequest,
    ) -> Result<v1::RewrapKeyResponse, Refusal> {
        let tenant = tenant_id("tenant", &request.tenant)?;
        let wrapped = wrapped_key("wrapped_key", request.wrapped_key)?;
        let old = context("encryption_context", request.encryption_context)?;
        let new = request.new_encryption_context;
        let new = new.map(|new| context("new_encryption_context", new.entries)).transpose()?;
        let served = self.service.rewrap_key(&call.caller, &tenant, &wrapped, &old, new.as_ref()).await?;
        let binding = served.binding().to_string();
        let wrapped_key = served.release().await?.value.into_bytes();
        Ok(v1::RewrapKeyResponse { wrapped_key, binding })
    }
}

/// Why the plaintext of a request cannot be held.
fn unheld(error: SecretError) -> Refusal {
    match error {
        SecretError::InvalidLength { .. } => FieldError::new("plaintext", error).into(),
        error => Refusal::Unheld(error.into()),
    }
}
