//! The key operations.

use std::task::Poll;

use leasehold_authz::Operation;
use leasehold_envelope::{EncryptionContext, Envelope, WrappedKey};
use leasehold_ids::{BindingName, ProviderKind, TenantId};
use leasehold_lease::{Held, LeaseError, NewKey, Subject};
use leasehold_secret::{KeyLength, PlaintextKey};

use crate::choose::{unwrapping_binding, wrapping_binding};
use crate::decision::{Decision, Places};
use crate::{Caller, Served, Service, ServiceError};

/// How often a request begins anew because the tenant's record changed under it: a rotation, for example, ends the lease
/// of the binding that wrapped until then. Two changes in the time of one request are for the caller to know.
const LOOKS: usize = 2;

/// What every key operation may fail with: [`ServiceError::PermissionDenied`] before anything is looked up,
/// [`ServiceError::UnknownTenant`], [`ServiceError::TenantSuspended`], [`ServiceError::TenantDeleted`],
/// [`ServiceError::Lease`], [`ServiceError::RegistryUnavailable`]; and whatever [`Served::release`] says.
impl Service {
    /// Makes a new key under the tenant's ACTIVE binding.
    ///
    /// # Errors
    /// [`ServiceError::NoActiveBinding`], and what every key operation may fail with.
    pub async fn generate_data_key(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        length: KeyLength,
        context: &EncryptionContext,
    ) -> Result<Served<NewKey>, ServiceError> {
        let mut decision = self.admit(caller, Operation::GenerateDataKey, Some(tenant)).await?;
        let leases = &self.inner.leases;
        let act = |subject| async move { leases.generate(&subject, length, context).await };
        let made = self.under_lease(&mut decision, tenant, Wanted::Wrapping, context, act).await;
        serve(decision, made).await
    }

    /// Makes a new key under the tenant's ACTIVE binding, whose plaintext nobody needs yet.
    ///
    /// # Errors
    /// [`ServiceError::NoActiveBinding`], and what every key operation may fail with.
    pub async fn generate_data_key_without_plaintext(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        length: KeyLength,
        context: &EncryptionContext,
    ) -> Result<Served<WrappedKey>, ServiceError> {
        let mut decision =
            self.admit(caller, Operation::GenerateDataKeyWithoutPlaintext, Some(tenant)).await?;
        let leases = &self.inner.leases;
        let act = |subject| async move { leases.generate_without_plaintext(&subject, length, context).await };
        let made = self.under_lease(&mut decision, tenant, Wanted::Wrapping, context, act).await;
        serve(decision, made).await
    }

    /// Wraps a key of the caller's under the tenant's ACTIVE binding.
    ///
    /// # Errors
    /// [`ServiceError::NoActiveBinding`], and what every key operation may fail with.
    pub async fn wrap_key(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        key: PlaintextKey,
        context: &EncryptionContext,
    ) -> Result<Served<WrappedKey>, ServiceError> {
        let mut decision = self.admit(caller, Operation::WrapKey, Some(tenant)).await?;
        let (leases, plain) = (&self.inner.leases, &key);
        let act = |subject| async move { leases.wrap(&subject, plain, context).await };
        let made = self.under_lease(&mut decision, tenant, Wanted::Wrapping, context, act).await;
        // The answer may wait for its record; the key need not.
        drop(key);
        serve(decision, made).await
    }

    /// Unwraps a key under the binding that wrapped it.
    ///
    /// # Errors
    /// [`ServiceError::MalformedEnvelope`], [`ServiceError::ForeignEnvelope`], [`ServiceError::BindingNotUsable`],
    /// [`ServiceError::WrongContext`], and what every key operation may fail with.
    pub async fn unwrap_key(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
    ) -> Result<Served<PlaintextKey>, ServiceError> {
        let mut decision = self.admit(caller, Operation::UnwrapKey, Some(tenant)).await?;
        let leases = &self.inner.leases;
        let act = |subject| async move { leases.unwrap(&subject, wrapped, context).await };
        let wanted = Wanted::Unwrapping(wrapped);
        let made = self.under_lease(&mut decision, tenant, wanted, context, act).await;
        serve(decision, made).await
    }

    /// Unwraps a key under the binding that wrapped it and wraps it under the tenant's ACTIVE binding, with `new_context`
    /// if there is one. The plaintext never leaves; both leases must be live to the end.
    ///
    /// # Errors
    /// As [`Service::unwrap_key`], and [`ServiceError::NoActiveBinding`].
    pub async fn rewrap_key(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
        new_context: Option<&EncryptionContext>,
    ) -> Result<Served<WrappedKey>, ServiceError> {
        let mut decision = self.admit(caller, Operation::RewrapKey, Some(tenant)).await?;
        let new_context = new_context.unwrap_or(context);
        let made = self.rewrap(&mut decision, tenant, wrapped, context, new_context).await;
        serve(decision, made).await
    }
}

/// Which of the tenant's bindings a key operation is about.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// The one that wraps.
    Wrapping,
    /// The one that wrapped this.
    Unwrapping(&'a WrappedKey),
}

/// What a key operation made, and under which binding.
type Made<T> = Result<(Held<T>, BindingName), ServiceError>;

impl Service {
    /// Acts under the lease of the binding that is wanted; once more if the tenant's record changed in between.
    async fn under_lease<T, F>(
        &self,
        decision: &mut Decision,
        tenant: &TenantId,
        wanted: Wanted<'_>,
        context: &EncryptionContext,
        act: impl Fn(Subject) -> F,
    ) -> Made<T>
    where
        F: Future<Output = Result<Held<T>, LeaseError>>,
    {
        decision.with_context(context);
        let mut looks = 1;
        loop {
            let subject = self.subject(decision, tenant, wanted, context).await?;
            let name = subject.name().clone();
            let mut acting = std::pin::pin!(act(subject));
            let result = match futures::poll!(acting.as_mut()) {
                Poll::Ready(result) => result,
                // It waits, for a proof or for a cloud.
                Poll::Pending => {
                    decision.has_room(|cloud| self.room_for(tenant, cloud))?;
                    acting.await
                }
            };
            match result {
                Err(LeaseError::Ended(_)) if looks < LOOKS => looks += 1,
                result => return Ok((result?, name)),
            }
        }
    }

    /// Whose lease is needed. Everything that can be checked without a cloud is checked here.
    async fn subject(
        &self,
        decision: &mut Decision,
        tenant: &TenantId,
        wanted: Wanted<'_>,
        context: &EncryptionContext,
    ) -> Result<Subject, ServiceError> {
        let envelope = match wanted {
            Wanted::Wrapping => None,
            Wanted::Unwrapping(wrapped) => {
                Some(Envelope::parse(wrapped.as_bytes()).map_err(ServiceError::MalformedEnvelope)?)
            }
        };
        let tenant = self.served_tenant(tenant).await?;
        let binding = match &envelope {
            None => wrapping_binding(&tenant)?,
            Some(envelope) => unwrapping_binding(&tenant, envelope, context)?,
        };
        decision.about(binding);
        decision.with_entries(&tenant.loggable_context, context);
        Ok(Subject::of(&tenant, binding))
    }

    /// Places for an operation that has to wait for this tenant's cloud.
    fn room_for(&self, tenant: &TenantId, cloud: &ProviderKind) -> Result<Places, ServiceError> {
        let full = ServiceError::OverLimit;
        let of_tenant =
            self.inner.of_tenants.take(tenant).ok_or(full("operations of one tenant that wait"))?;
        let of_cloud = self.inner.of_clouds.take(cloud).ok_or(full("operations that wait for one cloud"))?;
        Ok((of_tenant, of_cloud))
    }

    /// The new wrapped key, to be given only under the leases of both bindings.
    async fn rewrap(
        &self,
        decision: &mut Decision,
        tenant: &TenantId,
        wrapped: &WrappedKey,
        context: &EncryptionContext,
        new_context: &EncryptionContext,
    ) -> Made<WrappedKey> {
        // Looked for first, so that nothing is unwrapped in vain.
        self.subject(decision, tenant, Wanted::Wrapping, new_context).await?;
        let leases = &self.inner.leases;
        let unwrap = |subject| async move { leases.unwrap(&subject, wrapped, context).await };
        let wanted = Wanted::Unwrapping(wrapped);
        let (opened, _) = self.under_lease(decision, tenant, wanted, context, unwrap).await?;
        decision.rewraps(&opened);
        let key = &opened;
        let wrap = |subject| async move { leases.wrap(&subject, key.peek()?, new_context).await };
        let (held, to) = self.under_lease(decision, tenant, Wanted::Wrapping, new_context, wrap).await?;
        Ok((held.also_under(opened), to))
    }
}

async fn serve<T>(decision: Decision, made: Made<T>) -> Result<Served<T>, ServiceError> {
    match made {
        Ok((held, binding)) => Ok(Served::new(held, binding, decision)),
        Err(error) => Err(decision.refuse(error).await),
    }
}
