//! The table, row by row.

use std::sync::Arc;

use leasehold_audit::AuditError;
use leasehold_envelope::EnvelopeError;
use leasehold_lease::EndReason;
use leasehold_provider::{KeyState, Throttler};
use leasehold_service::Foreign;
use leasehold_tenant::{BindingState, RevocationBound};

use super::*;

const DENIED: Fault = Fault::Denied { edge: Edge::Trust { hop: 0 } };

fn cloud(fault: Fault) -> Arc<ProviderError> {
    let error = ProviderError::new(fault, "is not authorized");
    Arc::new(error.with_code(Some("AccessDenied")).with_request_id(Some("req-1")))
}

fn lease(error: LeaseError) -> Refusal {
    Refusal::Service(ServiceError::Lease(error))
}

fn service(error: ServiceError) -> Refusal {
    Refusal::Service(error)
}

/// A refusal, with its code, its reason, and whether trying again helps.
type Row = (Refusal, Code, &'static str, bool);

/// Every way to be refused.
fn rows() -> Vec<Row> {
    [request_rows(), cloud_rows(), lease_rows()].into_iter().flatten().collect()
}

fn request_rows() -> Vec<Row> {
    let id = || "acme".parse().unwrap();
    let binding = || "main".parse().unwrap();
    let bad = ServiceError::InvalidArgument { field: "etag", what: "must be short".into() };
    let state = ServiceError::BindingNotUsable { binding: binding(), state: BindingState::Retired };
    let budget = ServiceError::OverBudget { leases: 2, bound: RevocationBound::STRICT, needed: 0.08 };
    let wrong = ChangeError::WrongTenantState { actual: "deleted", wanted: "one that is not" };
    vec![
        (
            Refusal::Field(FieldError::new("tenant", "is required")),
            Code::InvalidArgument,
            "INVALID_FIELD",
            false,
        ),
        (Refusal::Deadline, Code::DeadlineExceeded, "DEADLINE_EXCEEDED", false),
        (Refusal::TooManyCalls, Code::ResourceExhausted, "OVER_LIMIT", true),
        (Refusal::ConnectionClosing, Code::Unavailable, "CONNECTION_CLOSING", true),
        (Refusal::ShuttingDown, Code::Unavailable, "SHUTTING_DOWN", true),
        (service(ServiceError::PermissionDenied), Code::PermissionDenied, "CALLER_NOT_ALLOWED", false),
        (service(ServiceError::UnknownTenant(id())), Code::NotFound, "TENANT_NOT_FOUND", false),
        (service(ServiceError::UnknownBinding(binding())), Code::NotFound, "BINDING_NOT_FOUND", false),
        (service(ServiceError::TenantSuspended), Code::FailedPrecondition, "TENANT_SUSPENDED", false),
        (service(ServiceError::TenantDeleted), Code::FailedPrecondition, "TENANT_DELETED", false),
        (service(ServiceError::NoActiveBinding), Code::FailedPrecondition, "NO_ACTIVE_BINDING", false),
        (service(state), Code::FailedPrecondition, "BINDING_NOT_USABLE", false),
        (service(bad), Code::InvalidArgument, "INVALID_FIELD", false),
        (
            service(ServiceError::MalformedEnvelope(EnvelopeError::Truncated)),
            Code::InvalidArgument,
            "MALFORMED_ENVELOPE",
            false,
        ),
        (
            service(ServiceError::ForeignEnvelope(Foreign::Tenant)),
            Code::InvalidArgument,
            "FOREIGN_ENVELOPE",
            false,
        ),
        (service(ServiceError::WrongContext), Code::InvalidArgument, "WRONG_CONTEXT", false),
        (service(ServiceError::Conflict), Code::Aborted, "ETAG_MISMATCH", false),
        (service(ServiceError::TenantExists(id())), Code::AlreadyExists, "ALREADY_EXISTS", false),
        (
            service(ServiceError::Change(ChangeError::BindingExists(binding()))),
            Code::AlreadyExists,
            "ALREADY_EXISTS",
            false,
        ),
        (
            service(ServiceError::Change(ChangeError::TooManyBindings { max: 64 })),
            Code::ResourceExhausted,
            "OVER_LIMIT",
            false,
        ),
        (service(ServiceError::Change(wrong)), Code::FailedPrecondition, "WRONG_STATE", false),
        (service(ServiceError::OverLimit("streams")), Code::ResourceExhausted, "OVER_LIMIT", true),
        (service(budget), Code::FailedPrecondition, "PROOF_BUDGET_EXCEEDED", false),
        (service(ServiceError::RegistryUnavailable), Code::Unavailable, "REGISTRY_UNAVAILABLE", true),
        (
            service(ServiceError::AuditUnavailable(AuditError::Closed)),
            Code::Unavailable,
            "AUDIT_UNAVAILABLE",
            true,
        ),
    ]
}

fn cloud_rows() -> Vec<Row> {
    let throttled = Fault::Throttled { by: Throttler::Cloud, retry_after: None };
    vec![
        (lease(LeaseError::Denied(cloud(DENIED))), Code::FailedPrecondition, "BINDING_DENIED", false),
        (
            lease(LeaseError::Denied(cloud(Fault::KeyUnusable(KeyState::Disabled)))),
            Code::FailedPrecondition,
            "KEY_UNUSABLE",
            false,
        ),
        (
            lease(LeaseError::RequestDenied(cloud(Fault::Denied { edge: Edge::Key }))),
            Code::FailedPrecondition,
            "REQUEST_DENIED",
            false,
        ),
        (
            lease(LeaseError::OutOfDate(cloud(Fault::KeyUnusable(KeyState::Expired)))),
            Code::FailedPrecondition,
            "REQUEST_DENIED",
            false,
        ),
        (lease(LeaseError::Lapsed(None)), Code::Unavailable, "LEASE_LAPSED", true),
        (
            lease(LeaseError::Unavailable(cloud(Fault::Unavailable))),
            Code::Unavailable,
            "CLOUD_UNAVAILABLE",
            true,
        ),
        (lease(LeaseError::Masked(cloud(DENIED))), Code::Unavailable, "OWN_IDENTITY", true),
        (lease(LeaseError::OwnIdentity(cloud(Fault::OwnIdentity))), Code::Unavailable, "OWN_IDENTITY", true),
        (
            lease(LeaseError::Throttled { retry_after: None, source: cloud(throttled) }),
            Code::ResourceExhausted,
            "THROTTLED",
            true,
        ),
    ]
}

fn lease_rows() -> Vec<Row> {
    vec![
        (lease(LeaseError::Rejected(cloud(Fault::Rejected))), Code::InvalidArgument, "CLOUD_REJECTED", false),
        (
            lease(LeaseError::Misconfigured(cloud(Fault::Misconfigured))),
            Code::FailedPrecondition,
            "BINDING_MISCONFIGURED",
            false,
        ),
        (
            lease(LeaseError::Envelope(EnvelopeError::NotAnEnvelope)),
            Code::InvalidArgument,
            "MALFORMED_ENVELOPE",
            false,
        ),
        (lease(LeaseError::WrongContext), Code::InvalidArgument, "WRONG_CONTEXT", false),
        (lease(LeaseError::ForeignEnvelope), Code::InvalidArgument, "FOREIGN_ENVELOPE", false),
        (
            lease(LeaseError::UnknownVersion(cloud(Fault::KeyUnusable(KeyState::NotFound)))),
            Code::InvalidArgument,
            "FOREIGN_ENVELOPE",
            false,
        ),
        (lease(LeaseError::WrongHierarchy), Code::InvalidArgument, "FOREIGN_ENVELOPE", false),
        (lease(LeaseError::Ended(EndReason::Changed)), Code::Aborted, "LEASE_ENDED", true),
        (lease(LeaseError::LeaseOver), Code::Aborted, "LEASE_ENDED", true),
        (lease(LeaseError::NotActivated), Code::FailedPrecondition, "BINDING_NOT_USABLE", false),
        (
            lease(LeaseError::UnknownProvider("gcp".parse().unwrap())),
            Code::FailedPrecondition,
            "BINDING_NOT_USABLE",
            false,
        ),
        (lease(LeaseError::ArenaFull), Code::ResourceExhausted, "OVER_LIMIT", true),
        (lease(LeaseError::Internal("two and two are five")), Code::Internal, "INTERNAL", false),
    ]
}

#[test]
fn every_error_has_its_documented_code_reason_and_retry() {
    for (refusal, code, reason, retries) in rows() {
        let status = refusal.status("tenants/acme");
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str(), info.domain.as_str()), (code, reason, ERROR_DOMAIN));
        assert_eq!(details.retry_info().is_some(), retries, "{reason}");
        assert!(!status.message().is_empty() && status.message().is_ascii(), "{reason}");
    }
}

#[test]
fn every_reason_has_a_row_with_an_error_code() {
    for number in 1..=31 {
        let reason = ErrorReason::try_from(number).unwrap();
        assert_ne!(row(reason).0, Code::Ok);
        assert_ne!(row(reason).0, Code::Unknown);
    }
}

#[test]
fn p3_an_outage_never_reads_as_a_denial_nor_a_denial_as_an_outage() {
    for (refusal, code, _, _) in rows() {
        let details = refusal.status("tenants/acme").get_error_details();
        assert_eq!(details.precondition_failure().is_some(), is_denial(refusal.reason()));
        if is_denial(refusal.reason()) {
            assert_eq!(code, Code::FailedPrecondition);
        }
    }
}

#[test]
fn a_denial_says_whose_and_where_to_look_it_up() {
    let status = lease(LeaseError::Denied(cloud(DENIED))).status("tenants/acme");
    let details = status.get_error_details();
    let metadata = &details.error_info().unwrap().metadata;
    assert_eq!(metadata["cloud_code"], "AccessDenied");
    assert_eq!(metadata["cloud_request_id"], "req-1");
    assert_eq!(metadata["edge"], "trust");
    let violation = &details.precondition_failure().unwrap().violations[0];
    assert_eq!((violation.r#type.as_str(), violation.subject.as_str()), ("BINDING_DENIED", "tenants/acme"));
}

#[test]
fn a_message_says_each_thing_once() {
    for (error, message) in [
        (
            LeaseError::Misconfigured(cloud(Fault::Misconfigured)),
            "the binding is misconfigured: is not authorized (AccessDenied)",
        ),
        (
            LeaseError::Unavailable(cloud(Fault::Unavailable)),
            "the tenant's cloud is unavailable: is not authorized (AccessDenied)",
        ),
        (
            LeaseError::Denied(cloud(DENIED)),
            "the tenant's cloud denies access: denied at the trust edge: is not authorized (AccessDenied)",
        ),
    ] {
        assert_eq!(lease(error).status("").message(), message);
    }
}

#[test]
fn our_own_identitys_trouble_is_not_told_to_callers() {
    for error in [LeaseError::OwnIdentity(cloud(Fault::OwnIdentity)), LeaseError::Masked(cloud(DENIED))] {
        let status = lease(error).status("tenants/acme");
        assert!(!status.message().contains("AccessDenied"), "{}", status.message());
        assert!(status.get_error_details().error_info().unwrap().metadata.is_empty());
    }
    let status = lease(LeaseError::Internal("two and two are five")).status("");
    assert_eq!(status.message(), "internal error");
}

#[test]
fn a_limiter_that_names_a_pause_is_passed_on() {
    let source = cloud(Fault::Throttled { by: Throttler::OwnBudget, retry_after: None });
    let refusal = lease(LeaseError::Throttled { retry_after: Some(Duration::from_secs(7)), source });
    let details = refusal.status("").get_error_details();
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(7)));
}

#[test]
fn a_bad_field_is_named() {
    let details =
        Refusal::Field(FieldError::new("tenant.display_name", "is too long")).status("").get_error_details();
    assert_eq!(details.bad_request().unwrap().field_violations[0].field, "tenant.display_name");
}
