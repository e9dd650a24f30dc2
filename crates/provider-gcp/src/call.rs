//! What marks a call of ours in the tenant's audit log.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};
use leasehold_ids::TenantId;

/// Google gives its answers no request id. It does write this header into the entry of Cloud Audit Logs, as
/// `protoPayload.requestMetadata.requestAttributes.reason`, so an id of ours in it makes a call findable.
const REASON: HeaderName = HeaderName::from_static("x-goog-request-reason");

/// An id of one call. Random, so that it is found once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallId(Box<str>);

impl CallId {
    pub(crate) fn new() -> Self {
        Self(uuid::Uuid::new_v4().to_string().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Headers that say who calls, for whom, under which id.
    pub(crate) fn headers(&self, tenant: Option<&TenantId>) -> HeaderMap {
        let reason = match tenant {
            Some(tenant) => format!("leasehold {tenant} {self}"),
            None => format!("leasehold {self}"),
        };
        let mut headers = HeaderMap::new();
        // Letters, digits and hyphens: always a header's value.
        if let Ok(value) = HeaderValue::from_str(&reason) {
            headers.insert(REASON, value);
        }
        headers
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
