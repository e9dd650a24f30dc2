//! How each service words what is wrong with a caller's credentials.

use http::StatusCode;

use crate::aws::call::Service;
use crate::aws::error::AwsError;

pub(super) fn missing(service: Service) -> AwsError {
    match service {
        Service::Kms => AwsError::new("MissingAuthenticationTokenException", "Missing Authentication Token"),
        Service::Sts => AwsError::with_status(
            StatusCode::FORBIDDEN,
            "MissingAuthenticationToken",
            "Request is missing Authentication Token",
        ),
    }
}

pub(super) fn unknown(service: Service) -> AwsError {
    let message = "The security token included in the request is invalid.";
    match service {
        Service::Kms => AwsError::new("UnrecognizedClientException", message),
        Service::Sts => AwsError::with_status(StatusCode::FORBIDDEN, "InvalidClientTokenId", message),
    }
}

pub(super) fn expired(service: Service) -> AwsError {
    let message = "The security token included in the request is expired";
    match service {
        Service::Kms => AwsError::new("ExpiredTokenException", message),
        Service::Sts => AwsError::with_status(StatusCode::FORBIDDEN, "ExpiredToken", message),
    }
}

pub(super) fn mismatch(service: Service, message: String) -> AwsError {
    match service {
        Service::Kms => AwsError::new("InvalidSignatureException", message),
        Service::Sts => AwsError::with_status(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", message),
    }
}

pub(super) fn incomplete(service: Service, message: &str) -> AwsError {
    match service {
        Service::Kms => AwsError::new("IncompleteSignatureException", message),
        Service::Sts => AwsError::new("IncompleteSignature", message),
    }
}

pub(super) fn bad_scope(service: Service, what: &str) -> AwsError {
    mismatch(service, format!("Credential should be scoped to {what}."))
}
