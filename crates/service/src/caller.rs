//! Who asks, and about which request.

use leasehold_authz::Identity;

/// Who sent a request, as the transport found out.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub identity: Identity,
    /// Names the request in the answer, the log and the record. Made by us, or checked to be short and printable.
    pub request_id: Box<str>,
}
