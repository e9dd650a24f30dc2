//! Operations on tenants.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use leasehold_authz::Operation;
use leasehold_ids::{BindingName, TenantId};
use leasehold_lease::{LeaseError, LeaseView};
use leasehold_tenant::{
    CacheMode, LeaseTerms, LoggableContext, PageRequest, RESERVED_PREFIX, RevocationBound, Tenant,
    TermsError, is_display_name,
};

use crate::directory::subjects;
use crate::listing::report;
use crate::{Caller, ChangeOptions, Listing, Mode, Paging, Service, ServiceError};

/// What is said of a tenant when it is created.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTenant {
    /// For people; at most 128 characters, none of them a control character.
    pub display_name: String,
    /// The terms under which its leases run.
    pub terms: LeaseTerms,
    /// The entries of encryption contexts whose values may be recorded.
    pub loggable_context: LoggableContext,
}

/// What is to be different about a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TenantChange {
    /// Another display name; at most 128 characters, none of them a control character.
    DisplayName(String),
    /// Another revocation bound.
    RevocationBound(RevocationBound),
    /// Another time after which an unused lease is released; 1 s to 24 h.
    IdleAfter(Duration),
    /// Another greatest age of what is kept; 1 s to 24 h.
    EntryMaxAge(Duration),
    /// Whether anything is kept at all.
    Cache(CacheMode),
    /// Other entries of encryption contexts whose values may be recorded.
    LoggableContext(LoggableContext),
}

/// What every operation on a tenant may fail with: [`ServiceError::PermissionDenied`] before anything is looked up,
/// [`ServiceError::UnknownTenant`], [`ServiceError::RegistryUnavailable`], [`ServiceError::AuditUnavailable`]; and those that
/// change something also with [`ServiceError::Conflict`] and [`ServiceError::Change`]. A change applies to live leases
/// before its operation returns.
impl Service {
    /// Creates a tenant without bindings.
    ///
    /// # Errors
    /// [`ServiceError::TenantExists`]; [`ServiceError::InvalidArgument`]; [`ServiceError::OverBudget`] if no binding of it
    /// could be kept proving.
    pub async fn create_tenant(
        &self,
        caller: &Caller,
        id: &TenantId,
        new: NewTenant,
        mode: Mode,
    ) -> Result<Arc<Tenant>, ServiceError> {
        let mut decision = self.admit(caller, Operation::CreateTenant, Some(id)).await?;
        decision.in_mode(mode);
        let result = async {
            let NewTenant { display_name, terms, loggable_context } = new;
            check_display_name(&display_name)?;
            check_unreserved(id)?;
            let tenant = Tenant::new(id.clone(), display_name, terms, self.inner.clock.wall());
            let tenant = Tenant { loggable_context, ..tenant };
            let directory = &self.inner.directory;
            match directory.read(id).await {
                Ok(_) => return Err(ServiceError::TenantExists(id.clone())),
                Err(ServiceError::UnknownTenant(_)) => {}
                Err(error) => return Err(error),
            }
            self.check_any_room(&tenant).await?;
            if mode == Mode::Apply {
                decision.serve().await?;
                let (directory, new) = (Arc::clone(directory), tenant.clone());
                let create = async move { directory.within_deadline(directory.registry().create(new)).await };
                decision.carry_out(create).await?;
            }
            Ok(Arc::new(tenant))
        }
        .await;
        decision.conclude(result).await
    }

    /// The tenant, deleted or not.
    ///
    /// # Errors
    /// What every operation on a tenant may fail with.
    pub async fn get_tenant(&self, caller: &Caller, id: &TenantId) -> Result<Arc<Tenant>, ServiceError> {
        let decision = self.admit(caller, Operation::GetTenant, Some(id)).await?;
        let result = self.inner.directory.read(id).await;
        decision.conclude(result).await
    }

    /// One page of the tenants that the caller may list.
    ///
    /// # Errors
    /// [`ServiceError::InvalidArgument`] for a page token of somebody else's.
    pub async fn list_tenants(
        &self,
        caller: &Caller,
        paging: &Paging,
        show_deleted: bool,
    ) -> Result<Listing<Arc<Tenant>>, ServiceError> {
        let decision = self.admit(caller, Operation::ListTenants, None).await?;
        let result = self.visible_tenants(caller, paging, show_deleted).await;
        decision.conclude(result).await
    }

    /// Changes a tenant's display name or terms.
    ///
    /// # Errors
    /// [`ServiceError::InvalidArgument`] if there is nothing to change or a value is out of its bounds;
    /// [`ServiceError::OverBudget`] if a shorter bound would need more proofs than there may be.
    pub async fn update_tenant(
        &self,
        caller: &Caller,
        id: &TenantId,
        changes: &[TenantChange],
        options: &ChangeOptions,
    ) -> Result<Arc<Tenant>, ServiceError> {
        let mut decision = self.admit(caller, Operation::UpdateTenant, Some(id)).await?;
        let result = self
            .change(&mut decision, id, options, |tenant, now| {
                let NewTenant { display_name, terms, loggable_context } = changed(&tenant, changes)?;
                Ok(Tenant { loggable_context, ..tenant.updated_to(display_name, terms, now)? })
            })
            .await;
        decision.conclude(result).await
    }

    /// Deletes a tenant softly. What was held for it is wiped when this returns.
    ///
    /// # Errors
    /// What every operation on a tenant may fail with.
    pub async fn delete_tenant(
        &self,
        caller: &Caller,
        id: &TenantId,
        options: &ChangeOptions,
    ) -> Result<Arc<Tenant>, ServiceError> {
        let mut decision = self.admit(caller, Operation::DeleteTenant, Some(id)).await?;
        let result = self.change(&mut decision, id, options, |t, now| Ok(t.deleted(now)?)).await;
        decision.conclude(result).await
    }

    /// Takes a tenant back from deletion.
    ///
    /// # Errors
    /// What every operation on a tenant may fail with.
    pub async fn undelete_tenant(
        &self,
        caller: &Caller,
        id: &TenantId,
        options: &ChangeOptions,
    ) -> Result<Arc<Tenant>, ServiceError> {
        let mut decision = self.admit(caller, Operation::UndeleteTenant, Some(id)).await?;
        let result = self.change(&mut decision, id, options, |t, now| Ok(t.undeleted(now)?)).await;
        decision.conclude(result).await
    }

    /// Stops serving a tenant. What was held for it is wiped when this returns.
    ///
    /// # Errors
    /// What every operation on a tenant may fail with.
    pub async fn suspend_tenant(
        &self,
        caller: &Caller,
        id: &TenantId,
        options: &ChangeOptions,
    ) -> Result<Arc<Tenant>, ServiceError> {
        let mut decision = self.admit(caller, Operation::SuspendTenant, Some(id)).await?;
        let result = self.change(&mut decision, id, options, |t, now| Ok(t.suspended(now)?)).await;
        decision.conclude(result).await
    }

    /// Serves a suspended tenant again.
    ///
    /// # Errors
    /// What every operation on a tenant may fail with.
    pub async fn resume_tenant(
        &self,
        caller: &Caller,
        id: &TenantId,
        options: &ChangeOptions,
    ) -> Result<Arc<Tenant>, ServiceError> {
        let mut decision = self.admit(caller, Operation::ResumeTenant, Some(id)).await?;
        let result = self.change(&mut decision, id, options, |t, now| Ok(t.resumed(now)?)).await;
        decision.conclude(result).await
    }

    /// Has every binding of the tenant that unwraps proven now, all at once, and says how their leases stand after that. A
    /// denial is no error.
    ///
    /// # Errors
    /// [`ServiceError::TenantSuspended`], [`ServiceError::TenantDeleted`]; [`ServiceError::Lease`] if throttled.
    pub async fn reprove_tenant(
        &self,
        caller: &Caller,
        id: &TenantId,
    ) -> Result<Vec<(BindingName, LeaseView)>, ServiceError> {
        let decision = self.admit(caller, Operation::ReproveTenant, Some(id)).await?;
        let result = self.reprove(id).await;
        decision.conclude(result).await
    }

    /// Whether a first binding of `tenant` could be kept proving, with one provider at least.
    async fn check_any_room(&self, tenant: &Tenant) -> Result<(), ServiceError> {
        let mut result = Ok(());
        for provider in self.inner.providers.kinds() {
            result = self.check_room(tenant, provider).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    pub(crate) async fn reprove(&self, id: &TenantId) -> Result<Vec<(BindingName, LeaseView)>, ServiceError> {
        let subjects = subjects(&*self.served_tenant(id).await?);
        let leases = &self.inner.leases;
        let proofs = subjects.iter().map(async |subject| match leases.reprove(subject).await {
            Err(error @ LeaseError::Throttled { .. }) => Err(error.into()),
            Ok(view) => Ok((subject.name().clone(), view)),
            Err(_) => Ok((subject.name().clone(), leases.view(subject.name()))),
        });
        join_all(proofs).await.into_iter().collect()
    }

    /// Reads on until the page is full or there are no more: whoever may see few of many tenants waits longer, rather than
    /// learn how many others there are.
    async fn visible_tenants(
        &self,
        caller: &Caller,
        paging: &Paging,
        show_deleted: bool,
    ) -> Result<Listing<Arc<Tenant>>, ServiceError> {
        let directory = &self.inner.directory;
        let (limit, mut after) = (paging.limit(), paging.after::<TenantId>()?);
        let mut visible: Vec<Arc<Tenant>> = Vec::new();
        loop {
            let request = PageRequest { size: PageRequest::MAX_SIZE, after, show_deleted };
            let page = directory.within_deadline(directory.registry().list(request)).await?;
            report(&page.bad);
            after = page.next;
            let allowed = |tenant: &Arc<Tenant>| self.allows(caller, Operation::ListTenants, &tenant.id);
            visible.extend(page.tenants.into_iter().filter(allowed).take(limit + 1 - visible.len()));
            if visible.len() > limit || after.is_none() {
                return Ok(Listing::cut(visible, limit, |tenant| tenant.id.as_str()));
            }
        }
    }
}

/// What is said of `tenant` after `changes`.
fn changed(tenant: &Tenant, changes: &[TenantChange]) -> Result<NewTenant, ServiceError> {
    if changes.is_empty() {
        return Err(ServiceError::invalid("update_mask", "names nothing to change"));
    }
    let (display_name, loggable_context) = (tenant.display_name.clone(), tenant.loggable_context.clone());
    let mut changed = NewTenant { display_name, terms: tenant.terms, loggable_context };
    let NewTenant { display_name, terms, loggable_context } = &mut changed;
    for change in changes {
        match change {
            TenantChange::DisplayName(new) => {
                check_display_name(new)?;
                display_name.clone_from(new);
            }
            TenantChange::RevocationBound(bound) => *terms = terms.bound(*bound),
            TenantChange::IdleAfter(span) => *terms = terms.idle_after_of(*span).map_err(invalid_term)?,
            TenantChange::EntryMaxAge(span) => {
                *terms = terms.entry_max_age_of(*span).map_err(invalid_term)?
            }
            TenantChange::Cache(mode) => *terms = terms.cache_mode(*mode),
            TenantChange::LoggableContext(new) => loggable_context.clone_from(new),
        }
    }
    Ok(changed)
}

fn invalid_term(error: TermsError) -> ServiceError {
    let field = match error {
        TermsError::IdleAfterOutOfRange => "lease_terms.idle_after",
        TermsError::EntryMaxAgeOutOfRange => "lease_terms.entry_max_age",
        _ => "lease_terms.revocation_bound",
    };
    ServiceError::invalid(field, error.to_string())
}

fn check_unreserved(id: &TenantId) -> Result<(), ServiceError> {
    if id.as_str().starts_with(RESERVED_PREFIX) {
        let what = format!("must not begin with {RESERVED_PREFIX}, which is reserved for the operator");
        return Err(ServiceError::InvalidArgument { field: "tenant_id", what: what.into() });
    }
    Ok(())
}

fn check_display_name(name: &str) -> Result<(), ServiceError> {
    if is_display_name(name) {
        Ok(())
    } else {
        Err(ServiceError::invalid(
            "display_name",
            "must have at most 128 characters, and no control characters",
        ))
    }
}
