//! The key that signs checkpoints.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::AuditError;

/// Precedes what is signed, so that no signature of this key means anything else.
const LABEL: &[u8] = b"leasehold/audit/checkpoint/v1";

/// The first bytes of every Ed25519 public key in DER (<https://www.rfc-editor.org/rfc/rfc8410#section-10.1>).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// A PEM file of one key has some 120 bytes.
const MAX_FILE: u64 = 4096;

/// Others than the owner who may read or change the file.
const OTHERS: u32 = 0o077;

/// Signs checkpoints.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    id: KeyId,
}

/// Verifies what a [`SigningKey`] signed. Written as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// Names a key: the first 16 hexadecimal digits of SHA-256 over its public part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Box<str>);

// === impl SigningKey ===

impl SigningKey {
    /// The key in the file at `path`, in PEM (PKCS#8, as `openssl genpkey -algorithm ed25519` writes it). If there is no such
    /// file it is made, with a new key, readable by its owner alone.
    ///
    /// # Errors
    /// [`AuditError::Key`] if the file cannot be made or read, if others than its owner may read it, or if it holds no key.
    pub fn open_or_generate(path: &Path) -> Result<Self, AuditError> {
        match Self::open(path) {
            Err(Unusable::Absent) => {
                generate(path).map_err(|error| Unusable::Io(error).at(path))?;
                Self::open(path).map_err(|unusable| unusable.at(path))
            }
            opened => opened.map_err(|unusable| unusable.at(path)),
        }
    }

    /// The key in the file at `path`, which must be there.
    ///
    /// # Errors
    /// As [`open_or_generate`](Self::open_or_generate).
    pub fn read(path: &Path) -> Result<Self, AuditError> {
        Self::open(path).map_err(|unusable| unusable.at(path))
    }

    fn open(path: &Path) -> Result<Self, Unusable> {
        // Opening what is no file, a pipe for example, must not block.
        let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unusable::Absent,
            _ => Unusable::Io(error),
        })?;
        let metadata = file.metadata().map_err(Unusable::Io)?;
        if !metadata.is_file() {
            return Err(Unusable::What("it is not a file"));
        }
        if metadata.mode() & OTHERS != 0 {
            return Err(Unusable::What("only its owner may have access: chmod 600 it"));
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
        file.take(MAX_FILE).read_to_string(&mut text).map_err(Unusable::Io)?;
        let pair = decode(&text).and_then(|der| Ed25519KeyPair::from_pkcs8(&der).ok());
        pair.map(Self::of).ok_or(Unusable::What("it holds no Ed25519 key in PEM (PKCS#8)"))
    }

    fn of(pair: Ed25519KeyPair) -> Self {
        let id = public(&pair).id();
        Self { pair, id }
    }

    /// What verifies its signatures.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        public(&self.pair)
    }

    /// What its checkpoints call it.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    pub(crate) fn sign(&self, body: &[u8]) -> Vec<u8> {
        self.pair.sign(&[LABEL, body].concat()).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn public(pair: &Ed25519KeyPair) -> PublicKey {
    PublicKey(std::array::from_fn(|i| pair.public_key().as_ref()[i]))
}

/// Writes a new key beside `path` and then gives it that name, so that nobody ever finds half of it there. Where another
/// process was faster, its key stays.
fn generate(path: &Path) -> io::Result<()> {
    let failed = |_| io::Error::other("no key could be made");
    let document = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1()).map_err(failed)?;
    let base64 = Zeroizing::new(BASE64.encode(document.as_ref()));
    let text = Zeroizing::new(format!("{BEGIN}\n{}\n{END}\n", *base64));
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", std::process::id()));
    let written = write_new(Path::new(&draft), text.as_bytes());
    let linked = written.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    });
    let removed = fs::remove_file(&draft);
    linked.and(removed)
}

fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    // Whatever the umask says.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text)?;
    file.sync_all()?;
    path.parent()
        .filter(|parent| *parent != Path::new(""))
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// The DER in a PEM file that begins with a private key.
fn decode(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once(BEGIN)?;
    let (base64, _) = rest.split_once(END)?;
    let base64: Zeroizing<Vec<u8>> =
        Zeroizing::new(base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect());
    BASE64.decode(&base64).ok().map(Zeroizing::new)
}

/// Why a file holds no key that may be used.
enum Unusable {
    Absent,
    Io(io::Error),
    What(&'static str),
}

impl Unusable {
    fn at(self, path: &Path) -> AuditError {
        let what = match self {
            Self::Absent => "there is no such file".into(),
            Self::Io(error) => error.to_string().into(),
            Self::What(what) => what.into(),
        };
        AuditError::Key { path: path.to_owned(), what }
    }
}

// === impl PublicKey, KeyId ===

impl PublicKey {
    /// What checkpoints call it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(HEXLOWER.encode(&digest(&SHA256, &self.0).as_ref()[..8]).into())
    }

    /// It in PEM, as other tools read it.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let der = [&SPKI[..], &self.0].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&der))
    }

    pub(crate) fn verifies(&self, body: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(&[LABEL, body].concat(), signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl FromStr for PublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(Self)
            .ok_or("a public key has 64 hexadecimal digits, as `leasehold audit public-key` prints it")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_is_its_owners_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("signing.pem");
        let made = SigningKey::open_or_generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "no draft is left");
        let again = SigningKey::open_or_generate(&path).unwrap();
        assert_eq!(again.public_key(), made.public_key());
        assert_eq!(made.public_key().to_string().parse(), Ok(made.public_key()));
        let signature = made.sign(b"body");
        assert!(again.public_key().verifies(b"body", &signature));
        assert!(!again.public_key().verifies(b"other", &signature));
    }

    #[test]
    fn what_is_no_key_or_not_its_owners_alone_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("signing.pem");
        SigningKey::open_or_generate(&path).unwrap();
        let told = |path: &Path| SigningKey::open_or_generate(path).unwrap_err().to_string();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(told(&path).contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        assert!(told(&path).contains("no Ed25519 key"));
        assert!(told(directory.path()).contains("not a file"));
        assert!(SigningKey::read(&directory.path().join("absent")).is_err());
    }

    #[test]
    fn the_pem_of_a_public_key_is_the_one_of_rfc_8410() {
        let hex = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        assert_eq!(hex.parse::<PublicKey>().unwrap().to_pem(), pem);
    }
}
