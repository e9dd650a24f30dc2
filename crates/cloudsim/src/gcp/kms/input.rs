//! The parameters of calls.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::gcp::error::GcpError;

/// The bytes of a field; empty when it is absent. Google takes both alphabets, padded or not.
pub(super) fn bytes(input: &Value, name: &str) -> Result<Zeroizing<Vec<u8>>, GcpError> {
    let text = match input.get(name) {
        None | Some(Value::Null) => return Ok(Zeroizing::default()),
        Some(Value::String(text)) => text.as_bytes(),
        Some(_) => return Err(malformed(name)),
    };
    [BASE64, BASE64URL, BASE64_NOPAD, BASE64URL_NOPAD]
        .iter()
        .find_map(|encoding| encoding.decode(text).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| malformed(name))
}

/// A field of bytes with the checksum that was sent of it: says whether one was sent, and refuses a wrong one.
pub(super) fn checked_bytes(input: &Value, name: &str) -> Result<(Zeroizing<Vec<u8>>, bool), GcpError> {
    let bytes = bytes(input, name)?;
    let field = format!("{name}Crc32c");
    let Some(sent) = input.get(&field).filter(|sent| !sent.is_null()) else { return Ok((bytes, false)) };
    // Sixty-four-bit numbers are texts in Google's JSON; both are taken.
    let sent = sent.as_i64().or_else(|| sent.as_str()?.parse().ok()).ok_or_else(|| malformed(&field))?;
    if sent == i64::from(crc32c::crc32c(&bytes)) {
        return Ok((bytes, true));
    }
    let (field, of) = (snake(&field), snake(name));
    Err(GcpError::invalid_argument(format!(
        "The checksum in field {field} did not match the data in field {of}."
    )))
}

/// The checksum of an answer's field, as Google's JSON has it.
pub(super) fn checksum(bytes: &[u8]) -> String {
    crc32c::crc32c(bytes).to_string()
}

fn malformed(name: &str) -> GcpError {
    GcpError::invalid_argument(format!("Invalid value at '{}'.", snake(name)))
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
