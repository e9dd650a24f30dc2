//! What the simulated cloud saw, and what its owners and misfortunes do to it.

use std::collections::BTreeMap;

use leasehold_cloudsim::aws::edits::{Edit, EditId};
use leasehold_cloudsim::aws::scenario::Tenant;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::{CallMatch, CallQuery, CallRecord};

use crate::world::{World, soon};

/// The entry of the encryption context by which KMS calls for keys are told from those for canaries.
const PURPOSE: &str = "leasehold:purpose";

/// Calls of `operation` for keys, under the context of `branch`.
pub(crate) fn for_branch(operation: &str, branch: &str) -> CallMatch {
    let context = [(PURPOSE, "dek"), ("branch", branch)];
    CallMatch { encryption_context: entries(context), ..of(operation) }
}

/// Decrypts of keys.
pub(crate) fn unwraps() -> CallMatch {
    CallMatch { encryption_context: entries([(PURPOSE, "dek")]), ..of("Decrypt") }
}

/// Decrypts of canaries: the second halves of proofs.
pub(crate) fn canaries() -> CallMatch {
    CallMatch { encryption_context: entries([(PURPOSE, "canary")]), ..of("Decrypt") }
}

/// All calls of `operation`.
pub(crate) fn of(operation: &str) -> CallMatch {
    CallMatch { operation: Some(operation.to_owned()), ..CallMatch::default() }
}

/// Whatever is asked of the tenant's account.
pub(crate) fn about(tenant: &Tenant) -> CallMatch {
    CallMatch { account: Some(tenant.account.to_string()), ..CallMatch::default() }
}

fn entries<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl World {
    pub(crate) fn count(&self, matching: CallMatch) -> usize {
        self.cloud.control().count_calls(&CallQuery { matching, ..CallQuery::default() })
    }

    /// Waits until `wanted` calls came.
    pub(crate) async fn calls(&self, matching: CallMatch, wanted: usize) -> Vec<CallRecord> {
        let (control, query) = (self.cloud.control(), CallQuery { matching, ..CallQuery::default() });
        soon(control.wait_for_calls(&query, wanted)).await
    }

    pub(crate) fn forget_calls(&self) {
        self.cloud.control().clear_calls();
    }

    pub(crate) fn edit(&self, edit: Edit) -> EditId {
        self.cloud.control().aws().edit(edit).unwrap()
    }

    pub(crate) fn undo(&self, edit: EditId) {
        self.cloud.control().aws().undo(edit).unwrap();
    }

    /// Takes us out of the trust policy of the tenant's role.
    pub(crate) fn revoke_trust(&self, tenant: &str) -> EditId {
        let (role, principal) = (self.tenant(tenant).role.clone(), self.scenario.base_user.clone());
        self.edit(Edit::TrustRemovePrincipal { role, principal })
    }

    /// Forbids the use of the tenant's key, under this branch alone if one is given.
    pub(crate) fn deny_key(&self, tenant: &str, branch: Option<&str>) -> EditId {
        self.edit(Edit::KeyDeny {
            key: self.tenant(tenant).key.clone(),
            principal: self.tenant(tenant).role.to_string(),
            actions: Vec::new(),
            encryption_context: branch.map(|b| ("branch".to_owned(), b.to_owned())).into_iter().collect(),
        })
    }

    /// Does this to every call that matches.
    pub(crate) fn inject(&self, matching: CallMatch, effect: FaultEffect) {
        self.cloud.control().inject(FaultSpec { matching, effect, count: None });
    }
}
