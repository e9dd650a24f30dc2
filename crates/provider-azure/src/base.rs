//! Who we are before we become anybody: our application, and a fresh token of it in some directory.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, Secret, TokenCredential};
use azure_core::http::ClientMethodOptions;
use azure_core::time::OffsetDateTime;
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId,
};
use leasehold_provider::{Answer, Fault, ProviderError};
use zeroize::Zeroizing;

use crate::assertion::{CertificateFiles, read};
use crate::clients::Clients;
use crate::cloud::Cloud;
use crate::config::{AzureConfigError, Identity};
use crate::error::{Call, failure};
use crate::ids::{ClientId, DirectoryId};

/// Where a Kubernetes service account's token is, if the settings do not say.
/// <https://azure.github.io/azure-workload-identity/docs/topics/service-account-labels-and-annotations.html>
const TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// Our application.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) client_id: ClientId,
    cloud: Cloud,
    clients: Clients,
    evidence: Evidence,
}

/// What shows that we are our application.
#[derive(Debug)]
enum Evidence {
    /// A token of the platform's identity. The one thing that is cached below us: the platform itself keeps it for a day,
    /// and it says nothing about any tenant.
    ManagedIdentity(Arc<ManagedIdentityCredential>),
    /// A token in a file, which Kubernetes renews.
    TokenFile(PathBuf),
    Certificate(CertificateFiles),
    SecretFile(PathBuf),
}

impl Application {
    pub(crate) async fn build(
        client_id: ClientId,
        identity: Identity,
        cloud: Cloud,
        clients: Clients,
    ) -> Result<Self, AzureConfigError> {
        let bad = |why| AzureConfigError::BadIdentity { why };
        let evidence = match identity {
            Identity::ManagedIdentity { client_id } => {
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.map(|id| UserAssignedId::ClientId(id.into())),
                    client_options: clients.managed_identity(),
                };
                let credential = ManagedIdentityCredential::new(Some(options));
                Evidence::ManagedIdentity(credential.map_err(|e| bad(e.to_string()))?)
            }
            Identity::WorkloadIdentity { token_file } => {
                let named = token_file.or_else(|| std::env::var_os(TOKEN_FILE).map(PathBuf::from));
                let file = named.filter(|file| !file.as_os_str().is_empty());
                Evidence::TokenFile(file.ok_or(AzureConfigError::NoTokenFile)?)
            }
            Identity::Certificate { certificate_file, key_file } => {
                Evidence::Certificate(CertificateFiles { certificate: certificate_file, key: key_file })
            }
            Identity::Secret { file } => Evidence::SecretFile(file),
        };
        let application = Self { client_id, cloud, clients, evidence };
        application.check().await.map_err(bad)?;
        Ok(application)
    }

    /// A new token of our application in `directory`, for `scope`. Each is asked of Entra: the credential is new as well,
    /// so that its cache is empty.
    pub(crate) async fn token(
        &self,
        call: Call,
        directory: &DirectoryId,
        scope: &str,
    ) -> Result<Answer<Fresh>, ProviderError> {
        let (client_options, endpoint) = self.clients.token_endpoint()?;
        let (directory, client_id) = (directory.as_str(), String::from(self.client_id.clone()));
        let unusable = |e: azure_core::Error| own(format!("the SDK does not take our identity: {e}"));
        let credential: Arc<dyn TokenCredential> = if let Evidence::SecretFile(file) = &self.evidence {
            let secret = Secret::new(one_line(file).await.map_err(own)?.to_string());
            let options = ClientSecretCredentialOptions { client_options };
            ClientSecretCredential::new(directory, client_id, secret, Some(options)).map_err(unusable)?
        } else {
            let shown = Shown(self.assertion(directory).await?);
            let options = ClientAssertionCredentialOptions { client_options };
            ClientAssertionCredential::new(directory.to_owned(), client_id, shown, Some(options))
                .map_err(unusable)?
        };
        let given = credential.get_token(&[scope], None).await;
        let head = endpoint.last();
        let AccessToken { token, expires_on } = given.map_err(|e| failure(call, &e, head.as_ref()))?;
        let request_id = head.and_then(|head| head.request_id);
        if token.secret().is_empty() || expires_on <= OffsetDateTime::now_utc() {
            let error = ProviderError::new(Fault::Unavailable, "the answer of Entra ID is incomplete");
            return Err(error.with_request_id(request_id.as_deref()));
        }
        Ok(Answer {
            value: Fresh { token: Zeroizing::new(token.secret().to_owned()), expires_on },
            request_id,
        })
    }

    /// What shows the token endpoint of `directory` who we are.
    async fn assertion(&self, directory: &str) -> Result<Zeroizing<String>, ProviderError> {
        match &self.evidence {
            Evidence::ManagedIdentity(credential) => {
                let scope = format!("{}/.default", self.cloud.exchange_audience());
                let token = credential.get_token(&[&scope], None).await;
                let token = token.map_err(|e| failure(Call::Platform, &e, None))?.token;
                Ok(Zeroizing::new(token.secret().to_owned()))
            }
            Evidence::TokenFile(file) => one_line(file).await.map_err(own),
            Evidence::Certificate(files) => {
                let signer = files.load().await.map_err(own)?;
                let audience = format!("https://{}/{directory}/oauth2/v2.0/token", self.cloud.authority());
                signer.sign(&self.client_id, &audience, OffsetDateTime::now_utc()).map_err(own)
            }
            Evidence::SecretFile(_) => Err(own("a secret is no assertion")),
        }
    }

    /// Whether the files that we were told of are there and good.
    async fn check(&self) -> Result<(), String> {
        match &self.evidence {
            Evidence::ManagedIdentity(_) => Ok(()),
            Evidence::Certificate(files) => files.load().await.map(drop),
            Evidence::TokenFile(file) | Evidence::SecretFile(file) => one_line(file).await.map(drop),
        }
    }
}

/// A token that was just given out.
pub(crate) struct Fresh {
    pub(crate) token: Zeroizing<String>,
    pub(crate) expires_on: OffsetDateTime,
}

/// An assertion that is there already, in the form that the SDK asks for one.
struct Shown(Zeroizing<String>);

#[async_trait]
impl ClientAssertion for Shown {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        // The SDK wants a String of its own and offers no way to wipe it; the process's allocator wipes what it frees.
        Ok(self.0.to_string())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

/// The only line of a file.
async fn one_line(file: &std::path::Path) -> Result<Zeroizing<String>, String> {
    let bytes = read(file).await?;
    let text = std::str::from_utf8(&bytes).map(str::trim_ascii).unwrap_or_default();
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(format!("{} does not hold one line of text", file.display()));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn own(why: impl Into<String>) -> ProviderError {
    ProviderError::new(Fault::OwnIdentity, why)
}
