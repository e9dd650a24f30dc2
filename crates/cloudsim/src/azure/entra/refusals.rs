//! What Entra ID answers when it issues no token. Clients and people act on these codes and words.
//!
//! <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>

use http::StatusCode;

use crate::azure::error::AzureError;
use crate::azure::ids::AppId;
use crate::azure::world::directory::Directory;
use crate::clock::Timestamp;

const FEDERATION: &str = "https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

fn bad_request(oauth: &'static str, code: u32, message: impl Into<String>) -> AzureError {
    AzureError::entra(StatusCode::BAD_REQUEST, oauth, code, message)
}

fn invalid_client(code: u32, message: impl Into<String>) -> AzureError {
    AzureError::entra(StatusCode::UNAUTHORIZED, "invalid_client", code, message)
}

// === the request ===

pub(super) fn missing(parameter: &str) -> AzureError {
    let message = format!("The request body must contain the following parameter: '{parameter}'.");
    bad_request("invalid_request", 900144, message)
}

pub(super) fn unsupported_grant(grant: &str) -> AzureError {
    let message = format!("The app requested an unsupported grant type '{grant}'.");
    bad_request("unsupported_grant_type", 70003, message)
}

pub(super) fn no_directory() -> AzureError {
    let message = "No tenant-identifying information found in either the request or implied by any provided credentials.";
    bad_request("invalid_request", 50059, message)
}

pub(super) fn directory_not_found(name: &str) -> AzureError {
    let message = format!(
        "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the correct \
         cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for \
         the tenant."
    );
    bad_request("invalid_request", 90002, message)
}

pub(super) fn invalid_scope(scope: &str) -> AzureError {
    let message = format!(
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
         /.default suffixed to the resource identifier (application ID URI)."
    );
    bad_request("invalid_scope", 1002012, message)
}

pub(crate) fn resource_not_found(resource: &str, directory: &Directory) -> AzureError {
    let message = format!(
        "The resource principal named {resource} was not found in the tenant named {}. This can happen if the \
         application has not been installed by the administrator of the tenant or consented to by any user in the \
         tenant. You might have sent your authentication request to the wrong tenant.",
        directory.name
    );
    bad_request("invalid_resource", 500011, message)
}

// === the application and its principal ===

pub(super) fn app_not_found(client: &str, directory: &Directory) -> AzureError {
    let message = format!(
        "Application with identifier '{client}' was not found in the directory '{}'. This can happen if the \
         application has not been installed by the administrator of the tenant or consented to by any user in the \
         tenant. You may have sent your authentication request to the wrong tenant.",
        directory.name
    );
    bad_request("unauthorized_client", 700016, message).denied()
}

/// What an application gets in its own directory when its principal was deleted there.
pub(super) fn missing_principal(app: &AppId, directory: &Directory) -> AzureError {
    let message = format!(
        "The client application {app} is missing service principal in the tenant {}. See instructions here: \
         https://go.microsoft.com/fwlink/?linkid=2225119",
        directory.id
    );
    invalid_client(7000229, message).denied()
}

pub(super) fn disabled(app: &AppId, name: &str) -> AzureError {
    bad_request("unauthorized_client", 7000112, format!("Application '{app}'({name}) is disabled.")).denied()
}

pub(super) fn blocked() -> AzureError {
    let message = "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.";
    bad_request("invalid_grant", 53003, message).denied()
}

// === secrets ===

pub(super) fn no_credential() -> AzureError {
    let message = "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.";
    invalid_client(7000216, message)
}

pub(super) fn wrong_secret(app: &AppId) -> AzureError {
    let message = format!(
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
         the client secret ID, for a secret added to app '{app}'."
    );
    invalid_client(7000215, message)
}

pub(super) fn expired_secret(app: &AppId) -> AzureError {
    let message = format!(
        "The provided client secret keys for app '{app}' are expired. Visit the Azure portal to create new keys for \
         your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: \
         https://aka.ms/certCreds."
    );
    invalid_client(7000222, message)
}

// === assertions ===

pub(super) fn malformed_assertion(reason: &'static str) -> AzureError {
    bad_request("invalid_request", 50027, "JWT token is invalid or malformed.").because(reason)
}

pub(super) fn assertion_audience() -> AzureError {
    let message = "Client assertion audience claim does not match Realm issuer. Review the documentation at \
                   https://learn.microsoft.com/entra/identity-platform/certificate-credentials .";
    invalid_client(700023, message)
}

pub(super) fn assertion_client() -> AzureError {
    invalid_client(700021, "Client assertion application identifier doesn't match 'client_id' parameter.")
}

pub(super) fn assertion_time(now: Timestamp, not_before: Option<i64>, expires: i64) -> AzureError {
    let moment = |seconds: i64| Timestamp::from_unix_seconds(seconds).iso();
    let message = format!(
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {}, expiry \
         time of assertion {}. Review the documentation at \
         https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
        moment(not_before.unwrap_or_default()),
        moment(expires)
    );
    invalid_client(700024, message)
}

pub(super) fn certificate_signature(reason: &str, thumbprint: &str, app: &AppId) -> AzureError {
    let message = format!(
        "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - \
         {reason}, Thumbprint of key used by client: '{thumbprint}', Please visit the Azure Portal, Graph Explorer or \
         directly use MS Graph to see configured keys for app Id '{app}'.]"
    );
    invalid_client(700027, message)
}

pub(super) fn federated_signature() -> AzureError {
    let message = "Assertion failed signature validation. [Reason - The key was not found.]";
    invalid_client(50013, message)
}

fn no_matching_record(code: u32, what: &str, value: &str) -> AzureError {
    let message = format!(
        "No matching federated identity record found for presented assertion {what} '{value}'. Check your federated \
         identity credential Subject, Audience and Issuer against the presented assertion. {FEDERATION}"
    );
    invalid_client(code, message)
}

pub(super) fn federated_issuer(issuer: &str) -> AzureError {
    no_matching_record(700211, "issuer", issuer)
}

pub(super) fn federated_audience(audience: &str) -> AzureError {
    no_matching_record(700212, "audience", audience)
}

pub(super) fn federated_subject(subject: &str) -> AzureError {
    no_matching_record(700213, "subject", subject)
}
