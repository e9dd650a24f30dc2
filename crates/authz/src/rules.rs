//! The list of who may do what.

use leasehold_ids::TenantId;

use crate::{Captures, FeedName, Identity, IdentityPattern, Operation, Operations, RuleError, TenantPattern};

/// Most rules of a list: every request reads them all, and 1,024 comparisons of some 10 ns are 10 µs.
pub const MAX_RULES: usize = 1024;

/// Decides what a caller may do.
///
/// To write your own: decide by the three inputs alone, without a look-up and without waiting; refuse what nothing
/// allows; do not let a tenant's existence make a difference.
pub trait Authorizer: Send + Sync + 'static {
    /// Whether `who` may do `what` to `tenant`. Without a tenant the question is whether they may do it to any tenant at
    /// all; what they then see is decided tenant by tenant.
    fn decide(&self, who: &Identity, what: Operation, tenant: Option<&TenantId>) -> Verdict;
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed.
    Allowed {
        /// The rule that allowed it, for the record.
        rule: Box<str>,
    },
    /// Not allowed by anything.
    Refused,
}

impl Verdict {
    /// Whether it was allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

/// One rule: these callers may do these operations to these tenants.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How the rule is called in records; free text.
    pub name: Box<str>,
    /// Which callers.
    pub identity: IdentityPattern,
    /// What they may do.
    pub operations: Operations,
    /// To which tenants.
    pub tenants: Vec<TenantPattern>,
}

impl Rule {
    /// A rule that lets `identity` do everything to every tenant.
    #[must_use]
    pub fn everything(name: &str, identity: IdentityPattern) -> Self {
        Self { name: name.into(), identity, operations: Operations::all(), tenants: vec![TenantPattern::Any] }
    }

    /// The rule of an event feed: it may have these tenants proven now, and do nothing else.
    #[must_use]
    pub fn reprove(feed: FeedName, tenants: Vec<TenantPattern>) -> Self {
        let operations = Operations::only(Operation::ReproveTenant);
        Self {
            name: format!("feed:{feed}").into(),
            identity: IdentityPattern::EventFeed(feed),
            operations,
            tenants,
        }
    }

    /// How it bears on whether `who` may do `what` to `tenant`.
    #[must_use]
    pub fn consider<'a>(
        &'a self,
        who: &'a Identity,
        what: Operation,
        tenant: Option<&TenantId>,
    ) -> Finding<'a> {
        let ways = self.identity.ways(who);
        let Some(first) = ways.first().cloned() else { return Finding::OtherIdentity };
        if !self.operations.contains(what) {
            return Finding::OtherOperation;
        }
        let covers = |way: &Captures<'_>| match tenant {
            Some(tenant) => self.tenants.iter().any(|pattern| pattern.matches(tenant, way)),
            None => !self.tenants.is_empty(),
        };
        ways.into_iter().find(covers).map_or(Finding::OtherTenant(first), Finding::Allows)
    }

    /// Every capture must come from the identity and lead to tenants.
    fn check(&self) -> Result<(), RuleError> {
        let meant = |name: &str| {
            self.tenants.iter().any(|pattern| matches!(pattern, TenantPattern::Captured(n) if **n == *name))
        };
        if let Some(unused) = self.identity.captures().find(|name| !meant(name)) {
            return Err(RuleError::UnusedCapture { rule: self.name.clone(), capture: unused.into() });
        }
        let captured = |name: &str| self.identity.captures().any(|captured| captured == name);
        let unknown = self.tenants.iter().find_map(|pattern| match pattern {
            TenantPattern::Captured(name) if !captured(name) => Some(name.clone()),
            _ => None,
        });
        unknown.map_or(Ok(()), |capture| Err(RuleError::UnknownCapture { rule: self.name.clone(), capture }))
    }
}

/// How one rule bears on a question: that it allows, or the first thing that it is not about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding<'a> {
    /// It allows it; what was captured of the identity.
    Allows(Captures<'a>),
    /// It is about other callers.
    OtherIdentity,
    /// It is about other operations.
    OtherOperation,
    /// It is about other tenants; what was captured of the identity.
    OtherTenant(Captures<'a>),
}

/// Rules that only allow: the first that fits is named in the record, and what none allows is refused.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(try_from = "Vec<Rule>")]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// A list of these rules.
    ///
    /// # Errors
    /// [`RuleError::TooManyRules`] beyond [`MAX_RULES`]; [`RuleError::UnknownCapture`] and [`RuleError::UnusedCapture`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, RuleError> {
        if rules.len() > MAX_RULES {
            return Err(RuleError::TooManyRules);
        }
        rules.iter().try_for_each(Rule::check)?;
        Ok(Self(rules))
    }

    /// These rules and `more` after them.
    ///
    /// # Errors
    /// As [`Rules::new`].
    pub fn and(mut self, more: impl IntoIterator<Item = Rule>) -> Result<Self, RuleError> {
        self.0.extend(more);
        Self::new(self.0)
    }

    /// Each rule in turn.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.0.iter()
    }

    /// Each rule in turn, and how it bears on whether `who` may do `what` to `tenant`. The first that allows it decides; none
    /// can forbid.
    pub fn explain<'a>(
        &'a self,
        who: &'a Identity,
        what: Operation,
        tenant: Option<&TenantId>,
    ) -> impl Iterator<Item = (&'a Rule, Finding<'a>)> {
        self.0.iter().map(move |rule| (rule, rule.consider(who, what, tenant)))
    }
}

impl TryFrom<Vec<Rule>> for Rules {
    type Error = RuleError;

    fn try_from(rules: Vec<Rule>) -> Result<Self, RuleError> {
        Self::new(rules)
    }
}

impl Authorizer for Rules {
    fn decide(&self, who: &Identity, what: Operation, tenant: Option<&TenantId>) -> Verdict {
        let mut considered = self.explain(who, what, tenant);
        match considered.find(|(_, finding)| matches!(finding, Finding::Allows(_))) {
            Some((rule, _)) => Verdict::Allowed { rule: rule.name.clone() },
            None => Verdict::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine_of_acme() -> Rules {
        let engine = Rule {
            name: "engine".into(),
            identity: IdentityPattern::UnixUser(7),
            operations: Operations::parse(["keys", "ListTenants"]).unwrap(),
            tenants: vec!["acme".parse().unwrap(), "acme-*".parse().unwrap()],
        };
        Rules::new(vec![engine, Rule::everything("root", IdentityPattern::UnixUser(0))]).unwrap()
    }

    fn decide(rules: &Rules, uid: u32, what: Operation, tenant: Option<&str>) -> Verdict {
        let who = Identity::UnixPeer { uid, gid: 1, pid: None };
        rules.decide(&who, what, tenant.map(|t| t.parse().unwrap()).as_ref())
    }

    #[test]
    fn what_no_rule_allows_is_refused() {
        let rules = engine_of_acme();
        let allowed = |rule: &str| Verdict::Allowed { rule: rule.into() };
        for (uid, what, tenant, verdict) in [
            (7, Operation::UnwrapKey, Some("acme"), allowed("engine")),
            (7, Operation::UnwrapKey, Some("acme-eu"), allowed("engine")),
            (7, Operation::UnwrapKey, Some("other"), Verdict::Refused),
            (7, Operation::SuspendTenant, Some("acme"), Verdict::Refused),
            (8, Operation::UnwrapKey, Some("acme"), Verdict::Refused),
            (0, Operation::SuspendTenant, Some("other"), allowed("root")),
            (7, Operation::ListTenants, None, allowed("engine")),
            (8, Operation::ListTenants, None, Verdict::Refused),
        ] {
            assert_eq!(decide(&rules, uid, what, tenant), verdict, "{uid} {what} {tenant:?}");
        }
    }

    #[test]
    fn p6_an_event_feed_may_have_its_tenants_proven_and_nothing_else() {
        let (feed, other): (FeedName, FeedName) = ("acme-aws".parse().unwrap(), "other".parse().unwrap());
        let rule = Rule::reprove(feed.clone(), vec!["acme".parse().unwrap()]);
        let everybody = [IdentityPattern::Loopback, IdentityPattern::AnyUnixPeer];
        let everything = everybody.into_iter().map(|identity| Rule::everything("all", identity));
        let rules = Rules::new(everything.collect()).unwrap().and([rule]).unwrap();
        for what in Operation::ALL {
            let decide = |feed: &FeedName, tenant: &str| {
                let tenant = tenant.parse().unwrap();
                rules.decide(&Identity::EventFeed(feed.clone()), *what, Some(&tenant)).is_allowed()
            };
            assert_eq!(decide(&feed, "acme"), *what == Operation::ReproveTenant, "{what}");
            assert!(!decide(&feed, "globex") && !decide(&other, "acme"), "{what}");
        }
    }

    fn of_tenants(identity: &str, tenants: &[&str]) -> Result<Rules, RuleError> {
        let rule = Rule {
            name: "compute".into(),
            identity: identity.parse().unwrap(),
            operations: Operations::parse(["keys", "ListTenants"]).unwrap(),
            tenants: tenants.iter().map(|pattern| pattern.parse().unwrap()).collect(),
        };
        Rules::new(vec![rule])
    }

    #[test]
    fn p6_a_capture_reaches_the_tenant_that_it_names_and_no_other() {
        let rules = of_tenants("spiffe://prod/tenant/{t}/compute/*", &["{t}"]).unwrap();
        for (who, tenant, allowed) in [
            ("spiffe://prod/tenant/acme/compute/7", Some("acme"), true),
            ("spiffe://prod/tenant/acme/compute/7", Some("acme-2"), false),
            ("spiffe://prod/tenant/acme/compute/7", Some("globex"), false),
            ("spiffe://prod/tenant/ACME/compute/7", Some("acme"), false),
            ("spiffe://prod/tenant/acme/pageserver/7", Some("acme"), false),
            ("spiffe://prod/tenant/acme/compute/7", None, true),
            ("spiffe://dev/tenant/acme/compute/7", None, false),
        ] {
            let tenant = tenant.map(|tenant| tenant.parse().unwrap());
            let verdict = rules.decide(&who.parse().unwrap(), Operation::UnwrapKey, tenant.as_ref());
            assert_eq!(verdict.is_allowed(), allowed, "{who} {tenant:?}");
        }
        let several = of_tenants("dns:{t}.engines.example", &["{t}"]).unwrap();
        let who = "dns:acme.engines.example,globex.engines.example".parse().unwrap();
        for (tenant, allowed) in [("acme", true), ("globex", true), ("other", false)] {
            let tenant = tenant.parse().unwrap();
            let verdict = several.decide(&who, Operation::UnwrapKey, Some(&tenant));
            assert_eq!(verdict.is_allowed(), allowed, "{tenant}");
        }
    }

    #[test]
    fn a_capture_that_leads_nowhere_or_comes_from_nowhere_is_refused() {
        assert!(matches!(
            of_tenants("spiffe://prod/tenant/{t}/compute/*", &["*"]),
            Err(RuleError::UnusedCapture { capture, .. }) if &*capture == "t"
        ));
        for (identity, tenants) in [("spiffe://prod/{x}", &["{x}", "{t}"][..]), ("loopback", &["{t}"])] {
            assert!(matches!(
                of_tenants(identity, tenants),
                Err(RuleError::UnknownCapture { capture, .. }) if &*capture == "t"
            ));
        }
    }

    #[test]
    fn an_explanation_says_for_each_rule_the_first_thing_that_it_is_not_about() {
        let rules = of_tenants("spiffe://prod/tenant/{t}/*", &["{t}"]).unwrap();
        let rules = rules.and([Rule::everything("local", IdentityPattern::Loopback)]).unwrap();
        let findings = |who: &str, what, tenant: &str| {
            let (who, tenant): (Identity, TenantId) = (who.parse().unwrap(), tenant.parse().unwrap());
            let explained = rules.explain(&who, what, Some(&tenant));
            explained
                .map(|(_, finding)| format!("{finding:?}").split('(').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let acme = "spiffe://prod/tenant/acme/7";
        assert_eq!(findings(acme, Operation::UnwrapKey, "acme"), ["Allows", "OtherIdentity"]);
        assert_eq!(findings(acme, Operation::UnwrapKey, "globex"), ["OtherTenant", "OtherIdentity"]);
        assert_eq!(findings(acme, Operation::SuspendTenant, "globex"), ["OtherOperation", "OtherIdentity"]);
        assert_eq!(findings("loopback", Operation::SuspendTenant, "x"), ["OtherIdentity", "Allows"]);
    }

    #[test]
    fn no_rules_refuse_everything() {
        for what in Operation::ALL {
            assert_eq!(decide(&Rules::default(), 0, *what, Some("acme")), Verdict::Refused);
            assert_eq!(decide(&Rules::default(), 0, *what, None), Verdict::Refused);
        }
    }

    #[test]
    fn a_rule_without_tenants_allows_nothing() {
        let rule = Rule { tenants: vec![], ..Rule::everything("empty", IdentityPattern::UnixUser(0)) };
        let rules = Rules::new(vec![rule]).unwrap();
        assert_eq!(decide(&rules, 0, Operation::ListTenants, None), Verdict::Refused);
    }

    #[test]
    fn rules_are_read_as_they_are_documented() {
        let text = r#"[{"name": "engine", "identity": "unix:uid=7", "operations": ["keys"], "tenants": ["acme-*"]}]"#;
        let rules: Rules = serde_json::from_str(text).unwrap();
        assert!(decide(&rules, 7, Operation::WatchLeases, Some("acme-1")).is_allowed());
        for bad in ["identity", "operations", "tenants", "name"] {
            let broken = text.replace(bad, "unknown");
            assert!(serde_json::from_str::<Rules>(&broken).is_err(), "{bad}");
        }
    }

    #[test]
    fn p9_the_number_of_rules_is_bounded() {
        let rule = Rule::everything("r", IdentityPattern::Loopback);
        assert!(Rules::new(vec![rule.clone(); MAX_RULES]).is_ok());
        assert_eq!(Rules::new(vec![rule; MAX_RULES + 1]), Err(RuleError::TooManyRules));
    }
}
