//! Application registrations and what they prove themselves by.

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;

use super::layered::Layered;
use crate::azure::ids::{AppId, DirectoryId};
use crate::clock::Timestamp;
use crate::secret::SecretText;

/// A registration, in its home directory.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) id: AppId,
    pub(crate) name: String,
    pub(crate) home: DirectoryId,
    /// Whether other directories may let it in.
    pub(crate) multi_tenant: bool,
    /// A deactivated registration gets no tokens in any directory.
    pub(crate) enabled: Layered<bool>,
    pub(crate) secrets: Vec<ClientSecret>,
    pub(crate) certificates: Vec<ClientCertificate>,
    pub(crate) federated: Vec<FederatedCredential>,
}

#[derive(Debug)]
pub(crate) struct ClientSecret {
    pub(crate) id: String,
    pub(crate) value: SecretText,
    pub(crate) expires: Layered<Timestamp>,
}

pub(crate) struct ClientCertificate {
    /// Base64url of its SHA-1 and of its SHA-256, and SHA-1 in hexadecimal: what assertions name it by.
    pub(crate) thumbprints: [String; 3],
    pub(crate) key: DecodingKey,
    pub(crate) expires: Option<Timestamp>,
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ClientCertificate")
            .field("thumbprints", &self.thumbprints)
            .finish_non_exhaustive()
    }
}

/// Whose tokens the application may present as its own proof.
#[derive(Clone, Debug)]
pub(crate) struct FederatedCredential {
    pub(crate) name: String,
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) audiences: Vec<String>,
    /// The issuer's keys; absent for directories of this simulator, which have their own.
    pub(crate) keys: Option<JwkSet>,
}
