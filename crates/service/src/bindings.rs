//! Operations on bindings.

use std::sync::Arc;

use data_encoding::BASE32_NOPAD;
use leasehold_authz::Operation;
use leasehold_envelope::Hierarchy;
use leasehold_ids::{BindingId, BindingName, ProviderKind, TenantId};
use leasehold_lease::{LeaseState, LeaseView, Subject, proofs_per_month};
use leasehold_provider::{KitRequest, OnboardingKit, Warning};
use leasehold_tenant::{Binding, BindingState, ChangeError, NewBinding, Tenant};

use crate::change::etag;
use crate::decision::Decision;
use crate::plan::Need;
use crate::service::check_served;
use crate::{Caller, ChangeOptions, Listing, Paging, Service, ServiceError};

/// Random bytes of an id that the caller did not choose: 40 bits are 8 characters, and the 64 ids of one tenant collide
/// with a chance below one in 10⁸. A collision is refused like any other id that is taken.
const RANDOM_ID: usize = 5;

/// A binding as it is in its tenant's record.
#[derive(Debug, Clone)]
pub struct BindingRecord {
    /// The binding.
    pub binding: Binding,
    /// The etag of its tenant's record.
    pub etag: String,
}

/// What came of an activation.
#[derive(Debug, Clone)]
pub struct Activated {
    /// The binding, ACTIVE now.
    pub record: BindingRecord,
    /// What the tenant or operator should know.
    pub warnings: Vec<Warning>,
}

/// What every operation on a binding may fail with: what an operation on its tenant may, and
/// [`ServiceError::UnknownBinding`].
impl Service {
    /// Creates a binding, PENDING, and issues its external id. Asks no cloud.
    ///
    /// # Errors
    /// [`ServiceError::InvalidArgument`] if its provider finds that it cannot work; [`ServiceError::Change`] if the id is
    /// taken or there are too many; [`ServiceError::OverBudget`] if it could not be kept proving.
    pub async fn create_binding(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        id: Option<BindingId>,
        new: NewBinding,
        options: &ChangeOptions,
    ) -> Result<BindingRecord, ServiceError> {
        let mut decision = self.admit(caller, Operation::CreateBinding, Some(tenant)).await?;
        let result = self.create(&mut decision, tenant, id, &new, options).await;
        decision.conclude(result).await
    }

    /// A binding, and its lease in this process.
    ///
    /// # Errors
    /// What every operation on a binding may fail with.
    pub async fn get_binding(
        &self,
        caller: &Caller,
        name: &BindingName,
    ) -> Result<(BindingRecord, LeaseView), ServiceError> {
        let decision = self.admit(caller, Operation::GetBinding, Some(name.tenant())).await?;
        let result = self.read_binding(name).await;
        decision.conclude(result).await
    }

    /// One page of a tenant's bindings, retired ones included.
    ///
    /// # Errors
    /// [`ServiceError::InvalidArgument`] for a page token of somebody else's.
    pub async fn list_bindings(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        paging: &Paging,
    ) -> Result<Listing<BindingRecord>, ServiceError> {
        let decision = self.admit(caller, Operation::ListBindings, Some(tenant)).await?;
        let result = self.page_of_bindings(tenant, paging).await;
        decision.conclude(result).await
    }

    /// What the tenant must paste into their cloud for the binding to work.
    ///
    /// # Errors
    /// [`ServiceError::Lease`] if we cannot find out who we are, or the provider is not enabled.
    pub async fn onboarding_kit(
        &self,
        caller: &Caller,
        name: &BindingName,
    ) -> Result<OnboardingKit, ServiceError> {
        let decision = self.admit(caller, Operation::GetOnboardingKit, Some(name.tenant())).await?;
        let result = self.kit(name).await;
        decision.conclude(result).await
    }

    /// Verifies a PENDING binding in the tenant's cloud and makes it the one that wraps; the one that did is RETIRING from
    /// then on. If anything fails, nothing changes.
    ///
    /// # Errors
    /// [`ServiceError::Lease`] with what stands in the way in the tenant's cloud; [`ServiceError::OverBudget`] before that is
    /// asked.
    pub async fn activate_binding(
        &self,
        caller: &Caller,
        name: &BindingName,
        options: &ChangeOptions,
    ) -> Result<Activated, ServiceError> {
        let mut decision = self.admit(caller, Operation::ActivateBinding, Some(name.tenant())).await?;
        let result = self.activate(&mut decision, name, options).await;
        decision.conclude(result).await
    }

    /// Moves a binding one step nearer to its end: ACTIVE to RETIRING, RETIRING or PENDING to RETIRED. What is held under
    /// a RETIRED binding is wiped when this returns.
    ///
    /// # Errors
    /// [`ServiceError::Change`] if it is RETIRED already.
    pub async fn retire_binding(
        &self,
        caller: &Caller,
        name: &BindingName,
        options: &ChangeOptions,
    ) -> Result<BindingRecord, ServiceError> {
        let mut decision = self.admit(caller, Operation::RetireBinding, Some(name.tenant())).await?;
        let id = name.binding();
        let retire = |tenant: Tenant, now| Ok(tenant.with_retired(id, now)?);
        let result = match self.change(&mut decision, name.tenant(), options, retire).await {
            Ok(tenant) => record_of(&tenant, id),
            Err(error) => Err(error),
        };
        decision.conclude(result).await
    }

    async fn create(
        &self,
        decision: &mut Decision,
        tenant: &TenantId,
        id: Option<BindingId>,
        new: &NewBinding,
        options: &ChangeOptions,
    ) -> Result<BindingRecord, ServiceError> {
        if new.hierarchy != Hierarchy::Direct {
            return Err(ServiceError::invalid(
                "binding.hierarchy",
                "must be direct; this release has no other",
            ));
        }
        let id = id.map_or_else(random_id, Ok)?;
        let provider = self.inner.providers.get(&new.provider)?;
        // What could not be activated need not be onboarded.
        self.check_room(&*self.inner.directory.read(tenant).await?, &new.provider).await?;
        let changed = self
            .change(decision, tenant, options, |tenant, now| {
                let changed = tenant.with_binding(id.clone(), new.clone(), &self.inner.deployment, now)?;
                let checked = provider.check(changed.binding(&id)?);
                checked.map_err(|error| ServiceError::invalid("binding", error.detail().to_owned()))?;
                Ok(changed)
            })
            .await?;
        record_of(&changed, &id)
    }

    /// Whether one more binding of `tenant` can be kept proving.
    pub(crate) async fn check_room(
        &self,
        tenant: &Tenant,
        provider: &ProviderKind,
    ) -> Result<(), ServiceError> {
        let need = Need::of(tenant);
        self.inner.directory.check_plan(&tenant.id, &need, &need.clone().and(provider)).await
    }

    async fn read_binding(&self, name: &BindingName) -> Result<(BindingRecord, LeaseView), ServiceError> {
        let tenant = self.inner.directory.read(name.tenant()).await?;
        let record = record_of(&tenant, name.binding())?;
        // Whether or not this process ever had a lease of it.
        let over = !tenant.is_served() || record.binding.state == BindingState::Retired;
        let view = if over { LeaseView::over(LeaseState::Suspended) } else { self.inner.leases.view(name) };
        Ok((record, view))
    }

    async fn page_of_bindings(
        &self,
        tenant: &TenantId,
        paging: &Paging,
    ) -> Result<Listing<BindingRecord>, ServiceError> {
        let after = paging.after::<BindingId>()?;
        let tenant = self.inner.directory.read(tenant).await?;
        let follows = |binding: &&Binding| after.as_ref().is_none_or(|after| binding.name.binding() > after);
        let record = |binding: &Binding| BindingRecord { binding: binding.clone(), etag: etag(&tenant) };
        let limit = paging.limit();
        let records = tenant.bindings.values().filter(follows).take(limit + 1).map(record).collect();
        Ok(Listing::cut(records, limit, |record: &BindingRecord| record.binding.name.binding().as_str()))
    }

    async fn kit(&self, name: &BindingName) -> Result<OnboardingKit, ServiceError> {
        let tenant = self.inner.directory.read(name.tenant()).await?;
        let binding = tenant.binding(name.binding())?;
        let provider = self.inner.providers.get(&binding.provider)?;
        let own = provider.own_identity().await.map_err(cloud_error)?;
        let bound = tenant.terms.revocation_bound();
        let request = KitRequest {
            binding,
            own: &own,
            revocation_bound: bound.get(),
            proofs_per_month: proofs_per_month(bound),
        };
        provider.onboarding_kit(&request).map_err(cloud_error)
    }

    async fn activate(
        &self,
        decision: &mut Decision,
        name: &BindingName,
        options: &ChangeOptions,
    ) -> Result<Activated, ServiceError> {
        let tenant = self.inner.directory.read(name.tenant()).await?;
        options.check(&tenant)?;
        let candidate = pending(&tenant, name.binding())?;
        decision.about(candidate);
        let verified = candidate.version;
        self.check_room(&tenant, &candidate.provider).await?;
        let activation = self.inner.leases.check_activation(&Subject::of(&tenant, candidate)).await?;
        let changed = self
            .change(decision, name.tenant(), options, |tenant, now| {
                pending(&tenant, name.binding())?;
                Ok(tenant.with_activated(name.binding(), verified, activation.canary.clone(), now)?)
            })
            .await?;
        Ok(Activated { record: record_of(&changed, name.binding())?, warnings: activation.warnings })
    }
}

/// The binding, if it can be activated now.
fn pending<'t>(tenant: &'t Tenant, id: &BindingId) -> Result<&'t Binding, ServiceError> {
    check_served(tenant)?;
    let binding = tenant.binding(id)?;
    if binding.state == BindingState::Pending {
        return Ok(binding);
    }
    let wanted = "PENDING (create another binding to change the key or the principal)";
    Err(ChangeError::WrongBindingState { binding: id.clone(), actual: binding.state, wanted }.into())
}

fn record_of(tenant: &Tenant, id: &BindingId) -> Result<BindingRecord, ServiceError> {
    Ok(BindingRecord { binding: tenant.binding(id)?.clone(), etag: etag(tenant) })
}

/// A short label that begins with a letter, for example `b-mzxw6ytb`.
fn random_id() -> Result<BindingId, ServiceError> {
    let mut bytes = [0; RANDOM_ID];
    let internal = |what| ServiceError::from(leasehold_lease::LeaseError::Internal(what));
    getrandom::fill(&mut bytes).map_err(|_| internal("the operating system gave no randomness"))?;
    let text = BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
    format!("b-{text}").parse().map_err(|_| internal("a generated id is not a label"))
}

/// What a provider's failure means outside of a lease.
fn cloud_error(error: leasehold_provider::ProviderError) -> ServiceError {
    use leasehold_lease::LeaseError;
    use leasehold_provider::Fault;

    let error = Arc::new(error);
    match error.fault() {
        Fault::Denied { .. } | Fault::KeyUnusable(_) => LeaseError::Denied(error),
        Fault::OwnIdentity => LeaseError::OwnIdentity(error),
        Fault::Misconfigured | Fault::Rejected => LeaseError::Misconfigured(error),
        Fault::Throttled { retry_after, .. } => {
            LeaseError::Throttled { retry_after: *retry_after, source: error }
        }
        _ => LeaseError::Unavailable(error),
    }
    .into()
}
