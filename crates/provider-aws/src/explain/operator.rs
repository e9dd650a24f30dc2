//! Why we may not use one of the platform's own keys. All of it is the operator's to mend.

use leasehold_provider::{Cause, Fault, ProviderError};

use super::{cause, state};
use crate::arn::KeyArn;
use crate::kit::shell;
use crate::policy;

pub(super) fn explain(key: &KeyArn, own: &str, error: &ProviderError) -> Cause {
    match error.fault() {
        Fault::Denied { .. } => {
            let statement = policy::key_statement(own);
            let add = shell::add_to_key_policy(key, "key-statement.json", &statement);
            cause(
                "OWN_KEY_NOT_ALLOWED",
                format!("Leasehold, as {own}, may not use the platform's own key {key}: {}.", error.detail()),
                format!("{}\n{add}", shell::with_credentials_of(key.account())),
            )
        }
        Fault::KeyUnusable(leasehold_provider::KeyState::NotFound) => state::missing(key),
        Fault::KeyUnusable(unusable) => state::unusable(key, *unusable, error),
        Fault::Rejected => state::rejected(key),
        Fault::Misconfigured => state::unfit(key, error),
        Fault::Unavailable if error.code() == Some("KMSInvalidStateException") => state::store_down(key),
        _ => cause(
            "CLOUD_DID_NOT_ANSWER",
            format!("AWS gave no answer that says anything about {key}: {}.", error.detail()),
            format!(
                "# See https://health.aws.amazon.com/health/status for STS and KMS in {}; then verify again.",
                key.region()
            ),
        ),
    }
}
