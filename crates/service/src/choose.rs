//! Which binding may unwrap an envelope: a pure function, decided before any cloud is asked.

use leasehold_envelope::{EncryptionContext, Envelope};
use leasehold_tenant::{Binding, Tenant};

use crate::{Foreign, ServiceError};

/// The binding of `tenant` under which `envelope` may be unwrapped with `context`.
///
/// Everything that an envelope says about itself is a claim until the cloud has opened it; here the claims only select,
/// and reject. The first check is the tenant's, so that nothing that follows can depend on another tenant.
pub(crate) fn unwrapping_binding<'t>(
    tenant: &'t Tenant,
    envelope: &Envelope,
    context: &EncryptionContext,
) -> Result<&'t Binding, ServiceError> {
    let header = envelope.header();
    let foreign = |foreign| Err(ServiceError::ForeignEnvelope(foreign));
    if header.tenant != tenant.id {
        return foreign(Foreign::Tenant);
    }
    let Some(binding) = tenant.bindings.get(&header.binding) else { return foreign(Foreign::Binding) };
    if header.provider != binding.provider {
        return foreign(Foreign::Provider);
    }
    if header.key_id != binding.key {
        return foreign(Foreign::Key);
    }
    if header.hierarchy != binding.hierarchy {
        return foreign(Foreign::Hierarchy);
    }
    if !header.context.matches(context.commitment().as_bytes()) {
        return Err(ServiceError::WrongContext);
    }
    if !binding.state.unwraps() {
        let binding_id = binding.name.binding().clone();
        return Err(ServiceError::BindingNotUsable { binding: binding_id, state: binding.state });
    }
    Ok(binding)
}

/// The binding of `tenant` that wraps.
pub(crate) fn wrapping_binding(tenant: &Tenant) -> Result<&Binding, ServiceError> {
    tenant.active_binding().ok_or(ServiceError::NoActiveBinding)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use bytes::Bytes;
    use leasehold_envelope::{Body, Header, Hierarchy, KeyVersion};
    use leasehold_tenant::{BindingState, CloudSettings, LeaseTerms, NewBinding};

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn context(value: &str) -> EncryptionContext {
        EncryptionContext::try_from_iter([("branch", value)]).unwrap()
    }

    /// Tenant `acme` with a binding in each state, named after it.
    fn acme() -> Tenant {
        let tenant = Tenant::new("acme".parse().unwrap(), String::new(), LeaseTerms::default(), NOW);
        let tenant = ["pending", "active", "retiring", "retired"].iter().fold(tenant, |tenant, id| {
            let new = NewBinding {
                provider: "test".parse().unwrap(),
                key: "key-1".parse().unwrap(),
                settings: CloudSettings::default(),
                canary_context: EncryptionContext::empty(),
                hierarchy: Hierarchy::Direct,
            };
            tenant.with_binding(id.parse().unwrap(), new, &"dev".parse().unwrap(), NOW).unwrap()
        });
        let mut tenant = tenant;
        for (id, state) in [
            ("active", BindingState::Active),
            ("retiring", BindingState::Retiring),
            ("retired", BindingState::Retired),
        ] {
            tenant.bindings.get_mut(&id.parse().unwrap()).unwrap().state = state;
        }
        tenant
    }

    fn header(binding: &str) -> Header {
        Header {
            hierarchy: Hierarchy::Direct,
            provider: "test".parse().unwrap(),
            key_id: "key-1".parse().unwrap(),
            key_version: KeyVersion::none(),
            tenant: "acme".parse().unwrap(),
            binding: binding.parse().unwrap(),
            context: context("main").commitment(),
        }
    }

    fn choose(header: Header) -> Result<String, ServiceError> {
        let body = Body::Direct { ciphertext: Bytes::from_static(b"c") };
        let envelope = Envelope::new(header, body).unwrap();
        let tenant = acme();
        unwrapping_binding(&tenant, &envelope, &context("main")).map(|b| b.name.binding().to_string())
    }

    #[test]
    fn only_bindings_that_unwrap_are_chosen() {
        for id in ["active", "retiring"] {
            assert_eq!(choose(header(id)).unwrap(), id);
        }
        for (id, state) in [("pending", BindingState::Pending), ("retired", BindingState::Retired)] {
            let error = choose(header(id)).unwrap_err();
            assert!(
                matches!(&error, ServiceError::BindingNotUsable { binding, state: s } if binding.as_str() == id && *s == state),
                "{id}: {error:?}"
            );
            assert!(error.to_string().contains(&state.to_string()), "says so: {error}");
        }
    }

    #[test]
    fn every_claim_of_the_header_must_be_the_bindings() {
        let good = || header("active");
        let kek = Body::Kek {
            scope: leasehold_envelope::KekScope::binding(),
            wrapped_kek: Bytes::from_static(b"k"),
            salt: [0; 32],
            commitment: [0; 32],
            sealed_dek: Bytes::from_static(&[0; 48]),
        };
        for (bad, expected) in [
            (Header { tenant: "other".parse().unwrap(), ..good() }, Foreign::Tenant),
            (Header { binding: "absent".parse().unwrap(), ..good() }, Foreign::Binding),
            (Header { provider: "aws".parse().unwrap(), ..good() }, Foreign::Provider),
            (Header { key_id: "key-2".parse().unwrap(), ..good() }, Foreign::Key),
        ] {
            let error = choose(bad).unwrap_err();
            assert!(
                matches!(error, ServiceError::ForeignEnvelope(f) if f == expected),
                "{expected}: {error:?}"
            );
        }
        let envelope = Envelope::new(Header { hierarchy: Hierarchy::Kek, ..good() }, kek).unwrap();
        let error = unwrapping_binding(&acme(), &envelope, &context("main")).unwrap_err();
        assert!(matches!(error, ServiceError::ForeignEnvelope(Foreign::Hierarchy)), "{error:?}");
    }

    #[test]
    fn p6_another_tenants_envelope_is_told_apart_by_its_tenant_alone() {
        // Whatever else it claims, even a binding and a state that this tenant has, the answer is the same.
        for binding in ["active", "retired", "absent"] {
            let other = Header { tenant: "other".parse().unwrap(), ..header(binding) };
            let error = choose(other).unwrap_err();
            assert!(matches!(error, ServiceError::ForeignEnvelope(Foreign::Tenant)), "{error:?}");
        }
    }

    #[test]
    fn p6_another_context_is_refused_before_the_cloud_is_asked() {
        let other = Header { context: context("other").commitment(), ..header("active") };
        assert!(matches!(choose(other), Err(ServiceError::WrongContext)));
    }

    #[test]
    fn only_an_active_binding_wraps() {
        let mut tenant = acme();
        assert_eq!(wrapping_binding(&tenant).unwrap().name.binding().as_str(), "active");
        tenant.bindings.remove(&"active".parse().unwrap());
        assert!(matches!(wrapping_binding(&tenant), Err(ServiceError::NoActiveBinding)));
    }
}
