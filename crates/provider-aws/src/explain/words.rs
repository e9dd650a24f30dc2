//! Reading what AWS says when it refuses.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>

/// A refusal, as far as AWS told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words<'a> {
    /// The right that is missing, for example `sts:TagSession`.
    pub(super) action: Option<&'a str>,
    /// Which policy refused; AWS keeps to itself what policies of other accounts say.
    pub(super) said: Option<Said>,
}

/// Which policy refused, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// No policy of this kind allows.
    NoAllow(Policy),
    /// One of this kind denies.
    Deny(Policy),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// The caller's own permissions.
    Identity,
    /// Of the role that was to be assumed, or of the key.
    Resource,
    Boundary,
    Session,
    /// The organisation's, over the caller's account.
    ServiceControl,
    /// The organisation's, over the account of what was asked for.
    ResourceControl,
    VpcEndpoint,
}

/// AWS's names of the policies, none of which is part of another.
const NAMES: [(&str, Policy); 8] = [
    ("identity-based policy", Policy::Identity),
    ("role trust policy", Policy::Resource),
    ("resource-based policy", Policy::Resource),
    ("permissions boundary", Policy::Boundary),
    ("session policy", Policy::Session),
    ("service control policy", Policy::ServiceControl),
    ("resource control policy", Policy::ResourceControl),
    ("VPC endpoint policy", Policy::VpcEndpoint),
];

impl<'a> Words<'a> {
    pub(super) fn of(detail: &'a str) -> Self {
        let after = |phrase: &str| detail.split_once(phrase).map(|(_, rest)| rest);
        let action =
            after("not authorized to perform: ").and_then(|rest| rest.split_ascii_whitespace().next());
        let denied = after("with an explicit deny in ").and_then(named).map(Said::Deny);
        let said = denied.or_else(|| after("because no ").and_then(named).map(Said::NoAllow));
        Self { action, said }
    }
}

/// The first policy that `text` names. It may go on with the policy's ARN.
fn named(text: &str) -> Option<Policy> {
    let places = NAMES.iter().filter_map(|(name, policy)| Some((text.find(name)?, *policy)));
    places.min_by_key(|(place, _)| *place).map(|(_, policy)| policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "User: arn:aws:sts::111122223333:assumed-role/a/b is not authorized to perform: sts:AssumeRole on \
                         resource: arn:aws:iam::444455556666:role/c";

    fn said(end: &str) -> Option<Said> {
        let text = format!("{START} {end}");
        let words = Words::of(&text);
        assert_eq!(words.action, Some("sts:AssumeRole"));
        words.said
    }

    #[test]
    fn the_policy_that_refused_is_read_from_what_aws_says() {
        let deny = |what| said(&format!("with an explicit deny in {what}"));
        let none = |what| said(&format!("because no {what} allows the sts:AssumeRole action"));
        assert_eq!(deny("an identity-based policy"), Some(Said::Deny(Policy::Identity)));
        assert_eq!(deny("the role trust policy"), Some(Said::Deny(Policy::Resource)));
        assert_eq!(deny("a resource-based policy"), Some(Said::Deny(Policy::Resource)));
        let with_arn =
            "a service control policy: arn:aws:organizations::1:policy/o-1/service_control_policy/p-1";
        assert_eq!(deny(with_arn), Some(Said::Deny(Policy::ServiceControl)));
        assert_eq!(none("role trust policy"), Some(Said::NoAllow(Policy::Resource)));
        assert_eq!(none("permissions boundary"), Some(Said::NoAllow(Policy::Boundary)));
        assert_eq!(none("session policy"), Some(Said::NoAllow(Policy::Session)));
        assert_eq!(none("resource control policy"), Some(Said::NoAllow(Policy::ResourceControl)));
        assert_eq!(none("VPC endpoint policy"), Some(Said::NoAllow(Policy::VpcEndpoint)));
    }

    #[test]
    fn what_aws_keeps_to_itself_is_not_guessed() {
        assert_eq!(said(""), None);
        let foreign = "because the resource does not exist in this Region, no resource-based policies allow access, or a \
                       resource-based policy explicitly denies access";
        assert_eq!(said(foreign), None);
        assert_eq!(said("because no moon is out"), None);
        assert_eq!(Words::of("Rate exceeded"), Words { action: None, said: None });
    }
}
