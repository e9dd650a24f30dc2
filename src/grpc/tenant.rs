//! The methods about tenants.

use leasehold_api::convert::{TenantPatch, id, page_size, tenant_from_model, tenant_id, tenant_patch};
use leasehold_api::{FieldError, v1};
use leasehold_service::{ChangeOptions, Mode, NewTenant, Paging, Service, TenantChange, etag};
use leasehold_tenant::Tenant;

use super::call::Call;
use super::lease;
use crate::status::Refusal;

pub(super) async fn create(
    service: &Service,
    call: Call,
    request: v1::CreateTenantRequest,
) -> Result<v1::CreateTenantResponse, Refusal> {
    let id = id("tenant_id", &request.tenant_id)?;
    let new = tenant_patch(request.tenant.unwrap_or_default(), None)?;
    let mode = mode(request.validate_only);
    let new = NewTenant {
        display_name: new.display_name,
        terms: new.terms,
        loggable_context: new.loggable_context,
    };
    let tenant = service.create_tenant(&call.caller, &id, new, mode).await?;
    Ok(v1::CreateTenantResponse { tenant: Some(to_proto(&tenant)) })
}

pub(super) async fn get(
    service: &Service,
    call: Call,
    request: v1::GetTenantRequest,
) -> Result<v1::GetTenantResponse, Refusal> {
    let tenant = service.get_tenant(&call.caller, &tenant_id("name", &request.name)?).await?;
    Ok(v1::GetTenantResponse { tenant: Some(to_proto(&tenant)) })
}

pub(super) async fn list(
    service: &Service,
    call: Call,
    request: v1::ListTenantsRequest,
) -> Result<v1::ListTenantsResponse, Refusal> {
    let paging = Paging { size: page_size("page_size", request.page_size)?, token: request.page_token };
    let page = service.list_tenants(&call.caller, &paging, request.show_deleted).await?;
    let tenants = page.items.iter().map(|tenant| to_proto(tenant)).collect();
    Ok(v1::ListTenantsResponse { tenants, next_page_token: page.next_token })
}

pub(super) async fn update(
    service: &Service,
    call: Call,
    request: v1::UpdateTenantRequest,
) -> Result<v1::UpdateTenantResponse, Refusal> {
    let tenant = request.tenant.ok_or_else(|| FieldError::new("tenant", "is required"))?;
    let id = tenant_id("tenant.name", &tenant.name)?;
    let options = change(tenant.etag.clone(), request.validate_only);
    let changes = changes(tenant_patch(tenant, request.update_mask.as_ref())?);
    let tenant = service.update_tenant(&call.caller, &id, &changes, &options).await?;
    Ok(v1::UpdateTenantResponse { tenant: Some(to_proto(&tenant)) })
}

pub(super) async fn delete(
    service: &Service,
    call: Call,
    request: v1::DeleteTenantRequest,
) -> Result<v1::DeleteTenantResponse, Refusal> {
    let (id, options) = (tenant_id("name", &request.name)?, change(request.etag, request.validate_only));
    let tenant = service.delete_tenant(&call.caller, &id, &options).await?;
    Ok(v1::DeleteTenantResponse { tenant: Some(to_proto(&tenant)) })
}

pub(super) async fn undelete(
    service: &Service,
    call: Call,
    request: v1::UndeleteTenantRequest,
) -> Result<v1::UndeleteTenantResponse, Refusal> {
    let (id, options) = (tenant_id("name", &request.name)?, change(request.etag, request.validate_only));
    let tenant = service.undelete_tenant(&call.caller, &id, &options).await?;
    Ok(v1::UndeleteTenantResponse { tenant: Some(to_proto(&tenant)) })
}

pub(super) async fn suspend(
    service: &Service,
    call: Call,
    request: v1::SuspendTenantRequest,
) -> Result<v1::SuspendTenantResponse, Refusal> {
    let (id, options) = (tenant_id("name", &request.name)?, change(request.etag, request.validate_only));
    let tenant = service.suspend_tenant(&call.caller, &id, &options).await?;
    Ok(v1::SuspendTenantResponse { tenant: Some(to_proto(&tenant)) })
}

pub(super) async fn resume(
    service: &Service,
    call: Call,
    request: v1::ResumeTenantRequest,
) -> Result<v1::ResumeTenantResponse, Refusal> {
    let (id, options) = (tenant_id("name", &request.name)?, change(request.etag, request.validate_only));
    let tenant = service.resume_tenant(&call.caller, &id, &options).await?;
    Ok(v1::ResumeTenantResponse { tenant: Some(to_proto(&tenant)) })
}

pub(super) async fn reprove(
    service: &Service,
    call: Call,
    request: v1::ReproveTenantRequest,
) -> Result<v1::ReproveTenantResponse, Refusal> {
    let leases = service.reprove_tenant(&call.caller, &tenant_id("name", &request.name)?).await?;
    let leases = leases.iter().map(|(binding, view)| lease::status(binding, view)).collect();
    Ok(v1::ReproveTenantResponse { leases })
}

/// Under which condition, and in which mode, a request wants its change.
pub(super) fn change(etag: String, validate_only: bool) -> ChangeOptions {
    ChangeOptions { etag, mode: mode(validate_only) }
}

fn mode(validate_only: bool) -> Mode {
    if validate_only { Mode::ValidateOnly } else { Mode::Apply }
}

fn to_proto(tenant: &Tenant) -> v1::Tenant {
    tenant_from_model(tenant, etag(tenant))
}

fn changes(patch: TenantPatch) -> Vec<TenantChange> {
    let TenantPatch { display_name, terms, loggable_context, mask } = patch;
    let wanted = [
        (mask.display_name, TenantChange::DisplayName(display_name)),
        (mask.revocation_bound, TenantChange::RevocationBound(terms.revocation_bound())),
        (mask.idle_after, TenantChange::IdleAfter(terms.idle_after())),
        (mask.entry_max_age, TenantChange::EntryMaxAge(terms.entry_max_age())),
        (mask.cache, TenantChange::Cache(terms.cache())),
        (mask.loggable_context, TenantChange::LoggableContext(loggable_context)),
    ];
    wanted.into_iter().filter_map(|(wanted, change)| wanted.then_some(change)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leasehold_tenant::LeaseTerms;

    use super::*;

    #[test]
    fn an_update_changes_only_what_its_mask_names() {
        let mask = prost_types::FieldMask { paths: vec!["lease_terms.idle_after".into()] };
        let terms = v1::LeaseTerms {
            idle_after: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
            revocation_bound: Some(prost_types::Duration { seconds: 20, nanos: 0 }),
            ..Default::default()
        };
        let tenant =
            v1::Tenant { display_name: "New".into(), lease_terms: Some(terms), ..Default::default() };
        let named = changes(tenant_patch(tenant, Some(&mask)).unwrap());
        assert_eq!(named, [TenantChange::IdleAfter(Duration::from_secs(30))]);
        let all = prost_types::FieldMask { paths: vec!["*".into()] };
        let all = changes(tenant_patch(v1::Tenant::default(), Some(&all)).unwrap());
        assert_eq!(all.len(), 6);
        assert!(
            all.contains(&TenantChange::IdleAfter(LeaseTerms::DEFAULT_IDLE_AFTER)),
            "absent means the default"
        );
    }
}
