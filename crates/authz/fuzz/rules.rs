//! Rules, as JSON in the first line, and questions in the others: `IDENTITY OPERATION TENANT`, or without the tenant.

#![no_main]

use leasehold_authz::{Authorizer, Identity, Operation, Rule, Rules, TenantPattern};
use leasehold_ids::TenantId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (first, questions) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(list) = serde_json::from_str::<Vec<Rule>>(first) else { return };
    let Ok(rules) = Rules::new(list.clone()) else { return };
    for line in questions.lines() {
        let Some((who, what, tenant)) = question(line) else { continue };
        assert_eq!(who.to_string().parse().as_ref(), Ok(&who), "what is recorded can be read again");
        decide(&rules, &list, &who, what, tenant.as_ref());
    }
});

fn decide(rules: &Rules, list: &[Rule], who: &Identity, what: Operation, tenant: Option<&TenantId>) {
    let verdict = rules.decide(who, what, tenant);
    assert_eq!(verdict, rules.decide(who, what, tenant), "a decision is a function of its inputs");

    // Rules only add: what is allowed is what one of them allows by itself, and more of them take nothing away.
    let alone = |rule: &Rule| {
        Rules::new(vec![rule.clone()]).is_ok_and(|one| one.decide(who, what, tenant).is_allowed())
    };
    assert_eq!(verdict.is_allowed(), list.iter().any(alone));
    if let Ok(more) = Rules::new(Vec::new()).and_then(|none| none.and(list.iter().rev().cloned())) {
        assert_eq!(more.decide(who, what, tenant).is_allowed(), verdict.is_allowed(), "the order matters");
    }

    // No rule that can be written means an event feed.
    assert!(!(matches!(who, Identity::EventFeed(_)) && verdict.is_allowed()));

    // Promise P6: rules that name tenants, or whoever the caller's own name says, reach no other.
    let Some(tenant) = tenant else { return };
    let name = who.to_string();
    let is_another = |pattern: &TenantPattern| match pattern {
        TenantPattern::Any => false,
        TenantPattern::Exactly(named) => named != tenant,
        TenantPattern::Beginning(prefix) => !tenant.as_str().starts_with(&**prefix),
        TenantPattern::Captured(_) => !name.split(['/', '.', ',', ':']).any(|part| part == tenant.as_str()),
    };
    if list.iter().flat_map(|rule| &rule.tenants).all(is_another) {
        assert!(!verdict.is_allowed(), "{tenant} is nobody's in these rules");
    }
}

fn question(line: &str) -> Option<(Identity, Operation, Option<TenantId>)> {
    let mut words = line.split(' ');
    let (who, what) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((who, what, words.next().map(str::parse).transpose().ok()?))
}
