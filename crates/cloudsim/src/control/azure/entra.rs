//! Directories, applications, service principals and managed identities.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rsa::PublicKey;
use data_encoding::{BASE64URL_NOPAD, HEXUPPER};
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ParsedCertificate;

use super::AzureControl;
use super::model::{
    AppSpec, CertificateSpec, ClientSecretInfo, DirectorySpec, FederatedCredentialSpec, ManagedIdentitySpec,
};
use crate::azure::entra::signer::Signer;
use crate::azure::ids::{AppId, DirectoryId, ObjectId, SubscriptionId};
use crate::azure::trail;
use crate::azure::world::EditKind;
use crate::azure::world::app::{App, ClientCertificate, ClientSecret, FederatedCredential};
use crate::azure::world::directory::{Directory, ManagedIdentity, Principal};
use crate::azure::world::layered::{EditTime, Layered};
use crate::error::SimError;
use crate::issuer::TestIssuer;
use crate::secret::SecretText;

/// What the portal proposes.
const SECRET_LIFETIME: Duration = Duration::from_secs(180 * 24 * 3600);

impl AzureControl {
    /// Makes a directory; gives its subscription.
    ///
    /// # Errors
    /// When it, or one of its domains, exists already.
    pub fn put_directory(&self, id: &DirectoryId, spec: DirectorySpec) -> Result<SubscriptionId, SimError> {
        // The key that tokens are signed with takes a while to make, so it is not made under the lock.
        Signer::shared()?;
        let mut state = self.shared.azure.write();
        let taken = spec.domains.iter().find(|domain| state.directory_named(domain).is_some());
        if state.directories.contains_key(id) || taken.is_some() {
            let name = taken.cloned().unwrap_or_else(|| id.to_string());
            return Err(SimError::Exists { what: "directory", name });
        }
        let subscription = spec.subscription.unwrap_or_else(SubscriptionId::generate);
        let directory = Directory {
            id: id.clone(),
            name: spec.name,
            domains: spec.domains,
            cloud: spec.cloud,
            subscription: subscription.clone(),
            principals: Default::default(),
        };
        state.directories.insert(id.clone(), directory);
        Ok(subscription)
    }

    /// Registers an application, with a service principal in its own directory.
    ///
    /// # Errors
    /// When it exists already or its directory does not.
    pub fn put_app(&self, id: &AppId, spec: AppSpec) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        if state.apps.contains_key(id) {
            return Err(SimError::Exists { what: "application", name: id.to_string() });
        }
        let principal = Principal::new(ObjectId::generate(), EditTime { now, effective: now });
        state.directory_mut(&spec.directory)?.principals.insert(id.clone(), principal);
        let app = App {
            id: id.clone(),
            name: spec.name,
            home: spec.directory,
            multi_tenant: spec.multi_tenant,
            enabled: Layered::new(spec.enabled),
            secrets: Vec::new(),
            certificates: Vec::new(),
            federated: Vec::new(),
        };
        state.apps.insert(id.clone(), app);
        Ok(())
    }

    /// Activates or deactivates a registration.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn set_app_enabled(&self, id: &AppId, enabled: bool) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::Principal, now);
        state.app_mut(id)?.enabled.set(enabled, time);
        Ok(())
    }

    /// Makes a client secret, which expires after `lifetime` of simulated time, 180 days unless given.
    ///
    /// # Errors
    /// When the application does not exist.
    pub fn add_secret(&self, app: &AppId, lifetime: Option<Duration>) -> Result<ClientSecretInfo, SimError> {
        let value = SecretText::generate(30)?;
        let id = uuid::Uuid::new_v4().to_string();
        let expires = self.shared.clock.now().plus(lifetime.unwrap_or(SECRET_LIFETIME));
        let secret = ClientSecret { id: id.clone(), value: value.clone(), expires: Layered::new(expires) };
        self.shared.azure.write().app_mut(app)?.secrets.push(secret);
        Ok(ClientSecretInfo { id, value })
    }

    /// Removes a client secret.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn remove_secret(&self, app: &AppId, id: &str) -> Result<(), SimError> {
        let mut state = self.shared.azure.write();
        let secrets = &mut state.app_mut(app)?.secrets;
        let before = secrets.len();
        secrets.retain(|secret| secret.id != id);
        let removed = secrets.len() < before;
        if removed { Ok(()) } else { Err(SimError::not_found("client secret", id)) }
    }

    /// Registers a certificate; gives its SHA-1 thumbprint in hexadecimal.
    ///
    /// # Errors
    /// When the application does not exist, or this is no certificate of an RSA key.
    pub fn add_certificate(&self, app: &AppId, spec: &CertificateSpec) -> Result<String, SimError> {
        let invalid = || SimError::invalid("certificate", "it is no PEM certificate of an RSA key");
        let der = CertificateDer::from_pem_slice(spec.pem.as_bytes()).map_err(|_| invalid())?;
        let parsed = ParsedCertificate::try_from(&der).map_err(|_| invalid())?;
        let key = PublicKey::from_der(&parsed.subject_public_key_info()).map_err(|_| invalid())?;
        let modulus = key.modulus().big_endian_without_leading_zero();
        let exponent = key.exponent().big_endian_without_leading_zero();
        let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, &der);
        let hex = HEXUPPER.encode(sha1.as_ref());
        let sha256 = BASE64URL_NOPAD.encode(digest(&SHA256, &der).as_ref());
        let lifetime = spec.expires_in_seconds.map(Duration::from_secs);
        let certificate = ClientCertificate {
            thumbprints: [BASE64URL_NOPAD.encode(sha1.as_ref()), sha256, hex.clone()],
            key: DecodingKey::from_rsa_raw_components(modulus, exponent),
            expires: lifetime.map(|lifetime| self.shared.clock.wall().plus(lifetime)),
        };
        self.shared.azure.write().app_mut(app)?.certificates.push(certificate);
        Ok(hex)
    }

    /// Adds a federated credential, or replaces the one of its name.
    ///
    /// # Errors
    /// When the application does not exist, the key set is malformed, or there is none for this issuer.
    pub fn put_federated_credential(
        &self,
        app: &AppId,
        spec: FederatedCredentialSpec,
    ) -> Result<(), SimError> {
        let invalid = |reason: &str| SimError::invalid("federated credential", reason);
        let known = self.shared.aws.read().issuers.get(&spec.issuer).map(TestIssuer::jwks);
        let keys: Option<JwkSet> = match spec.jwks.or(known) {
            Some(keys) => {
                Some(serde_json::from_value(keys).map_err(|_| invalid("the key set is malformed"))?)
            }
            None => None,
        };
        let mut state = self.shared.azure.write();
        let ours = state.directories.values().any(|directory| directory.issuer_v2() == spec.issuer);
        if keys.is_none() && !ours {
            return Err(invalid("no key set is given, and no such issuer is simulated"));
        }
        let credential = FederatedCredential {
            name: spec.name,
            issuer: spec.issuer,
            subject: spec.subject,
            audiences: spec.audiences,
            keys,
        };
        let federated = &mut state.app_mut(app)?.federated;
        federated.retain(|known| known.name != credential.name);
        federated.push(credential);
        Ok(())
    }

    /// Removes a federated credential.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn remove_federated_credential(&self, app: &AppId, name: &str) -> Result<(), SimError> {
        let mut state = self.shared.azure.write();
        let federated = &mut state.app_mut(app)?.federated;
        let before = federated.len();
        federated.retain(|known| known.name != name);
        let removed = federated.len() < before;
        if removed { Ok(()) } else { Err(SimError::not_found("federated credential", name)) }
    }

    /// Lets an application into a directory, as its administrator does by consenting; gives its principal. One that is let
    /// in again after it was removed is another object, which has none of the roles of the first.
    ///
    /// # Errors
    /// When the directory or the application does not exist, or the application is for its own directory alone.
    pub fn consent(&self, directory: &DirectoryId, app: &AppId) -> Result<ObjectId, SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::Principal, now);
        let registered = state.app_mut(app)?;
        if !registered.multi_tenant && registered.home != *directory {
            return Err(SimError::invalid("consent", "the application is single-tenant"));
        }
        let principals = &mut state.directory_mut(directory)?.principals;
        if let Some(known) = principals.get(app).filter(|known| *known.present.newest()) {
            return Ok(known.object_id.clone());
        }
        let object_id = ObjectId::generate();
        principals.insert(app.clone(), Principal::new(object_id.clone(), time));
        Ok(object_id)
    }

    /// Removes an application from a directory.
    ///
    /// # Errors
    /// When it is not in it.
    pub fn delete_service_principal(&self, directory: &DirectoryId, app: &AppId) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::Principal, now);
        state.principal_mut(directory, app)?.present.set(false, time);
        let event = trail::of_principal(&state, "Remove service principal", directory, app);
        drop(state);
        self.record(event);
        Ok(())
    }

    /// Enables or disables an application's principal in a directory.
    ///
    /// # Errors
    /// When it is not in it.
    pub fn set_service_principal_enabled(
        &self,
        directory: &DirectoryId,
        app: &AppId,
        enabled: bool,
    ) -> Result<(), SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        let time = state.edit_time(EditKind::Principal, now);
        state.principal_mut(directory, app)?.enabled.set(enabled, time);
        let operation = if enabled { "Enable service principal" } else { "Disable service principal" };
        let event = trail::of_principal(&state, operation, directory, app);
        drop(state);
        self.record(event);
        Ok(())
    }

    /// Makes a managed identity, with a principal in its directory; gives the principal.
    ///
    /// # Errors
    /// When it exists already or its directory does not.
    pub fn put_managed_identity(
        &self,
        client_id: &AppId,
        spec: ManagedIdentitySpec,
    ) -> Result<ObjectId, SimError> {
        let now = self.shared.clock.now();
        let mut state = self.shared.azure.write();
        if state.identities.contains_key(client_id) {
            return Err(SimError::Exists { what: "managed identity", name: client_id.to_string() });
        }
        let object_id = ObjectId::generate();
        let principal = Principal::new(object_id.clone(), EditTime { now, effective: now });
        state.directory_mut(&spec.directory)?.principals.insert(client_id.clone(), principal);
        state.identities.insert(client_id.clone(), ManagedIdentity { directory: spec.directory });
        Ok(object_id)
    }

    /// Sets the managed identity that the platform's machine has when it asks for none by name.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn set_default_identity(&self, client_id: Option<AppId>) -> Result<(), SimError> {
        let mut state = self.shared.azure.write();
        if let Some(missing) = client_id.as_ref().filter(|id| !state.identities.contains_key(id)) {
            return Err(SimError::not_found("managed identity", missing.as_str()));
        }
        state.default_identity = client_id;
        Ok(())
    }

    /// Ends all tokens issued so far, those of managed identities too, as no call to the real Entra ID could.
    pub fn expire_tokens(&self) {
        self.shared.azure.write().token_epoch += 1;
    }

    /// Sets how many seconds tokens issued from now on live. Default: 3599.
    pub fn set_token_lifetime(&self, seconds: u32) {
        self.shared.azure.write().token_seconds = seconds;
    }
}
