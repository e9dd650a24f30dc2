//! How a tenant revokes, the fastest way first.
//!
//! How long Google takes to apply an edit: <https://cloud.google.com/kms/docs/consistency>,
//! <https://cloud.google.com/iam/docs/access-change-propagation>.

use leasehold_provider::Lever;

use super::shell;
use crate::policy::Documents;

const KMS_PROPAGATION: &str = "About a minute, in exceptional cases up to three hours \
                               (https://cloud.google.com/kms/docs/consistency).";
const IAM_PROPAGATION: &str = "About 2 minutes, at times 7 or more \
                               (https://cloud.google.com/iam/docs/access-change-propagation).";

pub(crate) fn levers(documents: &Documents<'_>) -> Vec<Lever> {
    let key = &documents.plan.key;
    let mut levers = vec![Lever {
        title: format!("Disable every version of the key {}", key.key()),
        revoke: shell::each_version(key, "ENABLED", "disable"),
        restore: shell::each_version(key, "DISABLED", "enable"),
        propagation: KMS_PROPAGATION.to_owned(),
        reach: "Every user of the key, not only Leasehold. Restoring enables versions that were disabled before, too."
            .to_owned(),
    }];
    levers.push(Lever {
        title: "Take the service account's grant on the key away".to_owned(),
        revoke: shell::revoke_key(key, &documents.key),
        restore: shell::grant_key(key, &documents.key),
        propagation: IAM_PROPAGATION.to_owned(),
        reach: "This binding alone, unless the service account may use the key by another grant on the key ring or project."
            .to_owned(),
    });
    if let Some((account, grant)) = documents.accounts.last() {
        levers.push(Lever {
            title: format!("Let nobody get tokens for {account}"),
            revoke: shell::revoke_account(account, grant),
            restore: shell::grant_account(account, grant),
            propagation: format!(
                "{IAM_PROPAGATION} Tokens that were given out before live on; Leasehold proves with a new one each time, and \
                 wipes what it holds when it gets none."
            ),
            reach: "Every binding that goes through this service account by this grant.".to_owned(),
        });
        let on = |verb: &str| {
            format!("gcloud iam service-accounts {verb} {account} --project={}", account.project())
        };
        levers.push(Lever {
            title: format!("Disable the service account {account}"),
            revoke: on("disable"),
            restore: on("enable"),
            propagation: IAM_PROPAGATION.to_owned(),
            reach: "Everything that acts as this service account.".to_owned(),
        });
    }
    levers
}
