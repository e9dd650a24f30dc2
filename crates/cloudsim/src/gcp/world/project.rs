//! Projects and what they own.

use std::collections::BTreeMap;

use super::RemoveMember;
use super::key::KeyRing;
use super::layered::{Layer, Layered};
use super::pool::Pool;
use super::service_account::ServiceAccount;
use crate::gcp::iam::AllowPolicy;
use crate::gcp::iam::deny::DenyPolicy;
use crate::gcp::iam::role::CustomRole;
use crate::propagated::Propagated;

/// A project.
#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) number: u64,
    pub(crate) policy: Layered<AllowPolicy, RemoveMember>,
    pub(crate) deny: Layered<DenyPolicies, AddDeny>,
    pub(crate) roles: BTreeMap<String, Propagated<CustomRole>>,
    /// By what is before the at sign.
    pub(crate) service_accounts: BTreeMap<String, ServiceAccount>,
    /// By location and id.
    pub(crate) key_rings: BTreeMap<(String, String), KeyRing>,
    pub(crate) pools: BTreeMap<String, Pool>,
}

/// Deny policies by id.
pub(crate) type DenyPolicies = BTreeMap<String, DenyPolicy>;

/// An edit that adds a deny policy.
#[derive(Clone, Debug)]
pub(crate) struct AddDeny {
    pub(crate) id: String,
    pub(crate) policy: DenyPolicy,
}

impl Layer<DenyPolicies> for AddDeny {
    fn apply(&self, policies: &mut DenyPolicies) {
        policies.insert(self.id.clone(), self.policy.clone());
    }
}

impl Project {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            number,
            policy: Layered::new(AllowPolicy::default()),
            deny: Layered::new(DenyPolicies::new()),
            roles: BTreeMap::new(),
            service_accounts: BTreeMap::new(),
            key_rings: BTreeMap::new(),
            pools: BTreeMap::new(),
        }
    }
}
