//! Service accounts, their keys, and users.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde_json::json;
use zeroize::Zeroizing;

use super::GcpControl;
use crate::error::SimError;
use crate::gcp::name::ServiceAccountEmail;
use crate::gcp::oauth::User;
use crate::gcp::trail;
use crate::gcp::world::EditKind;
use crate::gcp::world::service_account::{EXTENDED_LIFETIME, ServiceAccount, USUAL_LIFETIME};
use crate::secret::{SecretText, fill_random};

impl GcpControl {
    /// Makes a service account, or replaces it with another of the same email, which is somebody else.
    ///
    /// # Errors
    /// When its project does not exist.
    pub fn put_service_account(&self, email: &ServiceAccountEmail) -> Result<(), SimError> {
        let account = ServiceAccount::new(email.clone())?;
        let mut state = self.shared.gcp.write();
        state.project_mut(&email.project)?.service_accounts.insert(email.name.clone(), account);
        Ok(())
    }

    /// Deletes a service account. Its tokens and keys are worthless from then on.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_service_account(&self, email: &ServiceAccountEmail) -> Result<(), SimError> {
        let mut state = self.shared.gcp.write();
        let removed = state.project_mut(&email.project)?.service_accounts.remove(&email.name);
        drop(state);
        removed.map(drop).ok_or_else(|| SimError::not_found("service account", email.to_string()))?;
        self.record(trail::of_service_account("DeleteServiceAccount", email));
        Ok(())
    }

    /// Disables or enables a service account.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn set_service_account_disabled(
        &self,
        email: &ServiceAccountEmail,
        disabled: bool,
    ) -> Result<(), SimError> {
        let time = self.edit_time(EditKind::ServiceAccount);
        let mut state = self.shared.gcp.write();
        state.service_account_mut(email)?.disabled.change(time, |current| *current = disabled);
        drop(state);
        let operation = if disabled { "DisableServiceAccount" } else { "EnableServiceAccount" };
        self.record(trail::of_service_account(operation, email));
        Ok(())
    }

    /// Says whether an organisation policy lets a service account's tokens live for twelve hours instead of one.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn set_lifetime_extended(&self, email: &ServiceAccountEmail, extended: bool) -> Result<(), SimError> {
        let mut state = self.shared.gcp.write();
        state.service_account_mut(email)?.max_lifetime =
            if extended { EXTENDED_LIFETIME } else { USUAL_LIFETIME };
        Ok(())
    }

    /// Makes a key of a service account, and gives its key file. The simulator keeps the public key alone.
    ///
    /// # Errors
    /// When the service account does not exist or no key can be made.
    pub fn create_service_account_key(&self, email: &ServiceAccountEmail) -> Result<SecretText, SimError> {
        // RSA keys take a while to make, so none is made under the lock.
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| SimError::KeyMaterial)?;
        let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| SimError::KeyMaterial)?;
        let encoded = Zeroizing::new(BASE64.encode(private.as_ref()));
        let mut id = [0; 20];
        fill_random(&mut id)?;
        let id = HEXLOWER.encode(&id);
        let jwk = json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
            "n": BASE64URL_NOPAD.encode(pair.public_key().modulus().big_endian_without_leading_zero()),
            "e": BASE64URL_NOPAD.encode(pair.public_key().exponent().big_endian_without_leading_zero()),
        });
        let jwk = serde_json::from_value(jwk).map_err(|_| SimError::KeyMaterial)?;
        let mut state = self.shared.gcp.write();
        let account = state.service_account_mut(email)?;
        account.keys.insert(id.clone(), jwk);
        let file = json!({
            "type": "service_account",
            "project_id": email.project,
            "private_key_id": id,
            "private_key": pem(&encoded).as_str(),
            "client_email": email,
            "client_id": account.unique_id,
            "token_uri": format!("{}/token", self.shared.gcp.url()),
            "universe_domain": "googleapis.com",
        });
        Ok(SecretText::new(file.to_string()))
    }

    /// Deletes a key of a service account.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_service_account_key(&self, email: &ServiceAccountEmail, id: &str) -> Result<(), SimError> {
        let removed = self.shared.gcp.write().service_account_mut(email)?.keys.remove(id);
        removed.map(drop).ok_or_else(|| SimError::not_found("service account key", id))
    }

    /// Makes or replaces a user, and gives the file that a login of its leaves behind.
    ///
    /// # Errors
    /// When no secret can be made.
    pub fn put_user(&self, email: &str) -> Result<SecretText, SimError> {
        let user = User {
            client_id: "leasehold.apps.googleusercontent.com".to_owned(),
            client_secret: SecretText::generate(18)?,
            refresh_token: SecretText::generate(48)?,
        };
        let file = json!({
            "type": "authorized_user",
            "client_id": user.client_id,
            "client_secret": user.client_secret.expose(),
            "refresh_token": user.refresh_token.expose(),
            "token_uri": format!("{}/token", self.shared.gcp.url()),
            "universe_domain": "googleapis.com",
        });
        self.shared.gcp.write().users.insert(email.to_owned(), user);
        Ok(SecretText::new(file.to_string()))
    }

    /// Deletes a user. Its tokens are worthless from then on.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn delete_user(&self, email: &str) -> Result<(), SimError> {
        let removed = self.shared.gcp.write().users.remove(email);
        removed.map(drop).ok_or_else(|| SimError::not_found("user", email))
    }
}

/// PEM, in lines of 64 characters as RFC 7468 asks for.
fn pem(encoded: &str) -> Zeroizing<String> {
    let mut pem = Zeroizing::new(String::with_capacity(encoded.len() + encoded.len() / 64 + 64));
    pem.push_str("-----BEGIN PRIVATE KEY-----\n");
    for (index, letter) in encoded.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(letter);
    }
    pem.push_str("\n-----END PRIVATE KEY-----\n");
    pem
}
