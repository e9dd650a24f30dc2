//! From documents to decisions.

use super::context::ConditionContext;
use super::document::PolicyDocument;
use super::principal::Principal;
use super::principals::Closeness;
use super::statement::Effect;

/// What is asked: may this caller do this to that, now?
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The caller.
    pub principal: &'a Principal,
    /// Such as `kms:Decrypt`.
    pub action: &'a str,
    /// The ARN of what is acted on, or `*` for actions that act on nothing in particular.
    pub resource: &'a str,
    /// The account that owns the resource, twelve digits.
    pub resource_account: &'a str,
    /// The condition keys that hold for the request.
    pub context: &'a ConditionContext,
}

/// The documents that apply to a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policies<'a> {
    /// The organisation's policy over the caller's account: if there is one, it has to allow, whatever else does.
    pub service_control: Option<&'a PolicyDocument>,
    /// Attached to the caller's user or role; any of them may allow.
    pub identity: &'a [PolicyDocument],
    /// The caller's permissions boundary: if there is one, it too has to allow.
    pub boundary: Option<&'a PolicyDocument>,
    /// Passed when the session was made: if there are any, one of them has to allow.
    pub session: &'a [PolicyDocument],
    /// The key policy or trust policy of what is acted on.
    pub resource: Option<&'a PolicyDocument>,
}

/// The answer, with the end of AWS's sentence "User … is not authorized to perform: … on resource: … ".
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allow,
    /// No document that would have to allows it.
    ImplicitDeny {
        /// Such as "because no identity-based policy allows the kms:Decrypt action".
        reason: String,
    },
    /// A document forbids it.
    ExplicitDeny {
        /// Such as "with an explicit deny in a resource-based policy".
        reason: String,
    },
}

/// Decides a request to a KMS key.
///
/// Nothing is allowed that the key policy does not allow; a key policy that names only the caller's account leaves the
/// decision to that account's identity policies.
///
/// <https://docs.aws.amazon.com/kms/latest/developerguide/key-policies.html>
pub fn evaluate_kms(req: &Request<'_>, policies: &Policies<'_>) -> Decision {
    if *req.principal == Principal::Anonymous {
        return implicit("resource-based policy", req);
    }
    evaluate_with_resource(req, policies, Kind::Resource)
}

/// Decides whether the caller may become a role, or do with the assume what `req.action` says (`sts:TagSession`, …).
///
/// As KMS: the role's trust policy has to allow it, whatever the caller's own policies say. A web identity has no policies
/// of its own, so the trust policy alone decides.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>
pub fn evaluate_assume_role(req: &Request<'_>, policies: &Policies<'_>) -> Decision {
    evaluate_with_resource(req, policies, Kind::Trust)
}

/// Decides a request to something without a policy of its own; `policies.resource` can only forbid.
pub fn evaluate_identity(req: &Request<'_>, policies: &Policies<'_>) -> Decision {
    if let Some(denied) = explicit_deny(req, policies, Kind::Resource) {
        return denied;
    }
    match missing_allow(req, policies, &[Kind::ServiceControl, Kind::Identity, Kind::Boundary, Kind::Session])
    {
        Some(kind) => implicit(kind.name(), req),
        None => Decision::Allow,
    }
}

/// The kinds of document, for what has to allow and for the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ServiceControl,
    Identity,
    Boundary,
    Session,
    Resource,
    Trust,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::ServiceControl => "service control policy",
            Self::Identity => "identity-based policy",
            Self::Boundary => "permissions boundary",
            Self::Session => "session policy",
            Self::Resource => "resource-based policy",
            Self::Trust => "role trust policy",
        }
    }

    fn article(self) -> &'static str {
        match self {
            Self::Identity => "an",
            Self::Trust => "the",
            _ => "a",
        }
    }
}

/// The logic that key policies and trust policies share.
fn evaluate_with_resource(req: &Request<'_>, policies: &Policies<'_>, resource: Kind) -> Decision {
    if let Some(denied) = explicit_deny(req, policies, resource) {
        return denied;
    }
    // Over everything that happens in an account, even what a resource's policy grants by itself.
    if missing_allow(req, policies, &[Kind::ServiceControl]).is_some() {
        return implicit(Kind::ServiceControl.name(), req);
    }
    let Some(closeness) = granted_by_resource(req, policies) else {
        return implicit(resource.name(), req);
    };
    match missing_allow(req, policies, others_needed(req, closeness)) {
        Some(kind) => implicit(kind.name(), req),
        None => Decision::Allow,
    }
}

/// What has to allow besides the resource policy, by how closely that names the caller.
///
/// Within one account: a grant to the session, or to everyone, stands alone, whatever boundary and session policy leave
/// out; so does one to a user. A grant to the role stands for an identity policy, and is limited by the boundary and session
/// policy as one. A grant to the account stands for nothing. Across accounts both sides have to allow.
///
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics-single-account.html>
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html>
fn others_needed(req: &Request<'_>, closeness: Closeness) -> &'static [Kind] {
    let without_policies = matches!(req.principal, Principal::WebIdentity { .. } | Principal::Anonymous);
    let same_account = req.principal.account() == Some(req.resource_account);
    match closeness {
        _ if without_policies => &[],
        Closeness::Itself if same_account => &[],
        Closeness::Role if same_account => &[Kind::Boundary, Kind::Session],
        _ => &[Kind::Identity, Kind::Boundary, Kind::Session],
    }
}

/// The first kind among `needed` that would have to allow but does not.
fn missing_allow(req: &Request<'_>, policies: &Policies<'_>, needed: &[Kind]) -> Option<Kind> {
    needed.iter().copied().find(|kind| match kind {
        Kind::ServiceControl => {
            policies.service_control.is_some_and(|policy| !any_allows(req, std::slice::from_ref(policy)))
        }
        // A root user has no identity policies and may do everything in its account.
        Kind::Identity => {
            !matches!(req.principal, Principal::Root { .. }) && !any_allows(req, policies.identity)
        }
        Kind::Boundary => {
            policies.boundary.is_some_and(|boundary| !any_allows(req, std::slice::from_ref(boundary)))
        }
        Kind::Session => !policies.session.is_empty() && !any_allows(req, policies.session),
        Kind::Resource | Kind::Trust => granted_by_resource(req, policies).is_none(),
    })
}

fn explicit_deny(req: &Request<'_>, policies: &Policies<'_>, resource: Kind) -> Option<Decision> {
    let denies = |documents: &[PolicyDocument]| applies(req, documents, Effect::Deny);
    let bounded = policies.boundary.is_some();
    let kind = if policies.service_control.is_some_and(|policy| denies(std::slice::from_ref(policy))) {
        Kind::ServiceControl
    } else if resource_closeness(req, policies.resource, Effect::Deny, bounded).is_some() {
        resource
    } else if denies(policies.identity) {
        Kind::Identity
    } else if policies.boundary.is_some_and(|boundary| denies(std::slice::from_ref(boundary))) {
        Kind::Boundary
    } else if denies(policies.session) {
        Kind::Session
    } else {
        return None;
    };
    Some(Decision::ExplicitDeny {
        reason: format!("with an explicit deny in {} {}", kind.article(), kind.name()),
    })
}

fn granted_by_resource(req: &Request<'_>, policies: &Policies<'_>) -> Option<Closeness> {
    resource_closeness(req, policies.resource, Effect::Allow, policies.boundary.is_some())
}

/// The closest naming of the caller among the statements of this effect that apply.
fn resource_closeness(
    req: &Request<'_>,
    resource: Option<&PolicyDocument>,
    effect: Effect,
    bounded: bool,
) -> Option<Closeness> {
    let statements = resource?.statements().iter().filter(|statement| statement.effect() == effect);
    statements.filter_map(|statement| statement.applies_to(req, bounded)).max()
}

fn any_allows(req: &Request<'_>, documents: &[PolicyDocument]) -> bool {
    applies(req, documents, Effect::Allow)
}

fn applies(req: &Request<'_>, documents: &[PolicyDocument], effect: Effect) -> bool {
    let statements = documents.iter().flat_map(PolicyDocument::statements);
    statements.filter(|statement| statement.effect() == effect).any(|statement| statement.applies(req))
}

fn implicit(kind: &str, req: &Request<'_>) -> Decision {
    Decision::ImplicitDeny { reason: format!("because no {kind} allows the {} action", req.action) }
}
