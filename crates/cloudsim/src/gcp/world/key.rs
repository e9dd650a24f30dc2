//! Key rings, keys and their versions.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RemoveMember;
use super::layered::{EditTime, Layer, Layered};
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::gcp::iam::AllowPolicy;
use crate::gcp::name::KeyName;
use crate::propagated::Propagated;
use crate::secret::{Material, fill_random};

/// What a key is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    /// Encrypt and Decrypt.
    #[default]
    EncryptDecrypt,
    /// Signatures. Only its description is simulated, like that of those below.
    AsymmetricSign,
    /// Decryption of what its public key encrypted.
    AsymmetricDecrypt,
    /// RawEncrypt and RawDecrypt.
    RawEncryptDecrypt,
    /// Message authentication codes.
    Mac,
}

/// Where a key's material is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProtectionLevel {
    /// In Google's software.
    #[default]
    Software,
    /// In a hardware security module.
    Hsm,
    /// With an external key manager, reached over the internet.
    External,
    /// With an external key manager, reached over a VPC.
    ExternalVpc,
}

/// What an external key manager says when Cloud KMS asks it to use a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExternalAnswer {
    /// It does as it is asked.
    #[default]
    Done,
    /// Nothing: it cannot be reached.
    Unreachable,
    /// No: Cloud KMS, or whoever asks it, may not use the key.
    PermissionDenied,
    /// That it has no such key.
    NotFound,
}

/// The state of a version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum VersionState {
    /// Being generated.
    PendingGeneration,
    /// It works.
    #[default]
    Enabled,
    /// It does not work, and can be enabled.
    Disabled,
    /// Its material is gone.
    Destroyed,
    /// It does not work and will be destroyed, unless it is restored.
    DestroyScheduled,
    /// Waiting for its material to be imported.
    PendingImport,
}

impl VersionState {
    /// As Google spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PendingGeneration => "PENDING_GENERATION",
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Destroyed => "DESTROYED",
            Self::DestroyScheduled => "DESTROY_SCHEDULED",
            Self::PendingImport => "PENDING_IMPORT",
        }
    }
}

/// An edit that puts a version in a state. Of several the newest wins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetState(pub(crate) VersionState);

impl Layer<VersionState> for SetState {
    fn apply(&self, state: &mut VersionState) {
        *state = self.0;
    }
}

/// An edit that takes a label away.
#[derive(Clone, Debug)]
pub(crate) struct RemoveLabel(pub(crate) String);

impl Layer<Labels> for RemoveLabel {
    fn apply(&self, labels: &mut Labels) {
        labels.remove(&self.0);
    }
}

/// Labels by name.
pub(crate) type Labels = BTreeMap<String, String>;

/// A key ring.
#[derive(Debug)]
pub(crate) struct KeyRing {
    pub(crate) created_at: Timestamp,
    pub(crate) policy: Layered<AllowPolicy, RemoveMember>,
    pub(crate) keys: BTreeMap<String, Key>,
}

/// A key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: KeyName,
    /// Names it in ciphertexts.
    pub(crate) uid: [u8; 16],
    pub(crate) purpose: Purpose,
    pub(crate) protection: ProtectionLevel,
    pub(crate) created_at: Timestamp,
    pub(crate) policy: Layered<AllowPolicy, RemoveMember>,
    pub(crate) labels: Layered<Labels, RemoveLabel>,
    pub(crate) import_only: bool,
    pub(crate) destroy_scheduled: Duration,
    pub(crate) rotation_period: Option<Duration>,
    pub(crate) next_rotation: Option<Timestamp>,
    pub(crate) versions: BTreeMap<u32, Version>,
    pub(crate) primary: Propagated<Option<u32>>,
    /// What the external key manager says, if the key is in one, of each version of which it says nothing else.
    pub(crate) external: ExternalAnswer,
}

/// A version of a key.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) number: u32,
    pub(crate) created_at: Timestamp,
    state: Layered<VersionState, SetState>,
    /// When it is destroyed, if that is scheduled.
    destroy_at: Option<Timestamp>,
    /// What the external key manager says of this version alone.
    pub(crate) external: Option<ExternalAnswer>,
    pub(crate) material: Material,
}

impl KeyRing {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { created_at: now, policy: Layered::new(AllowPolicy::default()), keys: BTreeMap::new() }
    }
}

impl Key {
    /// A key without versions, with what Google gives it by default.
    pub(crate) fn new(name: KeyName, now: Timestamp) -> Result<Self, SimError> {
        let mut uid = [0; 16];
        fill_random(&mut uid)?;
        Ok(Self {
            name,
            uid,
            purpose: Purpose::default(),
            protection: ProtectionLevel::default(),
            created_at: now,
            policy: Layered::new(AllowPolicy::default()),
            labels: Layered::new(Labels::new()),
            import_only: false,
            destroy_scheduled: DESTROY_SCHEDULED,
            rotation_period: None,
            next_rotation: None,
            versions: BTreeMap::new(),
            primary: Propagated::new(None),
            external: ExternalAnswer::default(),
        })
    }

    /// Makes the next version, and gives its number. The first one is primary at once.
    pub(crate) fn add_version(&mut self, state: VersionState, now: Timestamp) -> Result<u32, SimError> {
        let number = self.versions.keys().last().map_or(1, |last| last + 1);
        let version = Version {
            number,
            created_at: now,
            state: Layered::new(state),
            destroy_at: None,
            external: None,
            material: Material::generate()?,
        };
        self.versions.insert(number, version);
        if number == 1 && self.purpose == Purpose::EncryptDecrypt {
            self.primary = Propagated::new(Some(number));
        }
        Ok(number)
    }

    /// Makes a version the one that encrypts.
    pub(crate) fn set_primary(&mut self, number: u32, time: EditTime) -> Result<(), SimError> {
        self.version_mut(number)?;
        self.primary.set(Some(number), time.now, time.effective);
        Ok(())
    }

    pub(crate) fn version_mut(&mut self, number: u32) -> Result<&mut Version, SimError> {
        let name = &self.name;
        self.versions
            .get_mut(&number)
            .ok_or_else(|| SimError::not_found("key version", format!("{name}/cryptoKeyVersions/{number}")))
    }

    pub(crate) fn version_name(&self, number: u32) -> String {
        format!("{}/cryptoKeyVersions/{number}", self.name)
    }
}

/// How long a version waits for its destruction by default: 30 days.
const DESTROY_SCHEDULED: Duration = Duration::from_secs(30 * 24 * 3600);

impl Version {
    /// The state in effect.
    pub(crate) fn state(&self, now: Timestamp) -> VersionState {
        self.settled(*self.state.at(now), now)
    }

    /// The state that its owner reads back, in effect or not.
    pub(crate) fn newest_state(&self, now: Timestamp) -> VersionState {
        self.settled(*self.state.newest(), now)
    }

    fn settled(&self, state: VersionState, now: Timestamp) -> VersionState {
        match (state, self.destroy_at) {
            (VersionState::DestroyScheduled, Some(at)) if at <= now => VersionState::Destroyed,
            _ => state,
        }
    }

    /// When it is or was destroyed, in the states that have such a time.
    pub(crate) fn destruction(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = matches!(self.newest_state(now), VersionState::DestroyScheduled | VersionState::Destroyed);
        self.destroy_at.filter(|_| ends)
    }

    /// Puts it in a state, under the edits laid over it.
    pub(crate) fn set_state(&mut self, state: VersionState, destroy_at: Option<Timestamp>, time: EditTime) {
        self.destroy_at = destroy_at.or(self.destroy_at);
        self.state.change(time, |current| *current = state);
    }

    /// Lays an edit over its state.
    pub(crate) fn lay(
        &mut self,
        id: crate::gcp::edits::EditId,
        state: VersionState,
        destroy_at: Option<Timestamp>,
        time: EditTime,
    ) {
        self.destroy_at = destroy_at.or(self.destroy_at);
        self.state.lay(id, SetState(state), time);
    }

    /// Takes an edit away; says whether it was there.
    pub(crate) fn lift(&mut self, id: crate::gcp::edits::EditId, time: EditTime) -> bool {
        self.state.lift(id, time)
    }
}
