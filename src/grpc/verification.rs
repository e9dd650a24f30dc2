//! Verifications as they travel.

use leasehold_api::convert::{binding_state, duration_to_proto};
use leasehold_api::v1;
use leasehold_provider::{Cause, Edge, Finding, Verdict};
use leasehold_service::Verified;

pub(crate) fn to_proto(verified: Verified) -> v1::VerifyBindingResponse {
    // Each reason of the service is one of the API's: a test of the statuses holds it to that.
    let reason = verified.reason().and_then(v1::ErrorReason::from_wire_name).unwrap_or_default();
    v1::VerifyBindingResponse {
        verdict: verdict(verified.examination.verdict()).into(),
        findings: verified.examination.findings.into_iter().map(finding).collect(),
        state: binding_state(verified.state).into(),
        reason: reason.into(),
    }
}

fn verdict(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Passed => v1::Verdict::Passed,
        Verdict::Warning => v1::Verdict::Warning,
        Verdict::Failed => v1::Verdict::Failed,
        Verdict::Skipped => v1::Verdict::Skipped,
    }
}

fn finding(finding: Finding) -> v1::Finding {
    let (edge, hop) = match finding.edge {
        None => ("", 0),
        Some(Edge::Key | Edge::Version) => ("key", 0),
        // From 1, so that 0 can mean none; a chain has at most a few hops.
        Some(Edge::Trust { hop }) => ("trust", u32::try_from(hop).map_or(u32::MAX, |hop| hop + 1)),
    };
    v1::Finding {
        check: finding.check.to_owned(),
        title: finding.title,
        verdict: verdict(finding.verdict).into(),
        detail: finding.detail,
        edge: edge.to_owned(),
        hop,
        cloud_code: finding.code.map(String::from).unwrap_or_default(),
        cloud_request_id: finding.request_id.map(String::from).unwrap_or_default(),
        latency: finding.took.map(duration_to_proto),
        causes: finding.causes.into_iter().map(cause).collect(),
    }
}

fn cause(cause: Cause) -> v1::Cause {
    v1::Cause { reason: cause.reason.to_owned(), text: cause.text, mend: cause.mend }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use leasehold_lease::{Examination, LeaseError};
    use leasehold_provider::{Fault, ProviderError};
    use leasehold_tenant::BindingState;

    use super::*;

    #[test]
    fn a_denied_hop_keeps_everything_that_helps_to_mend_it() {
        let error = ProviderError::new(Fault::Denied { edge: Edge::Trust { hop: 1 } }, "not authorized")
            .with_code(Some("AccessDenied"))
            .with_request_id(Some("r-1"));
        let cause =
            Cause { reason: "EXTERNAL_ID_DIFFERS", text: "It differs.".into(), mend: "set it".into() };
        let finding = Finding {
            took: Some(Duration::from_millis(1500)),
            ..Finding::failed("ASSUME", "become it", &error, vec![cause])
        };
        let failure = Some(LeaseError::Denied(Arc::new(error)));
        let examination = Examination { findings: vec![finding], failure };
        let told = to_proto(Verified { examination, state: BindingState::Pending });
        assert_eq!(told.verdict(), v1::Verdict::Failed);
        assert_eq!(
            (told.reason(), told.state()),
            (v1::ErrorReason::BindingDenied, v1::BindingState::Pending)
        );
        let finding = &told.findings[0];
        assert_eq!((finding.edge.as_str(), finding.hop), ("trust", 2));
        assert_eq!((finding.cloud_code.as_str(), finding.cloud_request_id.as_str()), ("AccessDenied", "r-1"));
        assert_eq!(finding.latency.map(|l| (l.seconds, l.nanos)), Some((1, 500_000_000)));
        assert_eq!(finding.causes[0].reason, "EXTERNAL_ID_DIFFERS");
    }
}
