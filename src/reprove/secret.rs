//! Shared secrets: what most feeds can present. Only digests are kept.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::watched::{self, Watched};

/// Lengths of a secret. 32 characters are 128 bits even in hexadecimal; EventBridge takes up to 512.
const MIN_LENGTH: usize = 32;
const MAX_LENGTH: usize = 512;

/// Most secrets in one file: the present one, the next one, and some to spare.
const MAX_SECRETS: usize = 4;

/// Others than the owner who may read or change a file.
const OTHERS: u32 = 0o077;

/// Why a file holds no secret. Never says what it holds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("the secret file {file} cannot be read")]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Others than its owner may read it, or change it.
    #[error("the secret file {file} has mode {mode:03o}, and only its owner may have access: chmod 600 it")]
    Open {
        /// Which file.
        file: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It holds no secret, or too many, or one that is too short, too long or not printable.
    #[error(
        "the secret file {0} must hold from 1 to {MAX_SECRETS} secrets, one a line, each of {MIN_LENGTH} to {MAX_LENGTH} \
         printable characters without spaces"
    )]
    Malformed(PathBuf),
}

/// The digests of a feed's secrets.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secrets(Vec<[u8; 32]>);

/// A file of secrets.
pub(super) type SecretFile = Watched<Secrets, SecretError>;

/// Reads a file of secrets, and goes on looking whether it changed. While it cannot be used nobody is known by it: taking
/// the file away, or emptying it, cuts the feed off.
///
/// # Errors
/// [`SecretError`].
pub(super) fn open(file: PathBuf) -> Result<SecretFile, SecretError> {
    Watched::open(
        vec![file],
        |files| files.first().map_or_else(|| Ok(Secrets::none()), read),
        Some(Secrets::none),
    )
}

/// What was presented, as it is compared.
pub(super) fn digest(presented: &[u8]) -> [u8; 32] {
    Sha256::digest(presented).into()
}

impl Secrets {
    /// Nobody's.
    fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether `presented` is the digest of one of them. Takes the same time whichever it is.
    pub(super) fn have(&self, presented: &[u8; 32]) -> bool {
        let equal = self.0.iter().map(|kept| kept.ct_eq(presented));
        equal.fold(Choice::from(0), |any, this| any | this).into()
    }

    /// Whether the two have one in common.
    pub(super) fn overlap(&self, others: &Self) -> bool {
        self.0.iter().any(|secret| others.have(secret))
    }
}

fn read(file: &PathBuf) -> Result<Secrets, SecretError> {
    let unreadable = |source| SecretError::Unreadable { file: file.clone(), source };
    let mode = std::fs::metadata(file).map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & OTHERS != 0 {
        return Err(SecretError::Open { file: file.clone(), mode });
    }
    let content = watched::read_small(file).map_err(unreadable)?;
    let lines = content.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let secrets: Vec<&[u8]> = lines.collect();
    let well_formed = |secret: &&[u8]| {
        (MIN_LENGTH..=MAX_LENGTH).contains(&secret.len()) && secret.iter().all(u8::is_ascii_graphic)
    };
    match (1..=MAX_SECRETS).contains(&secrets.len()) && secrets.iter().all(well_formed) {
        true => Ok(Secrets(secrets.into_iter().map(digest).collect())),
        false => Err(SecretError::Malformed(file.clone())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn file(directory: &tempfile::TempDir, text: &str, mode: u32) -> PathBuf {
        let file = directory.path().join("secret");
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_secret_that_others_can_read_or_that_is_guessed_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let secret = "0123456789abcdef".repeat(2);
        for mode in [0o640, 0o604, 0o660, 0o620] {
            let error = open(file(&directory, &secret, mode)).err().unwrap();
            assert!(matches!(error, SecretError::Open { mode: told, .. } if told == mode));
        }
        let too_many = format!("{secret}\n").repeat(5);
        for malformed in ["", "\n", &secret[1..], &"x".repeat(513), &format!("{secret} x"), &too_many] {
            let error = open(file(&directory, malformed, 0o600)).err().unwrap();
            assert!(matches!(error, SecretError::Malformed(_)), "{malformed:?}");
            assert!(malformed.len() < 9 || !error.to_string().contains(malformed));
        }
        assert!(open(directory.path().join("absent")).is_err());
        assert!(open(file(&directory, &secret, 0o400)).is_ok());
    }

    #[test]
    fn every_secret_of_the_file_is_known_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = ("1".repeat(32), "2".repeat(40));
        let secrets = open(file(&directory, &format!("{one}\r\n{two}\n\n"), 0o600)).unwrap().current();
        for (presented, known) in [(&*one, true), (&two, true), (&one[1..], false), ("", false)] {
            assert_eq!(secrets.have(&digest(presented.as_bytes())), known, "{presented}");
        }
        assert!(secrets.overlap(&Secrets(vec![digest(two.as_bytes())])));
        assert!(!secrets.overlap(&Secrets(vec![digest(b"other")])));
    }
}
