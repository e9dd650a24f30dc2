//! KMS keys: their material, states and metadata.

use serde::{Deserialize, Serialize};

use super::policies::EditablePolicies;
use crate::aws::arn::KeyArn;
use crate::clock::Timestamp;
use crate::error::SimError;
use crate::propagated::Propagated;
use crate::secret::{Material, fill_random};

/// The state of a key. The names on the wire are KMS's, but for the last one, which KMS reports as `Enabled`.
///
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyState {
    /// Usable.
    Enabled,
    /// Its owner disabled it.
    Disabled,
    /// Scheduled for deletion.
    PendingDeletion,
    /// Imported material has not arrived, has expired or was deleted.
    PendingImport,
    /// The custom key store that holds it is disconnected.
    Unavailable,
    /// Being made in a custom key store.
    Creating,
    /// Being updated.
    Updating,
    /// In an external key store that is connected but whose proxy does not answer.
    ExternalTimeout,
}

impl KeyState {
    /// What `DescribeKey` says.
    pub(crate) fn reported(self) -> &'static str {
        match self {
            Self::Enabled | Self::ExternalTimeout => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
            Self::PendingImport => "PendingImport",
            Self::Unavailable => "Unavailable",
            Self::Creating => "Creating",
            Self::Updating => "Updating",
        }
    }
}

/// What kind of key it is.
///
/// <https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html#KMS-CreateKey-request-KeySpec>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(non_camel_case_types, reason = "the names are KMS's own, on the wire and in its documentation")]
pub enum KeySpec {
    /// AES-256-GCM; the one kind that the simulator can use.
    #[default]
    SYMMETRIC_DEFAULT,
    /// RSA: exists for the refusals that it causes.
    RSA_2048,
    /// RSA: exists for the refusals that it causes.
    RSA_4096,
    /// An elliptic-curve signing key: exists for the refusals that it causes.
    ECC_NIST_P256,
    /// A MAC key: exists for the refusals that it causes.
    HMAC_256,
}

impl KeySpec {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SYMMETRIC_DEFAULT => "SYMMETRIC_DEFAULT",
            Self::RSA_2048 => "RSA_2048",
            Self::RSA_4096 => "RSA_4096",
            Self::ECC_NIST_P256 => "ECC_NIST_P256",
            Self::HMAC_256 => "HMAC_256",
        }
    }

    /// The usage that a key of this kind has unless its maker says otherwise.
    pub(crate) fn usual_usage(self) -> KeyUsage {
        match self {
            Self::SYMMETRIC_DEFAULT | Self::RSA_2048 | Self::RSA_4096 => KeyUsage::EncryptDecrypt,
            Self::ECC_NIST_P256 => KeyUsage::SignVerify,
            Self::HMAC_256 => KeyUsage::GenerateVerifyMac,
        }
    }

    /// Whether KMS offers this usage for this kind of key.
    pub(crate) fn allows(self, usage: KeyUsage) -> bool {
        let rsa = matches!(self, Self::RSA_2048 | Self::RSA_4096);
        usage == self.usual_usage() || (rsa && usage == KeyUsage::SignVerify)
    }
}

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum KeyUsage {
    /// Encrypt and Decrypt.
    EncryptDecrypt,
    /// Sign and Verify.
    SignVerify,
    /// GenerateMac and VerifyMac.
    GenerateVerifyMac,
}

impl KeyUsage {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::EncryptDecrypt => "ENCRYPT_DECRYPT",
            Self::SignVerify => "SIGN_VERIFY",
            Self::GenerateVerifyMac => "GENERATE_VERIFY_MAC",
        }
    }
}

/// Where a key's material comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(non_camel_case_types, reason = "the names are KMS's own, on the wire and in its documentation")]
pub enum KeyOrigin {
    /// KMS made it.
    #[default]
    AWS_KMS,
    /// Imported.
    EXTERNAL,
    /// In a CloudHSM cluster.
    AWS_CLOUDHSM,
    /// In an external key store.
    EXTERNAL_KEY_STORE,
}

impl KeyOrigin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AWS_KMS => "AWS_KMS",
            Self::EXTERNAL => "EXTERNAL",
            Self::AWS_CLOUDHSM => "AWS_CLOUDHSM",
            Self::EXTERNAL_KEY_STORE => "EXTERNAL_KEY_STORE",
        }
    }
}

/// One generation of a key's material. Older ones go on decrypting.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) id: [u8; 16],
    pub(crate) material: Material,
}

impl Backing {
    pub(crate) fn generate() -> Result<Self, SimError> {
        let mut id = [0; 16];
        fill_random(&mut id)?;
        Ok(Self { id, material: Material::generate()? })
    }
}

/// Automatic rotation as configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rotation {
    pub(crate) period_days: u32,
    pub(crate) since: Timestamp,
}

/// A KMS key.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) arn: KeyArn,
    pub(crate) spec: KeySpec,
    pub(crate) usage: KeyUsage,
    pub(crate) origin: KeyOrigin,
    pub(crate) description: String,
    pub(crate) created_at: Timestamp,
    pub(crate) policy: EditablePolicies,
    pub(crate) state: Propagated<KeyState>,
    pub(crate) deletion_at: Option<Timestamp>,
    pub(crate) rotation: Option<Rotation>,
    pub(crate) on_demand_rotations: u32,
    /// Oldest first, never empty.
    pub(crate) backings: Vec<Backing>,
}

impl Key {
    /// The generation that encrypts.
    pub(crate) fn current(&self) -> Option<&Backing> {
        self.backings.last()
    }

    pub(crate) fn backing(&self, id: &[u8]) -> Option<&Backing> {
        self.backings.iter().find(|backing| backing.id == id)
    }

    /// The state in effect; a key whose deletion is due is gone, which callers check by [`Key::is_deleted`].
    pub(crate) fn state_at(&self, now: Timestamp) -> KeyState {
        *self.state.at(now)
    }

    pub(crate) fn is_deleted(&self, now: Timestamp) -> bool {
        self.state_at(now) == KeyState::PendingDeletion && self.deletion_at.is_some_and(|at| at <= now)
    }
}
