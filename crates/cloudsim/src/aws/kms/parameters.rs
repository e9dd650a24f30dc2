//! Members of KMS requests, checked as KMS checks them.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::Value;
use zeroize::Zeroizing;

use super::blob;
use crate::aws::call::Service;
use crate::aws::error::AwsError;

/// The largest plaintext of a symmetric key, in bytes.
const MAX_PLAINTEXT: usize = 4096;
/// The largest ciphertext, in bytes.
const MAX_CIPHERTEXT: usize = 6144;
/// The encryption context's keys and values together, in bytes.
const MAX_CONTEXT: usize = 8192;

/// An encryption context; a map, so that the order of its entries means nothing.
pub(super) type Context = BTreeMap<String, String>;

/// A required text member.
pub(super) fn text<'a>(input: &'a Value, name: &str) -> Result<&'a str, AwsError> {
    match input.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(Value::String(text)) => Err(AwsError::constraint(
            Service::Kms,
            &lower(name),
            text,
            "have length greater than or equal to 1",
        )),
        Some(Value::Null) | None => Err(null(name)),
        Some(_) => Err(serialization()),
    }
}

/// An optional text member.
pub(super) fn optional_text<'a>(input: &'a Value, name: &str) -> Result<Option<&'a str>, AwsError> {
    match input.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => text(input, name).map(Some),
    }
}

/// An optional whole number within bounds.
pub(super) fn optional_number(
    input: &Value,
    name: &str,
    min: u32,
    max: u32,
) -> Result<Option<u32>, AwsError> {
    let Some(value) = input.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    let number = value.as_i64().ok_or_else(serialization)?;
    match u32::try_from(number) {
        Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
        _ => {
            let bound = if number < i64::from(min) {
                format!("have value greater than or equal to {min}")
            } else {
                format!("have value less than or equal to {max}")
            };
            Err(AwsError::constraint(Service::Kms, &lower(name), &number.to_string(), &bound))
        }
    }
}

/// Whether the call is a dry run.
pub(super) fn dry_run(input: &Value) -> bool {
    input.get("DryRun").and_then(Value::as_bool) == Some(true)
}

/// The plaintext to encrypt.
pub(super) fn plaintext(input: &Value) -> Result<Zeroizing<Vec<u8>>, AwsError> {
    let bytes = Zeroizing::new(bytes(input, "Plaintext")?);
    if bytes.is_empty() {
        return Err(AwsError::constraint(
            Service::Kms,
            "plaintext",
            "",
            "have length greater than or equal to 1",
        ));
    }
    // The value is left out of the message: it is a secret.
    if bytes.len() > MAX_PLAINTEXT {
        return Err(AwsError::constraint(
            Service::Kms,
            "plaintext",
            "*****",
            "have length less than or equal to 4096",
        ));
    }
    Ok(bytes)
}

/// The ciphertext to decrypt.
pub(super) fn ciphertext(input: &Value) -> Result<Vec<u8>, AwsError> {
    let bytes = bytes(input, "CiphertextBlob")?;
    let constraint = if bytes.is_empty() {
        "have length greater than or equal to 1"
    } else if bytes.len() > MAX_CIPHERTEXT {
        "have length less than or equal to 6144"
    } else {
        return Ok(bytes);
    };
    Err(AwsError::constraint(Service::Kms, "ciphertextBlob", "*****", constraint))
}

/// The encryption context.
pub(super) fn context(input: &Value, name: &str) -> Result<Context, AwsError> {
    match input.get(name) {
        None | Some(Value::Null) => return Ok(Context::new()),
        Some(Value::Object(entries)) if entries.values().all(Value::is_string) => {}
        Some(_) => return Err(serialization()),
    }
    let context = context_of(input, name);
    if context.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_CONTEXT {
        return Err(AwsError::validation(Service::Kms, "The encryption context is too large"));
    }
    Ok(context)
}

/// The encryption context as far as it is well formed.
pub(super) fn context_of(input: &Value, name: &str) -> Context {
    let entries = input.get(name).and_then(Value::as_object);
    entries
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Refuses every algorithm but the symmetric one.
pub(super) fn check_algorithm(input: &Value, name: &str) -> Result<(), AwsError> {
    match optional_text(input, name)? {
        None | Some("SYMMETRIC_DEFAULT") => Ok(()),
        Some(known @ ("RSAES_OAEP_SHA_1" | "RSAES_OAEP_SHA_256" | "SM2PKE")) => Err(AwsError::new(
            "InvalidKeyUsageException",
            format!("Algorithm {known} is incompatible with key spec SYMMETRIC_DEFAULT."),
        )),
        Some(other) => Err(AwsError::constraint(
            Service::Kms,
            &lower(name),
            other,
            "satisfy enum value set: [RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SYMMETRIC_DEFAULT, SM2PKE]",
        )),
    }
}

/// The key id that a ciphertext claims, unchecked, for the log.
pub(super) fn claimed_key(input: &Value) -> Option<String> {
    blob::key_id(&bytes(input, "CiphertextBlob").ok()?)
}

fn bytes(input: &Value, name: &str) -> Result<Vec<u8>, AwsError> {
    match input.get(name) {
        Some(Value::String(text)) => BASE64.decode(text.as_bytes()).map_err(|_| serialization()),
        Some(Value::Null) | None => Err(null(name)),
        Some(_) => Err(serialization()),
    }
}

fn null(name: &str) -> AwsError {
    AwsError::validation(
        Service::Kms,
        format!(
            "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
            lower(name)
        ),
    )
}

fn serialization() -> AwsError {
    AwsError::new("SerializationException", "")
}

/// Validation messages name members with a small first letter.
fn lower(name: &str) -> String {
    let mut name = name.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    name
}
