//! Directories, and the service principals that let applications into them.

use std::collections::BTreeMap;

use super::layered::{EditTime, Layered};
use crate::azure::clouds::Cloud;
use crate::azure::edits::EditId;
use crate::azure::ids::{AppId, DirectoryId, ObjectId, SubscriptionId};
use crate::clock::Timestamp;

/// A directory, with the one subscription whose resources it governs.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) id: DirectoryId,
    /// What error messages call it.
    pub(crate) name: String,
    /// Verified domains, which name it in URLs as its id does.
    pub(crate) domains: Vec<String>,
    pub(crate) cloud: Cloud,
    pub(crate) subscription: SubscriptionId,
    /// Applications and managed identities that were let in.
    pub(crate) principals: BTreeMap<AppId, Principal>,
}

impl Directory {
    /// The issuer of version 1 tokens, which resources such as Key Vault get.
    pub(crate) fn issuer_v1(&self) -> String {
        format!("{}/{}/", self.cloud.sts(), self.id)
    }

    /// The issuer of version 2 tokens, which federated credentials name.
    pub(crate) fn issuer_v2(&self) -> String {
        format!("https://{}/{}/v2.0", self.cloud.login_host(), self.id)
    }

    /// A principal that is there now.
    pub(crate) fn principal(&self, app: &AppId, now: Timestamp) -> Option<&Principal> {
        self.principals.get(app).filter(|principal| *principal.present.at(now))
    }
}

/// An application's, or a managed identity's, service principal.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) object_id: ObjectId,
    /// False before the consent has propagated and after it was withdrawn.
    pub(crate) present: Layered<bool>,
    pub(crate) enabled: Layered<bool>,
    /// Whether a conditional access policy blocks it.
    pub(crate) blocked: Layered<bool>,
}

impl Principal {
    /// One that is there from `time` on.
    pub(crate) fn new(object_id: ObjectId, time: EditTime) -> Self {
        let mut present = Layered::new(false);
        present.set(true, time);
        Self { object_id, present, enabled: Layered::new(true), blocked: Layered::new(false) }
    }

    pub(crate) fn lift(&mut self, id: EditId, time: EditTime) -> bool {
        let lifted =
            [&mut self.present, &mut self.enabled, &mut self.blocked].map(|value| value.lift(id, time));
        lifted.contains(&true)
    }
}

/// A managed identity of the platform's machines. Its principal is in its directory.
#[derive(Debug)]
pub(crate) struct ManagedIdentity {
    pub(crate) directory: DirectoryId,
}
