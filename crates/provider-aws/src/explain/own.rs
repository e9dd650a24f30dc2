//! Failures of our own: nothing that a tenant could mend.

use leasehold_provider::{Cause, ProviderError, Throttler};

use super::cause;

/// Our credentials failed before the tenant's cloud was asked.
pub(super) fn broken(error: &ProviderError) -> Cause {
    let operator = |what: &str| {
        format!("# Operator: {what}. Where Leasehold runs, this must succeed:\naws sts get-caller-identity")
    };
    match error.code() {
        Some("ExpiredToken" | "ExpiredTokenException") => cause(
            "OWN_CREDENTIALS_EXPIRED",
            "Leasehold's own credentials have expired.",
            operator("renew them, and see why their source did not"),
        ),
        Some("InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidToken") => cause(
            "OWN_CREDENTIALS_UNKNOWN",
            "AWS does not know Leasehold's own credentials: they were deleted or deactivated, or are of another partition.",
            operator("give Leasehold valid credentials"),
        ),
        Some("RequestExpired" | "RequestTimeTooSkewed") => wrong_clock(),
        Some(code) if code.contains("Signature") || code.contains("AuthenticationToken") => cause(
            "OWN_SIGNATURE_REFUSED",
            "AWS does not accept how Leasehold signs: its secret key is wrong, its clock is off, or a proxy changes requests.",
            operator("compare the clock (chronyc tracking), the credentials and proxies"),
        ),
        Some(_) => cause(
            "OWN_IDENTITY_REFUSED",
            "AWS refuses to say who Leasehold is.",
            operator("look at what forbids sts:GetCallerIdentity, for example a VPC endpoint policy"),
        ),
        None => cause(
            "OWN_CREDENTIALS_MISSING",
            "Leasehold found no credentials of its own.",
            operator(
                "give it an instance profile, a container or Pod Identity role, a web identity, a profile, or \
                 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ),
        ),
    }
}

fn wrong_clock() -> Cause {
    cause(
        "OWN_CLOCK_WRONG",
        "The clock of the machine that Leasehold runs on is off by more than five minutes.",
        "# Operator, where Leasehold runs: set the clock, and keep it set.\nchronyc makestep",
    )
}

pub(super) fn throttled(by: Throttler) -> Cause {
    match by {
        Throttler::Cloud => cause(
            "THROTTLED_BY_AWS",
            "AWS limits how often it may be asked: STS by account and region, KMS by the account of the role.",
            "# Verify again in a minute. If it lasts, raise the KMS request quota of the role's account \
             (https://console.aws.amazon.com/servicequotas), or lengthen the revocation bound so that proofs are fewer.",
        ),
        Throttler::OwnBudget => cause(
            "THROTTLED_BY_LEASEHOLD",
            "This tenant has as many calls under way as Leasehold allows.",
            "# Verify again in a moment. If it lasts, look at who asks so much of this tenant's keys.",
        ),
    }
}
