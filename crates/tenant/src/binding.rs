//! What a tenant hands over: a principal, a key, and the terms of use.

use std::fmt;
use std::time::SystemTime;

use leasehold_envelope::{EncryptionContext, Hierarchy, KeyId, WrappedKey};
use leasehold_ids::{BindingName, BindingVersion, ProviderKind};

use crate::ExternalId;

/// What one provider needs to know to become the tenant's principal: role ARN, chain, declared tags and the like. Only
/// the provider of the binding's kind reads it; to everybody else it is opaque. References only, never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct CloudSettings(pub serde_json::Map<String, serde_json::Value>);

/// The life of a binding: PENDING → ACTIVE → RETIRING → RETIRED.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BindingState {
    /// Created; nothing was asked of the cloud yet.
    Pending,
    /// Verified, and the one that wraps.
    Active,
    /// Superseded: unwraps only.
    Retiring,
    /// Neither wraps nor unwraps.
    Retired,
}

impl BindingState {
    /// Whether keys may be unwrapped under such a binding.
    #[must_use]
    pub fn unwraps(self) -> bool {
        matches!(self, Self::Active | Self::Retiring)
    }

    /// `PENDING`, `ACTIVE`, `RETIRING` or `RETIRED`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Active => "ACTIVE",
            Self::Retiring => "RETIRING",
            Self::Retired => "RETIRED",
        }
    }
}

impl fmt::Display for BindingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the caller says about a binding that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBinding {
    /// Which cloud.
    pub provider: ProviderKind,
    /// The tenant's key, as the cloud names it (on AWS the key ARN).
    pub key: KeyId,
    /// How to become the tenant's principal.
    pub settings: CloudSettings,
    /// The encryption context of the canary, chosen so that it satisfies the tenant's own key-policy conditions.
    pub canary_context: EncryptionContext,
    /// Whether the key wraps each DEK or a KEK.
    pub hierarchy: Hierarchy,
}

/// One binding of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// `tenants/{t}/bindings/{b}`.
    pub name: BindingName,
    /// Grows with each change of this binding.
    pub version: BindingVersion,
    /// Where it is in its life.
    pub state: BindingState,
    /// Which cloud.
    pub provider: ProviderKind,
    /// The tenant's key, as the cloud names it.
    pub key: KeyId,
    /// How to become the tenant's principal.
    pub settings: CloudSettings,
    /// What we issued against confused deputies.
    pub external_id: ExternalId,
    /// The encryption context of the canary.
    pub canary_context: EncryptionContext,
    /// Whether the key wraps each DEK or a KEK.
    pub hierarchy: Hierarchy,
    /// A wrapped random value made at activation; unwrapping it is the second half of every proof. `None` while PENDING.
    pub canary: Option<WrappedKey>,
    /// When it was created.
    pub created: SystemTime,
    /// When it last changed.
    pub updated: SystemTime,
}

impl Binding {
    /// A PENDING binding as it was asked for.
    #[must_use]
    pub fn pending(name: BindingName, new: NewBinding, external_id: ExternalId, now: SystemTime) -> Self {
        Self {
            name,
            version: BindingVersion::FIRST,
            state: BindingState::Pending,
            provider: new.provider,
            key: new.key,
            settings: new.settings,
            external_id,
            canary_context: new.canary_context,
            hierarchy: new.hierarchy,
            canary: None,
            created: now,
            updated: now,
        }
    }

    /// This binding one version on, in another state.
    pub(crate) fn moved_to(mut self, state: BindingState, now: SystemTime) -> Self {
        self.version = self.version.next();
        self.state = state;
        self.updated = now;
        self
    }
}
