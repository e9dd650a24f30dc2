//! Wrapping and unwrapping, encrypting and decrypting: one and the same with an RSA key, but for their permissions.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Operation, VaultCall, lookup};
use crate::azure::error::AzureError;
use crate::azure::world::material::Material;
use crate::log::CallFacts;
use crate::simulator::Shared;

/// The one algorithm that these vaults take. Key Vault itself also takes RSA-OAEP and RSA1_5, which it advises against;
/// who still asks for them is to find out here.
const ALGORITHM: &str = "RSA-OAEP-256";
/// What Key Vault says of a value that it cannot work on, whatever the reason.
const INCORRECT: &str = "The parameter is incorrect.\r\n";

/// WrapKey and Encrypt.
pub(super) fn encrypt(
    call: &VaultCall,
    operation: Operation,
    shared: &Shared,
    facts: &mut CallFacts,
) -> Result<Value, AzureError> {
    let (material, kid, value) = prepare(call, operation, shared, facts)?;
    let wrapped = material.encrypt(&value).ok_or_else(|| AzureError::bad_parameter(INCORRECT))?;
    Ok(json!({"kid": kid, "value": BASE64URL_NOPAD.encode(&wrapped)}))
}

/// UnwrapKey and Decrypt.
pub(super) fn decrypt(
    call: &VaultCall,
    operation: Operation,
    shared: &Shared,
    facts: &mut CallFacts,
) -> Result<Value, AzureError> {
    let (material, kid, value) = prepare(call, operation, shared, facts)?;
    let opened = material.decrypt(&value).ok_or_else(|| AzureError::bad_parameter(INCORRECT))?;
    Ok(json!({"kid": kid, "value": BASE64URL_NOPAD.encode(&opened)}))
}

type Prepared = (Arc<Material>, String, Zeroizing<Vec<u8>>);

/// Checks the key's state and the request; the work itself is done without the world's lock.
fn prepare(
    call: &VaultCall,
    operation: Operation,
    shared: &Shared,
    facts: &mut CallFacts,
) -> Result<Prepared, AzureError> {
    let name = match operation {
        Operation::WrapKey => "wrapKey",
        Operation::UnwrapKey => "unwrapKey",
        Operation::Encrypt => "encrypt",
        _ => "decrypt",
    };
    let now = shared.clock.now();
    let (material, kid) = {
        let state = shared.azure.read();
        let (key, version) = lookup::version(call, &state, now)?;
        facts.key_version = Some(version.id.clone());
        lookup::check_use(version, name, now)?;
        (version.material.clone(), format!("{}/{}", key.url, version.id))
    };
    let body = call.json()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let algorithm = text("alg").ok_or_else(|| AzureError::bad_parameter("Property alg is missing."))?;
    facts.parameters.insert("algorithm".to_owned(), algorithm.to_owned());
    if algorithm != ALGORITHM || matches!(*material, Material::Ec { .. }) {
        return Err(AzureError::bad_parameter("Property alg has invalid value\r\n"));
    }
    let value = text("value").ok_or_else(|| AzureError::bad_parameter("Property value is missing."))?;
    let value = BASE64URL_NOPAD
        .decode(value.trim_end_matches('=').as_bytes())
        .map_err(|_| AzureError::bad_parameter("Property value has invalid value\r\n"))?;
    Ok((material, kid, Zeroizing::new(value)))
}
