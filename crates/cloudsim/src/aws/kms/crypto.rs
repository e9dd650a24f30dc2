//! Encrypt, Decrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext and ReEncrypt.
//!
//! The order of checks is KMS's: parameters, permission, then the end of a dry run, then the key's state. So a dry run
//! succeeds with a disabled key, and a caller without permission never learns a key's state.

use data_encoding::BASE64;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::KmsCall;
use super::authorize::{check_usable, dry_run_success};
use super::blob;
use super::parameters::{self, Context};
use crate::aws::arn::KeyArn;
use crate::aws::call::Service;
use crate::aws::error::AwsError;
use crate::aws::world::State;
use crate::aws::world::key::{Key, KeySpec, KeyUsage};
use crate::secret::fill_random;

const SYMMETRIC: &str = "SYMMETRIC_DEFAULT";

/// Whether GenerateDataKey returns the plaintext.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Plaintext {
    Returned,
    Withheld,
}

impl KmsCall<'_> {
    pub(super) fn encrypt(&mut self, state: &State) -> Result<Value, AwsError> {
        let named = parameters::text(self.input, "KeyId")?;
        let plaintext = parameters::plaintext(self.input)?;
        let context = parameters::context(self.input, "EncryptionContext")?;
        let key = self.authorized(state, named, "kms:Encrypt", Some(&context))?;
        check_kind(self.input, "EncryptionAlgorithm", key, "Encrypt")?;
        self.proceed(&[key])?;
        let blob = seal(key, &context, &plaintext)?;
        Ok(
            json!({"CiphertextBlob": BASE64.encode(&blob), "KeyId": key.arn.to_string(), "EncryptionAlgorithm": SYMMETRIC}),
        )
    }

    pub(super) fn decrypt(&mut self, state: &State) -> Result<Value, AwsError> {
        let ciphertext = parameters::ciphertext(self.input)?;
        let context = parameters::context(self.input, "EncryptionContext")?;
        let named = parameters::optional_text(self.input, "KeyId")?;
        let key = self.decrypting_key(state, named, &ciphertext, "kms:Decrypt", &context)?;
        check_kind(self.input, "EncryptionAlgorithm", key, "Decrypt")?;
        self.proceed(&[key])?;
        let plaintext = open(key, &context, &ciphertext)?;
        Ok(json!({
            "Plaintext": BASE64.encode(&plaintext),
            "KeyId": key.arn.to_string(),
            "EncryptionAlgorithm": SYMMETRIC,
            "KeyMaterialId": material_id(key, &ciphertext),
        }))
    }

    pub(super) fn generate_data_key(
        &mut self,
        state: &State,
        plaintext: Plaintext,
    ) -> Result<Value, AwsError> {
        let named = parameters::text(self.input, "KeyId")?;
        let length = data_key_length(self.input)?;
        let context = parameters::context(self.input, "EncryptionContext")?;
        let (operation, action) = match plaintext {
            Plaintext::Returned => ("GenerateDataKey", "kms:GenerateDataKey"),
            Plaintext::Withheld => ("GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext"),
        };
        let key = self.authorized(state, named, action, Some(&context))?;
        check_kind(self.input, "EncryptionAlgorithm", key, operation)?;
        self.proceed(&[key])?;
        let mut bytes = Zeroizing::new(vec![0; length]);
        fill_random(&mut bytes).map_err(|_| AwsError::internal(Service::Kms))?;
        let blob = seal(key, &context, &bytes)?;
        let mut answer = Map::from_iter([
            ("CiphertextBlob".to_owned(), BASE64.encode(&blob).into()),
            ("KeyId".to_owned(), key.arn.to_string().into()),
            ("KeyMaterialId".to_owned(), material_id(key, &blob)),
        ]);
        if plaintext == Plaintext::Returned {
            answer.insert("Plaintext".to_owned(), BASE64.encode(&bytes).into());
        }
        Ok(Value::Object(answer))
    }

    pub(super) fn re_encrypt(&mut self, state: &State) -> Result<Value, AwsError> {
        let ciphertext = parameters::ciphertext(self.input)?;
        let from_context = parameters::context(self.input, "SourceEncryptionContext")?;
        let to_context = parameters::context(self.input, "DestinationEncryptionContext")?;
        let to_named = parameters::text(self.input, "DestinationKeyId")?;
        let from_named = parameters::optional_text(self.input, "SourceKeyId")?;
        let from = self.decrypting_key(state, from_named, &ciphertext, "kms:ReEncryptFrom", &from_context)?;
        let to = self.authorized(state, to_named, "kms:ReEncryptTo", Some(&to_context))?;
        check_kind(self.input, "SourceEncryptionAlgorithm", from, "ReEncrypt")?;
        check_kind(self.input, "DestinationEncryptionAlgorithm", to, "ReEncrypt")?;
        self.proceed(&[from, to])?;
        let plaintext = open(from, &from_context, &ciphertext)?;
        let blob = seal(to, &to_context, &plaintext)?;
        Ok(json!({
            "SourceKeyMaterialId": material_id(from, &ciphertext),
            "DestinationKeyMaterialId": material_id(to, &blob),
            "CiphertextBlob": BASE64.encode(&blob),
            "SourceKeyId": from.arn.to_string(),
            "KeyId": to.arn.to_string(),
            "SourceEncryptionAlgorithm": SYMMETRIC,
            "DestinationEncryptionAlgorithm": SYMMETRIC,
        }))
    }

    /// The key that shall decrypt: the one named, or else the one that the ciphertext names.
    fn decrypting_key<'s>(
        &mut self,
        state: &'s State,
        named: Option<&str>,
        ciphertext: &[u8],
        action: &str,
        context: &Context,
    ) -> Result<&'s Key, AwsError> {
        let maker = blob::key_id(ciphertext).and_then(|id| state.key_by_id(&self.caller.region, &id));
        let Some(named) = named else {
            let maker = maker.ok_or_else(invalid_ciphertext)?;
            return self.authorized_maker(state, &maker.arn, action, context);
        };
        let key = self.authorized(state, named, action, Some(context))?;
        if maker.is_some_and(|maker| maker.arn != key.arn) {
            let message =
                "The key ID in the request does not identify a CMK that can perform this operation.";
            return Err(AwsError::new("IncorrectKeyException", message));
        }
        Ok(key)
    }

    /// A caller that named no key is not told which key refused.
    fn authorized_maker<'s>(
        &mut self,
        state: &'s State,
        arn: &KeyArn,
        action: &str,
        context: &Context,
    ) -> Result<&'s Key, AwsError> {
        self.note(arn);
        self.authorized_arn(state, arn, action, Some(context), "").map_err(|error| AwsError {
            message: "The ciphertext refers to a customer master key that does not exist, does not exist in this region, \
                      or you are not allowed to access."
                .to_owned(),
            ..AwsError::denied(Service::Kms, "").because(error.reason.as_deref().unwrap_or("no such key"))
        })
    }

    /// What comes between permission and doing it.
    fn proceed(&self, keys: &[&Key]) -> Result<(), AwsError> {
        if parameters::dry_run(self.input) {
            return Err(dry_run_success());
        }
        keys.iter().try_for_each(|key| check_usable(key, key.state_at(self.caller.now)))
    }
}

/// Only symmetric encryption keys work here, under their one algorithm.
fn check_kind(input: &Value, algorithm: &str, key: &Key, operation: &str) -> Result<(), AwsError> {
    if key.usage != KeyUsage::EncryptDecrypt {
        let message =
            format!("{} key usage is {} which is not valid for {operation}.", key.arn, key.usage.name());
        return Err(AwsError::new("InvalidKeyUsageException", message));
    }
    if key.spec == KeySpec::SYMMETRIC_DEFAULT {
        return parameters::check_algorithm(input, algorithm);
    }
    if operation.starts_with("GenerateDataKey") {
        let message =
            format!("{} key spec is {} which is not valid for {operation}.", key.arn, key.spec.name());
        return Err(AwsError::new("InvalidKeyUsageException", message));
    }
    let wanted = parameters::optional_text(input, algorithm)?.unwrap_or(SYMMETRIC);
    if wanted == SYMMETRIC {
        let message = format!("Algorithm {SYMMETRIC} is incompatible with key spec {}.", key.spec.name());
        return Err(AwsError::new("InvalidKeyUsageException", message));
    }
    Err(AwsError::new("UnsupportedOperationException", "the simulator does not encrypt with asymmetric keys"))
}

fn data_key_length(input: &Value) -> Result<usize, AwsError> {
    let bytes = parameters::optional_number(input, "NumberOfBytes", 1, 1024)?;
    match (parameters::optional_text(input, "KeySpec")?, bytes) {
        (Some("AES_256"), None) => Ok(32),
        (Some("AES_128"), None) => Ok(16),
        (None, Some(bytes)) => Ok(bytes as usize),
        (Some(spec), None) => Err(AwsError::constraint(
            Service::Kms,
            "keySpec",
            spec,
            "satisfy enum value set: [AES_256, AES_128]",
        )),
        _ => Err(AwsError::validation(Service::Kms, "Please specify either number of bytes or key spec.")),
    }
}

fn seal(key: &Key, context: &Context, plaintext: &[u8]) -> Result<Vec<u8>, AwsError> {
    key.current()
        .and_then(|backing| blob::seal(key, backing, context, plaintext))
        .ok_or_else(|| AwsError::internal(Service::Kms))
}

fn open(key: &Key, context: &Context, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, AwsError> {
    blob::open(key, context, ciphertext).ok_or_else(invalid_ciphertext)
}

/// The id of the generation that made a ciphertext, as KMS shows it.
fn material_id(key: &Key, ciphertext: &[u8]) -> Value {
    blob::material_id(key, ciphertext).map_or(Value::Null, Value::from)
}

/// KMS says nothing about what is wrong with a ciphertext.
fn invalid_ciphertext() -> AwsError {
    AwsError::new("InvalidCiphertextException", "")
}
