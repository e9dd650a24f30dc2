//! Leases as they travel.

use leasehold_api::convert::duration_to_proto;
use leasehold_api::v1;
use leasehold_ids::{BindingName, LeaseEpoch};
use leasehold_lease::{LeaseState, LeaseView};
use leasehold_provider::{Edge, Fault, ProviderError};

/// The lease of `binding` as it travels.
pub(crate) fn status(binding: &BindingName, view: &LeaseView) -> v1::LeaseStatus {
    v1::LeaseStatus {
        binding: binding.to_string(),
        state: state(view.state).into(),
        lease_ttl: Some(duration_to_proto(view.ttl)),
        proof_age: view.proof_age.map(duration_to_proto),
        epoch: view.epoch.map_or(0, LeaseEpoch::get),
        denial: view.denial.as_deref().map(denial),
        masked: view.masked,
        rotation_unknown: view.rotation_unknown.as_deref().map(ToString::to_string).unwrap_or_default(),
    }
}

fn state(state: LeaseState) -> v1::LeaseState {
    match state {
        LeaseState::Idle => v1::LeaseState::Idle,
        LeaseState::Proving => v1::LeaseState::Proving,
        LeaseState::Live => v1::LeaseState::Live,
        LeaseState::Denied => v1::LeaseState::Denied,
        LeaseState::Lapsed => v1::LeaseState::Lapsed,
        LeaseState::Suspended => v1::LeaseState::Suspended,
    }
}

fn denial(error: &ProviderError) -> v1::Denial {
    let reason = match error.fault() {
        Fault::KeyUnusable(_) => v1::ErrorReason::KeyUnusable,
        _ => v1::ErrorReason::BindingDenied,
    };
    let edge = match error.fault() {
        Fault::Denied { edge: Edge::Trust { .. } } => "trust",
        _ => "key",
    };
    v1::Denial {
        reason: reason.into(),
        edge: edge.to_owned(),
        cloud_code: error.code().unwrap_or_default().to_owned(),
        cloud_request_id: error.request_id().unwrap_or_default().to_owned(),
        detail: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leasehold_provider::KeyState;

    use super::*;

    #[test]
    fn a_denied_lease_says_why_and_allows_nothing() {
        for (fault, reason, edge) in [
            (Fault::Denied { edge: Edge::Trust { hop: 1 } }, v1::ErrorReason::BindingDenied, "trust"),
            (Fault::Denied { edge: Edge::Key }, v1::ErrorReason::BindingDenied, "key"),
            (Fault::KeyUnusable(KeyState::Disabled), v1::ErrorReason::KeyUnusable, "key"),
        ] {
            let denial = Some(Arc::new(ProviderError::new(fault, "no").with_code(Some("AccessDenied"))));
            let view = LeaseView { denial, ..LeaseView::over(LeaseState::Denied) };
            let status = status(&"tenants/a/bindings/b".parse().unwrap(), &view);
            assert_eq!(status.state(), v1::LeaseState::Denied);
            assert_eq!(status.lease_ttl, Some(prost_types::Duration::default()));
            let told = status.denial.unwrap();
            assert_eq!((told.reason(), told.edge.as_str()), (reason, edge));
            assert_eq!(told.cloud_code, "AccessDenied");
        }
    }

    #[test]
    fn that_rotations_are_not_followed_is_told_with_the_lease() {
        let mut view = LeaseView::over(LeaseState::Live);
        let binding = "tenants/a/bindings/b".parse().unwrap();
        assert_eq!(status(&binding, &view).rotation_unknown, "");
        let fault = Fault::Denied { edge: Edge::Key };
        view.rotation_unknown = Some(Arc::new(ProviderError::new(fault, "no").with_code(Some("Forbidden"))));
        let told = status(&binding, &view).rotation_unknown;
        assert!(told.contains("Forbidden"), "{told}");
    }
}
