//! Whether all renewals fit into the budget of proofs: what each tenant's bindings need, over the whole registry.
//!
//! Replicas count for themselves, each as if it served every tenant. Two changes at the same moment may both be let
//! through; the 30 % of the budget that no plan may use is also for that.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_clock::Moment;
use leasehold_ids::{ProviderKind, TenantId};
use leasehold_lease::{Leases, OverBudget, planned_leases, proofs_needed};
use leasehold_tenant::{Binding, PageRequest, RevocationBound, Tenant};

use crate::ServiceError;
use crate::directory::Directory;
use crate::listing::report;

/// When the registry is listed anew, although all announced changes were followed. An hour's error through an announcement
/// that got lost is a few bindings of tens of thousands.
const LIST_AGAIN: Duration = Duration::from_secs(3600);

/// What one tenant's leases need: a renewal within this bound for each of these leases, named by their providers. A binding
/// whose key has versions has more than one; a PENDING one, of which that is not known yet, counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    bound: RevocationBound,
    providers: Vec<ProviderKind>,
}

impl Need {
    /// Of `tenant` as it is. A suspended tenant keeps its place, so that it can always be resumed; a deleted one does not.
    pub(crate) fn of(tenant: &Tenant) -> Self {
        let unwrapping = tenant.bindings.values().filter(|b| tenant.deleted.is_none() && b.state.unwraps());
        let leases =
            |binding: &Binding| std::iter::repeat_n(binding.provider.clone(), planned_leases(binding));
        let providers = unwrapping.flat_map(leases).collect();
        Self { bound: tenant.terms.revocation_bound(), providers }
    }

    /// The same with one more binding, ACTIVE.
    pub(crate) fn and(mut self, provider: &ProviderKind) -> Self {
        self.providers.push(provider.clone());
        self
    }

    fn bounds(&self, provider: &ProviderKind) -> impl Iterator<Item = RevocationBound> {
        let count = self.providers.iter().filter(|other| *other == provider).count();
        std::iter::repeat_n(self.bound, count)
    }

    /// The providers of which more is needed than `before`.
    fn grown(&self, before: &Self) -> Vec<&ProviderKind> {
        let more = |provider: &&ProviderKind| {
            let (now, then) = (self.bounds(provider).count(), before.bounds(provider).count());
            // now / bound > then / bound before, without dividing.
            before.bound.get() * saturated(now) > self.bound.get() * saturated(then)
        };
        let mut grown: Vec<_> = self.providers.iter().filter(more).collect();
        grown.sort();
        grown.dedup();
        grown
    }
}

/// What all tenants' leases need, as far as it is needs.
#[derive(Default)]
pub(crate) struct Plan(Mutex<Needs>);

/// About 100 bytes for each tenant that there is: no more than the registry has.
#[derive(Default)]
struct Needs {
    /// By tenant, at which revision of its record, and what.
    of: HashMap<TenantId, (u64, Need)>,
    /// How far the listing under way has come.
    listed_to: Option<TenantId>,
    /// When the newest complete listing ended.
    listed_at: Option<Moment>,
}

impl Plan {
    /// Takes note of a tenant's record, unless a newer one is needs.
    pub(crate) fn note(&self, tenant: &Tenant) {
        self.needs().note(tenant);
    }

    /// Announcements were missed: everything must be listed again before the next check.
    pub(crate) fn doubt(&self) {
        let mut needs = self.needs();
        (needs.listed_to, needs.listed_at) = (None, None);
    }

    /// Checks a change of what tenant `id` needs; one that needs no more of anything always fits.
    pub(crate) async fn check(
        &self,
        directory: &Directory,
        id: &TenantId,
        before: &Need,
        after: &Need,
    ) -> Result<(), ServiceError> {
        let grown = after.grown(before);
        if grown.is_empty() {
            return Ok(());
        }
        self.list(directory).await?;
        let needs = self.needs();
        for provider in grown {
            needs.check(directory.leases(), provider, id, after).map_err(|sums| {
                tracing::warn!(%sums, %provider, tenant = %id, "a change was refused for want of proofs");
                let leases = after.bounds(provider).count();
                ServiceError::OverBudget {
                    leases,
                    bound: after.bound,
                    needed: proofs_needed(leases, after.bound),
                }
            })?;
        }
        Ok(())
    }

    /// Lists what is not known yet, a page at a time. Whoever gives up leaves to the next one what was listed so far.
    async fn list(&self, directory: &Directory) -> Result<(), ServiceError> {
        loop {
            let after = {
                let needs = self.needs();
                let fresh = |at: Moment| directory.now().since(at) < LIST_AGAIN;
                if needs.listed_at.is_some_and(fresh) {
                    return Ok(());
                }
                needs.listed_to.clone()
            };
            let asked = after.clone();
            let request = PageRequest { size: PageRequest::MAX_SIZE, after, show_deleted: true };
            let page = directory.within_deadline(directory.registry().list(request)).await?;
            let mut needs = self.needs();
            // Nobody can be served whose record cannot be read, so that nothing has to be proven for them.
            report(&page.bad);
            page.tenants.iter().for_each(|tenant| needs.note(tenant));
            // Unless somebody else went on, or everything is in doubt again.
            if needs.listed_to == asked {
                needs.listed_to = page.next;
                needs.listed_at = needs.listed_to.is_none().then(|| directory.now());
            }
        }
    }

    fn needs(&self) -> MutexGuard<'_, Needs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Needs {
    fn note(&mut self, tenant: &Tenant) {
        let newer = |(revision, _): &(u64, Need)| *revision > tenant.revision;
        if !self.of.get(&tenant.id).is_some_and(newer) {
            self.of.insert(tenant.id.clone(), (tenant.revision, Need::of(tenant)));
        }
    }

    /// Whether everybody's bindings of `provider` fit, with `changed` as what `id` needs. There are never many: 70 % of
    /// 300 proofs per second are 302,400 bindings at the longest bound.
    fn check(
        &self,
        leases: &Leases,
        provider: &ProviderKind,
        id: &TenantId,
        changed: &Need,
    ) -> Result<(), OverBudget> {
        let others = self.of.iter().filter(|(other, _)| *other != id).map(|(_, (_, need))| need);
        leases.check_plan(others.chain([changed]).flat_map(|need| need.bounds(provider)))
    }
}

fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use leasehold_envelope::{Body, EncryptionContext, Envelope, Header, Hierarchy};
    use leasehold_tenant::{CloudSettings, LeaseTerms, NewBinding};

    use super::*;

    fn need(seconds: u64, providers: &[&str]) -> Need {
        let bound = Duration::from_secs(seconds).try_into().unwrap();
        Need { bound, providers: providers.iter().map(|provider| provider.parse().unwrap()).collect() }
    }

    /// What the tenant's one binding needs, ACTIVE under this version of its key.
    fn activated_under(version: &str) -> usize {
        let (now, deployment) = (std::time::SystemTime::UNIX_EPOCH, "dev".parse().unwrap());
        let new = NewBinding {
            provider: "test".parse().unwrap(),
            key: "key-1".parse().unwrap(),
            settings: CloudSettings::default(),
            canary_context: EncryptionContext::empty(),
            hierarchy: Hierarchy::Direct,
        };
        let header = Header {
            hierarchy: Hierarchy::Direct,
            provider: new.provider.clone(),
            key_id: new.key.clone(),
            key_version: version.parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            binding: "main".parse().unwrap(),
            context: new.canary_context.commitment(),
        };
        let body = Body::Direct { ciphertext: bytes::Bytes::from_static(b"c") };
        let canary = Envelope::new(header, body).unwrap().encode();
        let tenant = Tenant::new("acme".parse().unwrap(), String::new(), LeaseTerms::default(), now)
            .with_binding("main".parse().unwrap(), new, &deployment, now)
            .unwrap();
        let verified = tenant.binding(&"main".parse().unwrap()).unwrap().version;
        let tenant = tenant.with_activated(&"main".parse().unwrap(), verified, canary, now).unwrap();
        Need::of(&tenant).providers.len()
    }

    #[test]
    fn p9_where_keys_have_versions_two_leases_are_planned_for() {
        assert_eq!(activated_under(""), 1);
        assert_eq!(activated_under("3"), 2);
    }

    #[test]
    fn only_what_needs_more_proofs_is_checked() {
        let before = need(60, &["a", "b"]);
        for (after, grown) in [
            (need(60, &["a", "b"]), &[][..]),
            (need(60, &["b", "a", "b"]), &["b"]),
            (need(59, &["a", "b"]), &["a", "b"]),
            (need(120, &["a", "b", "a", "a"]), &["a"]),
            (need(120, &["a", "a", "b"]), &[]),
            (need(3600, &["a", "b", "c"]), &["c"]),
        ] {
            let told: Vec<_> = after.grown(&before).iter().map(ToString::to_string).collect();
            assert_eq!(told, grown, "{after:?}");
        }
    }
}
