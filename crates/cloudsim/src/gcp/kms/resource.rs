//! Which method a path means.
//!
//! <https://cloud.google.com/kms/docs/reference/rest>

use http::Method;

use crate::gcp::name::{KeyName, KeyRingName};

const VERSIONS: &str = "/cryptoKeyVersions";

/// What of Cloud KMS a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Location {
        project: String,
        location: String,
    },
    Ring(KeyRingName),
    Key(KeyName),
    Version(KeyName, u32),
    /// A name that is not of the form that the method takes.
    Malformed(String),
}

/// The method and what it is about; nothing if there is no such method.
pub(crate) fn parse(method: &Method, name: &str) -> Option<(&'static str, Resource)> {
    let (path, verb) = match name.rsplit_once(':') {
        Some((path, verb)) => (path, Some(verb)),
        None => (name, None),
    };
    if !path.starts_with("projects/") {
        return None;
    }
    if let Some(verb) = verb {
        return custom(method, path, verb);
    }
    if let (Some(key), &Method::GET | &Method::POST) = (path.strip_suffix(VERSIONS), method) {
        let operation =
            if method == Method::GET { "ListCryptoKeyVersions" } else { "CreateCryptoKeyVersion" };
        return Some((operation, key_or_malformed(key)));
    }
    if let (Some(ring), &Method::GET) = (path.strip_suffix("/cryptoKeys"), method) {
        return Some(("ListCryptoKeys", ring_or_malformed(ring)));
    }
    match (method, any(path)) {
        (&Method::GET, resource @ Resource::Key(_)) => Some(("GetCryptoKey", resource)),
        (&Method::GET, resource @ Resource::Version(..)) => Some(("GetCryptoKeyVersion", resource)),
        (&Method::GET, resource @ Resource::Ring(_)) => Some(("GetKeyRing", resource)),
        (&Method::GET, resource @ Resource::Location { .. }) => Some(("GetLocation", resource)),
        (&Method::PATCH, resource @ Resource::Key(_)) => Some(("UpdateCryptoKey", resource)),
        (&Method::PATCH, resource @ Resource::Version(..)) => Some(("UpdateCryptoKeyVersion", resource)),
        (&Method::GET, resource @ Resource::Malformed(_)) => Some(("GetCryptoKey", resource)),
        _ => None,
    }
}

fn custom(method: &Method, path: &str, verb: &str) -> Option<(&'static str, Resource)> {
    let operation = match (method, verb) {
        (&Method::POST, "encrypt") => "Encrypt",
        (&Method::POST, "decrypt") => "Decrypt",
        (&Method::POST, "updatePrimaryVersion") => "UpdateCryptoKeyPrimaryVersion",
        (&Method::POST, "destroy") => "DestroyCryptoKeyVersion",
        (&Method::POST, "restore") => "RestoreCryptoKeyVersion",
        (&Method::GET, "getIamPolicy") => "GetIamPolicy",
        (&Method::POST, "setIamPolicy") => "SetIamPolicy",
        (&Method::POST, "testIamPermissions") => "TestIamPermissions",
        _ => return None,
    };
    Some((operation, any(path)))
}

fn any(path: &str) -> Resource {
    if let Some((key, number)) = path.split_once("/cryptoKeyVersions/") {
        return match (key.parse(), number.parse::<u32>()) {
            (Ok(key), Ok(number)) => Resource::Version(key, number),
            _ => Resource::Malformed(path.to_owned()),
        };
    }
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["projects", project, "locations", location] => {
            Resource::Location { project: project.to_owned(), location: location.to_owned() }
        }
        ["projects", _, "locations", _, "keyRings", _] => ring_or_malformed(path),
        _ => key_or_malformed(path),
    }
}

fn key_or_malformed(path: &str) -> Resource {
    path.parse().map_or_else(|_| Resource::Malformed(path.to_owned()), Resource::Key)
}

fn ring_or_malformed(path: &str) -> Resource {
    path.parse().map_or_else(|_| Resource::Malformed(path.to_owned()), Resource::Ring)
}
