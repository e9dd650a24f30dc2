//! Encrypt and Decrypt.
//!
//! The order of checks: name, permission, existence, purpose, parameters and their checksums, state of the version. A
//! caller without permission learns nothing about the key.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::resource::Resource;
use super::{KmsCall, blob, input, malformed, version_not_found};
use crate::gcp::error::GcpError;
use crate::gcp::world::State;
use crate::gcp::world::key::{ExternalAnswer, Key, ProtectionLevel, Purpose, Version, VersionState};

/// <https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/encrypt>
const MAX_SOFTWARE: usize = 64 * 1024;
/// Plaintext and additional data together, for keys in hardware.
const MAX_HSM: usize = 8 * 1024;

impl KmsCall<'_> {
    pub(super) fn encrypt(&mut self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        let key = self.key(state, resource, "cloudkms.cryptoKeyVersions.useToEncrypt")?;
        check_purpose(key)?;
        let (plaintext, plaintext_checked) = input::checked_bytes(&self.call.input, "plaintext")?;
        let (aad, aad_checked) = input::checked_bytes(&self.call.input, "additionalAuthenticatedData")?;
        check_sizes(key, plaintext.len(), aad.len())?;
        let number = match resource {
            Resource::Version(_, number) => *number,
            _ => key.primary.at(self.now).ok_or_else(|| {
                let message = format!("CryptoKey {} has no primary version.", key.name);
                GcpError::precondition(message, None, "")
            })?,
        };
        self.facts.key_version = Some(number.to_string());
        let version = self.usable(key, number)?;
        let ciphertext = blob::seal(key, version, &aad, &plaintext).ok_or_else(GcpError::internal)?;
        let mut answer = Map::from_iter([
            ("name".to_owned(), key.version_name(number).into()),
            ("ciphertext".to_owned(), BASE64.encode(&ciphertext).into()),
            ("ciphertextCrc32c".to_owned(), input::checksum(&ciphertext).into()),
            ("protectionLevel".to_owned(), json!(key.protection)),
        ]);
        // Google's JSON leaves false out.
        if plaintext_checked {
            answer.insert("verifiedPlaintextCrc32c".to_owned(), true.into());
        }
        if aad_checked {
            answer.insert("verifiedAdditionalAuthenticatedDataCrc32c".to_owned(), true.into());
        }
        Ok(Value::Object(answer))
    }

    pub(super) fn decrypt(&mut self, state: &State, resource: &Resource) -> Result<Value, GcpError> {
        let Resource::Key(_) = resource else { return Err(malformed(resource)) };
        let key = self.key(state, resource, "cloudkms.cryptoKeyVersions.useToDecrypt")?;
        check_purpose(key)?;
        let (ciphertext, _) = input::checked_bytes(&self.call.input, "ciphertext")?;
        let (aad, _) = input::checked_bytes(&self.call.input, "additionalAuthenticatedData")?;
        let invalid = || GcpError::invalid_argument("Decryption failed: the ciphertext is invalid.");
        let number = blob::version(&ciphertext).ok_or_else(invalid)?;
        if !blob::is_of(key, &ciphertext) {
            let message = "Decryption failed: verify that 'name' refers to the correct CryptoKey.";
            return Err(GcpError::invalid_argument(message));
        }
        self.facts.key_version = Some(number.to_string());
        if !key.versions.contains_key(&number) {
            return Err(invalid());
        }
        let version = self.usable(key, number)?;
        let plaintext = blob::open(key, version, &aad, &ciphertext).ok_or_else(invalid)?;
        let mut answer = Map::from_iter([
            ("plaintext".to_owned(), BASE64.encode(&plaintext).into()),
            ("plaintextCrc32c".to_owned(), input::checksum(&plaintext).into()),
            ("protectionLevel".to_owned(), json!(key.protection)),
        ]);
        if *key.primary.at(self.now) == Some(number) {
            answer.insert("usedPrimary".to_owned(), true.into());
        }
        Ok(Value::Object(answer))
    }

    /// A version that can be used now.
    fn usable<'k>(&self, key: &'k Key, number: u32) -> Result<&'k Version, GcpError> {
        let name = key.version_name(number);
        let version = key.versions.get(&number).ok_or_else(|| version_not_found(&name))?;
        let state = version.state(self.now);
        if state != VersionState::Enabled {
            let message = format!("{name} is not enabled, current state is: {}.", state.name());
            return Err(GcpError::precondition(message, Some(&format!("KEY_{}", state.name())), &name));
        }
        let external = matches!(key.protection, ProtectionLevel::External | ProtectionLevel::ExternalVpc);
        if external {
            answered(version.external.unwrap_or(key.external), &name)?;
        }
        Ok(version)
    }
}

/// What the external key manager of a key says.
fn answered(answer: ExternalAnswer, name: &str) -> Result<(), GcpError> {
    match answer {
        ExternalAnswer::Done => Ok(()),
        ExternalAnswer::Unreachable => Err(GcpError::new(
            http::StatusCode::SERVICE_UNAVAILABLE,
            "UNAVAILABLE",
            format!("The external key manager of {name} could not be reached."),
        )),
        ExternalAnswer::PermissionDenied => {
            let message = "Permission was denied when accessing the key.";
            Err(GcpError::external(message, "EXTERNAL_PERMISSION_DENIED", name))
        }
        ExternalAnswer::NotFound => {
            Err(GcpError::external("Could not find a key.", "EXTERNAL_NOT_FOUND", name))
        }
    }
}

fn check_purpose(key: &Key) -> Result<(), GcpError> {
    if key.purpose == Purpose::EncryptDecrypt {
        return Ok(());
    }
    let purpose = json!(key.purpose);
    let name = &key.name;
    Err(GcpError::invalid_argument(format!(
        "The purpose of CryptoKey {name} is {purpose}, and this method needs ENCRYPT_DECRYPT."
    )))
}

fn check_sizes(key: &Key, plaintext: usize, aad: usize) -> Result<(), GcpError> {
    let hardware = key.protection != ProtectionLevel::Software;
    if plaintext == 0 {
        return Err(GcpError::invalid_argument("The plaintext must not be empty."));
    }
    if plaintext > MAX_SOFTWARE || aad > MAX_SOFTWARE || (hardware && plaintext + aad > MAX_HSM) {
        return Err(GcpError::invalid_argument(
            "The plaintext and the additional authenticated data exceed the maximum size.",
        ));
    }
    Ok(())
}
