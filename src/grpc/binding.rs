//! The methods about bindings.

use leasehold_api::convert::{binding_from_model, binding_name, id, new_binding, page_size, tenant_id};
use leasehold_api::{FieldError, v1};
use leasehold_provider::{Depth, Warning};
use leasehold_service::{BindingRecord, Paging, Service};

use super::call::Call;
use super::tenant::change;
use super::{kit, lease, verification};
use crate::status::Refusal;

pub(super) async fn create(
    service: &Service,
    call: Call,
    request: v1::CreateBindingRequest,
) -> Result<v1::CreateBindingResponse, Refusal> {
    let tenant = tenant_id("parent", &request.parent)?;
    let id = id("binding_id", &request.binding_id)?;
    let binding = request.binding.ok_or_else(|| FieldError::new("binding", "is required"))?;
    let (new, options) = (new_binding(binding)?, change(String::new(), request.validate_only));
    let record = service.create_binding(&call.caller, &tenant, Some(id), new, &options).await?;
    Ok(v1::CreateBindingResponse { binding: Some(to_proto(record)) })
}

pub(super) async fn get(
    service: &Service,
    call: Call,
    request: v1::GetBindingRequest,
) -> Result<v1::GetBindingResponse, Refusal> {
    let name = binding_name("name", &request.name)?;
    let (record, view) = service.get_binding(&call.caller, &name).await?;
    let lease = Some(lease::status(&name, &view));
    Ok(v1::GetBindingResponse { binding: Some(v1::Binding { lease, ..to_proto(record) }) })
}

pub(super) async fn list(
    service: &Service,
    call: Call,
    request: v1::ListBindingsRequest,
) -> Result<v1::ListBindingsResponse, Refusal> {
    let tenant = tenant_id("parent", &request.parent)?;
    let paging = Paging { size: page_size("page_size", request.page_size)?, token: request.page_token };
    let page = service.list_bindings(&call.caller, &tenant, &paging).await?;
    let bindings = page.items.into_iter().map(to_proto).collect();
    Ok(v1::ListBindingsResponse { bindings, next_page_token: page.next_token })
}

pub(super) async fn kit(
    service: &Service,
    call: Call,
    request: v1::GetOnboardingKitRequest,
) -> Result<v1::GetOnboardingKitResponse, Refusal> {
    let kit = service.onboarding_kit(&call.caller, &binding_name("name", &request.name)?).await?;
    Ok(v1::GetOnboardingKitResponse { kit: Some(kit::to_proto(kit)) })
}

pub(super) async fn activate(
    service: &Service,
    call: Call,
    request: v1::ActivateBindingRequest,
) -> Result<v1::ActivateBindingResponse, Refusal> {
    let name = binding_name("name", &request.name)?;
    let options = change(request.etag, request.validate_only);
    let activated = service.activate_binding(&call.caller, &name, &options).await?;
    let warning = |w: Warning| v1::BindingWarning { reason: w.reason.to_owned(), text: w.text };
    Ok(v1::ActivateBindingResponse {
        binding: Some(to_proto(activated.record)),
        warnings: activated.warnings.into_iter().map(warning).collect(),
    })
}

pub(super) async fn verify(
    service: &Service,
    call: Call,
    request: v1::VerifyBindingRequest,
) -> Result<v1::VerifyBindingResponse, Refusal> {
    let name = binding_name("name", &request.name)?;
    let depth = if request.excess_permissions { Depth::ExcessPermissions } else { Depth::Access };
    Ok(verification::to_proto(service.verify_binding(&call.caller, &name, depth).await?))
}

pub(super) async fn retire(
    service: &Service,
    call: Call,
    request: v1::RetireBindingRequest,
) -> Result<v1::RetireBindingResponse, Refusal> {
    let name = binding_name("name", &request.name)?;
    let options = change(request.etag, request.validate_only);
    let record = service.retire_binding(&call.caller, &name, &options).await?;
    Ok(v1::RetireBindingResponse { binding: Some(to_proto(record)) })
}

fn to_proto(record: BindingRecord) -> v1::Binding {
    binding_from_model(&record.binding, record.etag)
}
