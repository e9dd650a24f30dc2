//! The one table from the codes of Entra ID and Key Vault to whose answer they are.
//!
//! Sources: <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>,
//! <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes>,
//! <https://learn.microsoft.com/rest/api/keyvault/keys/unwrap-key/unwrap-key>.
//!
//! Microsoft warns that AADSTS codes may change and should not be built upon. So only codes that are known to be a no, in an
//! answer of Entra's own form, are taken for one. Whatever else comes, an unknown 4xx included, neither renews a lease, which
//! an unavailability never does, nor ends one early; if it lasts, the lease runs out within its bound, and promise P1 holds.
//!
//! **Networks.** A vault that refuses our address (`ForbiddenByFirewall`) or the public network (`ForbiddenByConnection`)
//! said no to us by a rule of the tenant's own, and closing the network is what many do first in an emergency: both are
//! denials at the key edge. If it was our own address that changed, leases end at once instead of within their bound, and
//! come back by themselves when the rule is mended. A host that cannot be reached or found said nothing: no denial.

use std::time::Duration;

use azure_core::error::{Error, ErrorKind};
use leasehold_provider::{Edge, Fault, KeyState, ProviderError, Throttler};
use serde_json::Value;

use crate::transport::Head;

/// Longest wait that we believe a cloud asks for. Longer ones are as good as this: far beyond any total deadline.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Which call failed. The same code means different things after different questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// The platform's identity, asked of the platform.
    Platform,
    /// A token of our application in our own directory.
    WhoAmI,
    /// A token of our application in the tenant's directory.
    Assume,
    /// Reading what the vault knows about the key.
    Look,
    /// Wrapping or unwrapping.
    Use,
}

/// What an answer that is a refusal says.
#[derive(Debug, Default)]
struct Refusal {
    status: u16,
    /// `AADSTS7000215`, or Key Vault's outermost code.
    code: Option<String>,
    /// Key Vault's innermost code.
    inner: Option<String>,
    message: String,
    request_id: Option<Box<str>>,
    retry_after: Option<Duration>,
}

/// Key Vault's form.
#[derive(serde::Deserialize)]
struct VaultBody {
    error: VaultError,
}

#[derive(serde::Deserialize)]
struct VaultError {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default, rename = "innererror")]
    inner: Option<Box<VaultError>>,
}

/// What is left of an SDK's error once its type is gone. `head` is that of the last answer, if the caller saw one.
pub(crate) fn failure(call: Call, error: &Error, head: Option<&Head>) -> ProviderError {
    if let Some(refusal) = refusal(call, error) {
        let fault = fault(call, &refusal);
        let code = refusal.inner.as_deref().or(refusal.code.as_deref());
        let code = code.filter(|_| refusal.code.is_some());
        return ProviderError::new(fault, detail(&refusal))
            .with_code(code)
            .with_request_id(refusal.request_id.as_deref());
    }
    if let Some(head) = head {
        // The SDK could not read the body and kept nothing of the rest.
        let retry_after = head.retry_after.as_deref().and_then(retry_after);
        let refusal = Refusal { status: head.status, retry_after, ..Refusal::default() };
        return ProviderError::new(fault(call, &refusal), "the cloud's answer could not be read")
            .with_request_id(head.request_id.as_deref());
    }
    let detail = match error.kind() {
        ErrorKind::DataConversion => "the cloud's answer could not be read",
        ErrorKind::Credential => "the vault asks for a token for something else",
        _ => "the cloud could not be reached, or did not answer",
    };
    ProviderError::new(Fault::Unavailable, detail)
}

/// What an answer means. A no has a status of a refusal: with any other it says no more than that status, whatever it says
/// besides (promise P3).
fn fault(call: Call, refusal: &Refusal) -> Fault {
    match said(call, refusal) {
        Fault::Denied { .. } | Fault::KeyUnusable(_) if !(400..500).contains(&refusal.status) => {
            Fault::Unavailable
        }
        fault => fault,
    }
}

/// The table.
fn said(call: Call, refusal: &Refusal) -> Fault {
    let throttled = Fault::Throttled { by: Throttler::Cloud, retry_after: refusal.retry_after };
    match call {
        _ if refusal.status == 429 => throttled,
        _ if refusal.status >= 500 => Fault::Unavailable,
        Call::Platform => platform(refusal.status),
        Call::WhoAmI | Call::Assume => entra(call, refusal.code.as_deref().unwrap_or_default(), throttled),
        Call::Look | Call::Use => vault(call, refusal, throttled),
    }
}

/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling>
fn platform(status: u16) -> Fault {
    match status {
        // No such identity is assigned to where we run, or we do not ask as we should.
        400 | 401 | 403 => Fault::OwnIdentity,
        // Being updated.
        _ => Fault::Unavailable,
    }
}

fn entra(call: Call, code: &str, throttled: Fault) -> Fault {
    match (code, call) {
        // What we showed is no good, whichever directory we showed it to: a wrong or expired secret; an assertion that is
        // unsigned, unknown, early, late, for another audience or another application; a federated credential that does not
        // match the issuer, the audience or the subject of the platform's token.
        (
            "AADSTS7000215" | "AADSTS7000222" | "AADSTS7000216" | "AADSTS7000218" | "AADSTS700027"
            | "AADSTS700024" | "AADSTS700021" | "AADSTS700023" | "AADSTS700025" | "AADSTS700030"
            | "AADSTS50027" | "AADSTS50013" | "AADSTS70021" | "AADSTS700211" | "AADSTS700212"
            | "AADSTS700213" | "AADSTS700222" | "AADSTS700229" | "AADSTS700236",
            _,
        ) => Fault::OwnIdentity,

        // No service principal of ours in that directory, none that is enabled, or none that may have a token for vaults;
        // or a policy of that directory forbids it. Or there is no such directory, or no Key Vault in it: the binding was
        // activated when there was, so somebody deleted them. In our own directory all that is our own affair.
        (
            "AADSTS700016" | "AADSTS700011" | "AADSTS7000112" | "AADSTS7000229" | "AADSTS65001"
            | "AADSTS500014" | "AADSTS501051" | "AADSTS50105" | "AADSTS53003" | "AADSTS530035"
            | "AADSTS50076" | "AADSTS50079" | "AADSTS90002" | "AADSTS900023" | "AADSTS500011",
            call,
        ) => match call {
            Call::Assume => Fault::Denied { edge: Edge::Trust { hop: 0 } },
            _ => Fault::OwnIdentity,
        },

        // The same request too often.
        ("AADSTS50196" | "AADSTS90055", _) => throttled,

        _ => Fault::Unavailable,
    }
}

fn vault(call: Call, refusal: &Refusal, throttled: Fault) -> Fault {
    let inner = refusal.inner.as_deref();
    match (refusal.code.as_deref().unwrap_or_default(), inner) {
        // AKV10032: the token is of another directory than the one that the vault trusts. A new one would be too. The
        // binding was activated when the vault trusted this one, so its owner moved it since.
        ("Unauthorized", _) if refusal.message.contains("AKV10032") => Fault::Denied { edge: Edge::Key },
        ("Unauthorized", _) => Fault::SessionExpired,

        ("Forbidden", Some("KeyDisabled")) => Fault::KeyUnusable(KeyState::Disabled),
        ("Forbidden", Some("KeyNotYetValid")) => Fault::KeyUnusable(KeyState::NotYetValid),
        ("Forbidden", Some("KeyExpired")) => Fault::KeyUnusable(KeyState::Expired),
        // The principal lacks the permission; or nobody has it for lack of the operation among the key's; or the network
        // that we come from is shut out. An answer without an inner code is Managed HSM's.
        (
            "Forbidden",
            Some(
                "ForbiddenByRbac"
                | "ForbiddenByPolicy"
                | "AccessDenied"
                | "ForbiddenByFirewall"
                | "ForbiddenByConnection"
                | "KeyOperationForbidden",
            )
            | None,
        ) => Fault::Denied { edge: Edge::Key },

        ("KeyNotFound", _) => Fault::KeyUnusable(KeyState::NotFound),
        ("Conflict", Some("ObjectIsDeletedButRecoverable" | "ObjectIsBeingDeleted")) => {
            Fault::KeyUnusable(KeyState::PendingDeletion)
        }
        ("Throttled", _) => throttled,
        ("BadParameter", _) if call == Call::Use => Fault::Rejected,
        ("BadParameter", _) => Fault::Misconfigured,

        // InternalServerError, ServiceUnavailable, a key that is being recovered, and every code that we do not know.
        _ => Fault::Unavailable,
    }
}

/// The answer inside of an SDK's error, if there is one.
fn refusal(call: Call, error: &Error) -> Option<Refusal> {
    let outer: Option<&(dyn std::error::Error + 'static)> = Some(error);
    let chain = std::iter::successors(outer, |&error| error.source());
    let (status, raw) =
        chain.filter_map(|error| error.downcast_ref::<Error>()).find_map(|error| match error.kind() {
            ErrorKind::HttpResponse { status, raw_response, .. } => Some((*status, raw_response.as_deref())),
            _ => None,
        })?;
    let Some(raw) = raw else { return Some(Refusal { status: status.into(), ..Refusal::default() }) };
    let head = Head::of(status, raw.headers());
    let mut refusal = Refusal {
        status: head.status,
        request_id: head.request_id,
        retry_after: head.retry_after.as_deref().and_then(retry_after),
        ..Refusal::default()
    };
    match call {
        // What the platform says about its own identity has no codes of interest.
        Call::Platform => {}
        Call::WhoAmI | Call::Assume => read_entra(raw.body(), &mut refusal),
        Call::Look | Call::Use => read_vault(raw.body(), &mut refusal),
    }
    Some(refusal)
}

/// Reads Entra's form of a refusal: <https://www.rfc-editor.org/rfc/rfc6749#section-5.2>, with Microsoft's additions. Whatever
/// of it is in another form than expected is left out.
fn read_entra(body: &[u8], refusal: &mut Refusal) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    let text = |name| body.get(name).and_then(Value::as_str);
    if text("error").is_none() {
        return;
    }
    let codes = body.get("error_codes").and_then(Value::as_array);
    let code = codes.and_then(|codes| codes.iter().find_map(Value::as_u64));
    refusal.code = code.map(|code| format!("AADSTS{code}"));
    refusal.message = text("error_description").unwrap_or_default().to_owned();
    refusal.request_id = text("trace_id").map(Into::into).or_else(|| refusal.request_id.take());
}

fn read_vault(body: &[u8], refusal: &mut Refusal) {
    let Ok(VaultBody { error }) = serde_json::from_slice::<VaultBody>(body) else { return };
    refusal.code = error.code;
    refusal.message = error.message.unwrap_or_default();
    let innermost = std::iter::successors(error.inner.as_deref(), |error| error.inner.as_deref());
    refusal.inner = innermost.filter_map(|error| error.code.clone()).last();
}

/// The cloud's own words: the first line, because Entra repeats its ids and the time in those after it.
fn detail(refusal: &Refusal) -> String {
    let line = refusal.message.lines().next().unwrap_or_default();
    let line = line.split(" Trace ID:").next().unwrap_or_default().trim();
    match (&refusal.code, line) {
        (Some(_), "") => "the cloud gave no reason".to_owned(),
        (None, _) => {
            format!("an answer of HTTP status {} that is not one of the service's own", refusal.status)
        }
        (Some(_), line) => line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
    }
}

/// Seconds; the other form, a date, is not used by either service.
fn retry_after(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
