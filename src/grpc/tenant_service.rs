//! `TenantService`: which method is which function of `tenant` and `binding`, and what each call is about.

use leasehold_api::v1;
use leasehold_api::v1::tenant_service_server::TenantService;
use leasehold_service::Service;
use tonic::{Request, Response, Status};

use super::call::Calls;
use super::{binding, tenant};

/// Tenants and bindings over gRPC.
#[derive(Debug, Clone)]
pub(crate) struct Tenants {
    pub(crate) service: Service,
    pub(crate) calls: Calls,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl TenantService for Tenants {
    async fn create_tenant(
        &self,
        request: Request<v1::CreateTenantRequest>,
    ) -> Answer<v1::CreateTenantResponse> {
        let about = format!("tenants/{}", request.get_ref().tenant_id);
        self.calls
            .unary("CreateTenant", request, about, |call, q| tenant::create(&self.service, call, q))
            .await
    }

    async fn get_tenant(&self, request: Request<v1::GetTenantRequest>) -> Answer<v1::GetTenantResponse> {
        let about = request.get_ref().name.clone();
        self.calls.unary("GetTenant", request, about, |call, q| tenant::get(&self.service, call, q)).await
    }

    async fn list_tenants(
        &self,
        request: Request<v1::ListTenantsRequest>,
    ) -> Answer<v1::ListTenantsResponse> {
        let about = String::new();
        self.calls.unary("ListTenants", request, about, |call, q| tenant::list(&self.service, call, q)).await
    }

    async fn update_tenant(
        &self,
        request: Request<v1::UpdateTenantRequest>,
    ) -> Answer<v1::UpdateTenantResponse> {
        let about = request.get_ref().tenant.as_ref().map(|t| t.name.clone()).unwrap_or_default();
        self.calls
            .unary("UpdateTenant", request, about, |call, q| tenant::update(&self.service, call, q))
            .await
    }

    async fn delete_tenant(
        &self,
        request: Request<v1::DeleteTenantRequest>,
    ) -> Answer<v1::DeleteTenantResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("DeleteTenant", request, about, |call, q| tenant::delete(&self.service, call, q))
            .await
    }

    async fn undelete_tenant(
        &self,
        request: Request<v1::UndeleteTenantRequest>,
    ) -> Answer<v1::UndeleteTenantResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("UndeleteTenant", request, about, |call, q| tenant::undelete(&self.service, call, q))
            .await
    }

    async fn suspend_tenant(
        &self,
        request: Request<v1::SuspendTenantRequest>,
    ) -> Answer<v1::SuspendTenantResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("SuspendTenant", request, about, |call, q| tenant::suspend(&self.service, call, q))
            .await
    }

    async fn resume_tenant(
        &self,
        request: Request<v1::ResumeTenantRequest>,
    ) -> Answer<v1::ResumeTenantResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("ResumeTenant", request, about, |call, q| tenant::resume(&self.service, call, q))
            .await
    }

    async fn reprove_tenant(
        &self,
        request: Request<v1::ReproveTenantRequest>,
    ) -> Answer<v1::ReproveTenantResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("ReproveTenant", request, about, |call, q| tenant::reprove(&self.service, call, q))
            .await
    }

    async fn create_binding(
        &self,
        request: Request<v1::CreateBindingRequest>,
    ) -> Answer<v1::CreateBindingResponse> {
        let about = request.get_ref().parent.clone();
        self.calls
            .unary("CreateBinding", request, about, |call, q| binding::create(&self.service, call, q))
            .await
    }

    async fn get_binding(&self, request: Request<v1::GetBindingRequest>) -> Answer<v1::GetBindingResponse> {
        let about = request.get_ref().name.clone();
        self.calls.unary("GetBinding", request, about, |call, q| binding::get(&self.service, call, q)).await
    }

    async fn list_bindings(
        &self,
        request: Request<v1::ListBindingsRequest>,
    ) -> Answer<v1::ListBindingsResponse> {
        let about = request.get_ref().parent.clone();
        self.calls
            .unary("ListBindings", request, about, |call, q| binding::list(&self.service, call, q))
            .await
    }

    async fn get_onboarding_kit(
        &self,
        request: Request<v1::GetOnboardingKitRequest>,
    ) -> Answer<v1::GetOnboardingKitResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("GetOnboardingKit", request, about, |call, q| binding::kit(&self.service, call, q))
            .await
    }

    async fn activate_binding(
        &self,
        request: Request<v1::ActivateBindingRequest>,
    ) -> Answer<v1::ActivateBindingResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("ActivateBinding", request, about, |call, q| binding::activate(&self.service, call, q))
            .await
    }

    async fn verify_binding(
        &self,
        request: Request<v1::VerifyBindingRequest>,
    ) -> Answer<v1::VerifyBindingResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("VerifyBinding", request, about, |call, q| binding::verify(&self.service, call, q))
            .await
    }

    async fn retire_binding(
        &self,
        request: Request<v1::RetireBindingRequest>,
    ) -> Answer<v1::RetireBindingResponse> {
        let about = request.get_ref().name.clone();
        self.calls
            .unary("RetireBinding", request, about, |call, q| binding::retire(&self.service, call, q))
            .await
    }
}
