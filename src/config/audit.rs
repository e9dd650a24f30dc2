//! Where decisions are recorded.

use std::path::PathBuf;

use leasehold_audit::{Checkpoints, Durability, JournalSettings, OnFailure, Rotation};
use serde::Deserialize;

use super::{Span, bound};

/// The signing key's file in the directory of the journal, unless another one is named.
const SIGNING_KEY: &str = "signing.pem";

/// Where decisions are recorded; see `docs/audit.md`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A directory for the journal: files `audit-000000001.jsonl` and so on. Made, for its owner alone, if there is none; each
    /// process needs one of its own. Default: none, and records go to the standard error stream.
    pub directory: Option<PathBuf>,
    /// The file of the Ed25519 key that signs checkpoints, in PEM. Made, for its owner alone, if there is none. Default:
    /// `signing.pem` in the directory; without a directory none, and checkpoints are not signed.
    pub signing_key: Option<PathBuf>,
    /// When a record counts as kept: once the system has it (`written`), or once the disk has it (`synced`). Default `written`:
    /// it survives the end of the process, not that of the machine.
    pub durability: Durability,
    /// Bytes after which another file is begun. Default 256 MiB: some 400,000 records.
    #[serde(deserialize_with = "bound::file_bytes")]
    pub rotate_bytes: u64,
    /// Time after which another file is begun. Default 24 h.
    #[serde(deserialize_with = "bound::age")]
    pub rotate_after: Span,
    /// Records after which the chain is signed. Default 1,000.
    #[serde(deserialize_with = "bound::count")]
    pub checkpoint_records: u32,
    /// Time after which records that are not signed yet are. Default 60 s.
    #[serde(deserialize_with = "bound::age")]
    pub checkpoint_after: Span,
    /// Serve what could not be recorded. What was lost is counted, and recorded when that is possible again. Default false: it is
    /// refused.
    pub danger_serve_unrecorded: bool,
}

impl Default for Audit {
    fn default() -> Self {
        let JournalSettings { durability, rotation, checkpoints, .. } = JournalSettings::default();
        Self {
            directory: None,
            signing_key: None,
            durability,
            rotate_bytes: rotation.bytes,
            rotate_after: Span(rotation.age),
            checkpoint_records: 1000,
            checkpoint_after: Span(checkpoints.age),
            danger_serve_unrecorded: false,
        }
    }
}

impl Audit {
    /// Where the signing key is, if checkpoints are signed.
    #[must_use]
    pub fn signing_key(&self) -> Option<PathBuf> {
        let beside = || self.directory.as_ref().map(|directory| directory.join(SIGNING_KEY));
        self.signing_key.clone().or_else(beside)
    }

    /// What becomes of a decision that cannot be recorded.
    #[must_use]
    pub fn on_failure(&self) -> OnFailure {
        if self.danger_serve_unrecorded { OnFailure::DangerServeUnrecorded } else { OnFailure::Refuse }
    }

    /// These settings as the journal takes them.
    #[must_use]
    pub fn journal(&self, deployment: &str) -> JournalSettings {
        let mut settings = JournalSettings::default();
        settings.durability = self.durability;
        settings.on_failure = self.on_failure();
        settings.rotation = Rotation { bytes: self.rotate_bytes, age: self.rotate_after.0 };
        let records = u64::from(self.checkpoint_records);
        settings.checkpoints = Checkpoints { records, age: self.checkpoint_after.0 };
        settings.deployment = deployment.into();
        settings.version = env!("CARGO_PKG_VERSION").into();
        settings
    }
}
