//! A tenant with its bindings: one record, changed as a whole.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use leasehold_envelope::WrappedKey;
use leasehold_ids::{BindingId, BindingName, BindingVersion, DeploymentId, TenantId};

use crate::{Binding, BindingState, ChangeError, ExternalId, LeaseTerms, LoggableContext, NewBinding};

/// Most bindings of one tenant, retired ones included: a rotation a month for five years, and a record that is still
/// read in one piece (64 × about 2 KiB).
pub const MAX_BINDINGS: usize = 64;

/// How long a deleted tenant can be undeleted.
pub const UNDELETE_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

/// Tenant ids that begin so are the operator's own, for sentinels for example, and no tenant may take them: an external id
/// is derived from the tenant's id.
pub const RESERVED_PREFIX: &str = "leasehold-";

/// Longest display name, in characters.
pub const MAX_DISPLAY_NAME: usize = 128;

/// Whether `name` may be a tenant's display name: at most [`MAX_DISPLAY_NAME`] characters, none of them a control character.
#[must_use]
pub fn is_display_name(name: &str) -> bool {
    name.chars().count() <= MAX_DISPLAY_NAME && !name.chars().any(char::is_control)
}

/// Whether the operator lets a tenant be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TenantState {
    /// Served, under lease.
    Active,
    /// Wiped and not served until resumed.
    Suspended,
}

impl TenantState {
    /// `ACTIVE` or `SUSPENDED`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
        }
    }
}

/// Who owns keys: an account. A record is changed by taking it whole, applying one of the methods, and handing the
/// result to [`crate::Registry::replace`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The tenant's id.
    pub id: TenantId,
    /// For people; see [`is_display_name`].
    pub display_name: String,
    /// Whether the operator lets it be served.
    pub state: TenantState,
    /// When it was deleted, if it is.
    pub deleted: Option<SystemTime>,
    /// The terms under which its leases run.
    pub terms: LeaseTerms,
    /// The entries of encryption contexts whose values may be recorded; none unless the tenant wants it.
    #[serde(default)]
    pub loggable_context: LoggableContext,
    /// Grows with each change of this record; the etag is made of it.
    pub revision: u64,
    /// When it was created.
    pub created: SystemTime,
    /// When anything in the record last changed.
    pub updated: SystemTime,
    /// Its bindings by id.
    pub bindings: BTreeMap<BindingId, Binding>,
}

impl Tenant {
    /// A tenant without bindings.
    #[must_use]
    pub fn new(id: TenantId, display_name: String, terms: LeaseTerms, now: SystemTime) -> Self {
        Self {
            id,
            display_name,
            state: TenantState::Active,
            deleted: None,
            terms,
            loggable_context: LoggableContext::default(),
            revision: 1,
            created: now,
            updated: now,
            bindings: BTreeMap::new(),
        }
    }

    /// The binding that wraps, if there is one.
    #[must_use]
    pub fn active_binding(&self) -> Option<&Binding> {
        self.bindings.values().find(|b| b.state == BindingState::Active)
    }

    /// The binding of this id.
    ///
    /// # Errors
    /// [`ChangeError::NoSuchBinding`].
    pub fn binding(&self, id: &BindingId) -> Result<&Binding, ChangeError> {
        self.bindings.get(id).ok_or_else(|| ChangeError::NoSuchBinding(id.clone()))
    }

    /// Whether keys may be served: neither suspended nor deleted.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.state == TenantState::Active && self.deleted.is_none()
    }

    /// With another display name or other terms. New terms apply to live leases at once.
    ///
    /// # Errors
    /// [`ChangeError::WrongTenantState`] if deleted.
    pub fn updated_to(
        self,
        display_name: String,
        terms: LeaseTerms,
        now: SystemTime,
    ) -> Result<Self, ChangeError> {
        self.not_deleted()?;
        Ok(Self { display_name, terms, ..self }.touched(now))
    }

    /// Suspended: what is held is wiped, proofs stop, watchers are told. Suspending twice is no error.
    ///
    /// # Errors
    /// [`ChangeError::WrongTenantState`] if deleted.
    pub fn suspended(self, now: SystemTime) -> Result<Self, ChangeError> {
        self.not_deleted()?;
        Ok(Self { state: TenantState::Suspended, ..self }.touched(now))
    }

    /// Served again. Resuming twice is no error.
    ///
    /// # Errors
    /// [`ChangeError::WrongTenantState`] if deleted.
    pub fn resumed(self, now: SystemTime) -> Result<Self, ChangeError> {
        self.not_deleted()?;
        Ok(Self { state: TenantState::Active, ..self }.touched(now))
    }

    /// Deleted softly: not served, and undeletable for [`UNDELETE_WINDOW`].
    ///
    /// # Errors
    /// [`ChangeError::WrongTenantState`] if deleted already.
    pub fn deleted(self, now: SystemTime) -> Result<Self, ChangeError> {
        self.not_deleted()?;
        Ok(Self { deleted: Some(now), ..self }.touched(now))
    }

    /// Taken back from deletion.
    ///
    /// # Errors
    /// [`ChangeError::WrongTenantState`] if not deleted, or deleted more than [`UNDELETE_WINDOW`] ago.
    pub fn undeleted(self, now: SystemTime) -> Result<Self, ChangeError> {
        match self.deleted {
            None => Err(ChangeError::WrongTenantState { actual: "not deleted", wanted: "a deleted one" }),
            Some(at) if now.duration_since(at).is_ok_and(|gone| gone > UNDELETE_WINDOW) => {
                Err(ChangeError::WrongTenantState {
                    actual: "past its undelete window",
                    wanted: "one deleted in the last 30 days",
                })
            }
            Some(_) => Ok(Self { deleted: None, ..self }.touched(now)),
        }
    }

    /// With one more binding, PENDING.
    ///
    /// # Errors
    /// [`ChangeError::BindingExists`], [`ChangeError::TooManyBindings`], or [`ChangeError::WrongTenantState`] if deleted.
    pub fn with_binding(
        mut self,
        id: BindingId,
        new: NewBinding,
        deployment: &DeploymentId,
        now: SystemTime,
    ) -> Result<Self, ChangeError> {
        self.not_deleted()?;
        if self.bindings.contains_key(&id) {
            return Err(ChangeError::BindingExists(id));
        }
        if self.bindings.len() >= MAX_BINDINGS {
            return Err(ChangeError::TooManyBindings { max: MAX_BINDINGS });
        }
        let name = BindingName::new(self.id.clone(), id.clone());
        let external_id = ExternalId::derive(deployment, &name);
        self.bindings.insert(id, Binding::pending(name, new, external_id, now));
        Ok(self.touched(now))
    }

    /// With binding `id` ACTIVE, proven with `canary` while it was at `verified`; the one that was ACTIVE is RETIRING.
    ///
    /// # Errors
    /// [`ChangeError::WrongBindingState`] unless PENDING, and still in the version that was verified.
    pub fn with_activated(
        mut self,
        id: &BindingId,
        verified: BindingVersion,
        canary: WrappedKey,
        now: SystemTime,
    ) -> Result<Self, ChangeError> {
        self.not_deleted()?;
        let candidate = self.binding(id)?;
        if candidate.state != BindingState::Pending || candidate.version != verified {
            return Err(wrong_state(candidate, "PENDING and unchanged since it was verified"));
        }
        let mut activated = candidate.clone().moved_to(BindingState::Active, now);
        activated.canary = Some(canary);
        if let Some(superseded) = self.active_binding().cloned() {
            let retiring = superseded.moved_to(BindingState::Retiring, now);
            self.bindings.insert(retiring.name.binding().clone(), retiring);
        }
        self.bindings.insert(id.clone(), activated);
        Ok(self.touched(now))
    }

    /// With binding `id` one step nearer to its end: ACTIVE → RETIRING (unwraps only) → RETIRED; PENDING → RETIRED.
    ///
    /// # Errors
    /// [`ChangeError::WrongBindingState`] if RETIRED already.
    pub fn with_retired(mut self, id: &BindingId, now: SystemTime) -> Result<Self, ChangeError> {
        self.not_deleted()?;
        let binding = self.binding(id)?.clone();
        let next = match binding.state {
            BindingState::Active => BindingState::Retiring,
            BindingState::Pending | BindingState::Retiring => BindingState::Retired,
            BindingState::Retired => return Err(wrong_state(&binding, "one that is not RETIRED")),
        };
        self.bindings.insert(id.clone(), binding.moved_to(next, now));
        Ok(self.touched(now))
    }

    fn not_deleted(&self) -> Result<(), ChangeError> {
        match self.deleted {
            None => Ok(()),
            Some(_) => Err(ChangeError::WrongTenantState {
                actual: "deleted",
                wanted: "one that is not (undelete it first)",
            }),
        }
    }

    fn touched(mut self, now: SystemTime) -> Self {
        self.revision = self.revision.saturating_add(1);
        self.updated = now;
        self
    }
}

fn wrong_state(binding: &Binding, wanted: &'static str) -> ChangeError {
    ChangeError::WrongBindingState { binding: binding.name.binding().clone(), actual: binding.state, wanted }
}

#[cfg(test)]
mod tests {
    use leasehold_envelope::{EncryptionContext, Hierarchy};

    use super::*;
    use crate::CloudSettings;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn tenant_with(bindings: &[&str]) -> Tenant {
        let tenant = Tenant::new("acme".parse().unwrap(), "Acme".into(), LeaseTerms::default(), NOW);
        bindings.iter().fold(tenant, |tenant, id| {
            let new = NewBinding {
                provider: "test".parse().unwrap(),
                key: "key-1".parse().unwrap(),
                settings: CloudSettings::default(),
                canary_context: EncryptionContext::empty(),
                hierarchy: Hierarchy::Direct,
            };
            tenant.with_binding(id.parse().unwrap(), new, &"dev".parse().unwrap(), NOW).unwrap()
        })
    }

    fn activate(tenant: Tenant, id: &str) -> Tenant {
        let id = id.parse().unwrap();
        let verified = tenant.binding(&id).unwrap().version;
        tenant.with_activated(&id, verified, vec![1].try_into().unwrap(), NOW).unwrap()
    }

    fn state(tenant: &Tenant, id: &str) -> BindingState {
        tenant.binding(&id.parse().unwrap()).unwrap().state
    }

    #[test]
    fn exactly_one_binding_wraps() {
        let tenant = activate(activate(tenant_with(&["a", "b"]), "a"), "b");
        assert_eq!(
            (state(&tenant, "a"), state(&tenant, "b")),
            (BindingState::Retiring, BindingState::Active)
        );
    }

    #[test]
    fn activation_of_a_binding_that_changed_since_it_was_verified_changes_nothing() {
        let tenant = tenant_with(&["a"]);
        let id = "a".parse().unwrap();
        let stale = BindingVersion::new(9);
        let refused = tenant.clone().with_activated(&id, stale, vec![1].try_into().unwrap(), NOW);
        assert!(matches!(refused, Err(ChangeError::WrongBindingState { .. })));
        assert_eq!(state(&tenant, "a"), BindingState::Pending);
    }

    #[test]
    fn retiring_goes_by_way_of_unwrap_only() {
        let mut tenant = activate(tenant_with(&["a"]), "a");
        let id = "a".parse().unwrap();
        for expected in [BindingState::Retiring, BindingState::Retired] {
            tenant = tenant.with_retired(&id, NOW).unwrap();
            assert_eq!(state(&tenant, "a"), expected);
        }
        assert!(tenant.with_retired(&id, NOW).is_err());
    }

    #[test]
    fn p5_deletes_are_soft_for_30_days() {
        let deleted = tenant_with(&["a"]).deleted(NOW).unwrap();
        assert!(!deleted.is_served());
        assert!(deleted.clone().undeleted(NOW + UNDELETE_WINDOW).unwrap().is_served());
        assert!(deleted.undeleted(NOW + UNDELETE_WINDOW + Duration::from_secs(1)).is_err());
    }

    #[test]
    fn every_change_moves_the_revision_and_the_binding_version() {
        let before = tenant_with(&["a"]);
        let after = activate(before.clone(), "a");
        let id = "a".parse().unwrap();
        assert!(after.revision > before.revision);
        assert!(after.binding(&id).unwrap().version > before.binding(&id).unwrap().version);
    }
}
