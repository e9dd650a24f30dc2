//! Every condition operator, with the key there, absent, and many-valued.

use serde_json::{Value, json};

use super::*;

/// Whether a statement with this condition applies, given these keys.
fn holds(condition: &Value, keys: &[(&str, &[&str])]) -> bool {
    let mut context = ConditionContext::new();
    for (key, values) in keys {
        context.set_many(key, values.iter().map(ToString::to_string).collect());
    }
    let policy = document(&json!({"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "Condition": condition}}));
    let caller = session_of(ACCOUNT);
    let request = Request {
        principal: &caller,
        action: "kms:Decrypt",
        resource: KEY,
        resource_account: ACCOUNT,
        context: &context,
    };
    let policies = Policies { identity: std::slice::from_ref(&policy), ..Policies::default() };
    evaluate_identity(&request, &policies) == Decision::Allow
}

#[test]
fn operators_compare_one_value_as_documented() {
    let rows: &[(&str, Value, &str, bool)] = &[
        ("StringEquals", json!("a"), "a", true),
        ("StringEquals", json!("a"), "A", false),
        ("StringEquals", json!(["b", "a"]), "a", true),
        ("StringEquals", json!("a*"), "ab", false),
        ("StringEquals", json!("a*"), "a*", true),
        ("StringEquals", json!(true), "true", true),
        ("StringEquals", json!(12), "12", true),
        ("StringNotEquals", json!("a"), "a", false),
        ("StringNotEquals", json!("a"), "b", true),
        ("StringNotEquals", json!(["a", "b"]), "b", false),
        ("StringNotEquals", json!(["a", "b"]), "c", true),
        ("StringEqualsIgnoreCase", json!("AbC"), "aBc", true),
        ("StringEqualsIgnoreCase", json!("AbC"), "aBd", false),
        ("StringNotEqualsIgnoreCase", json!("AbC"), "aBc", false),
        ("StringNotEqualsIgnoreCase", json!("AbC"), "x", true),
        ("StringLike", json!("a*c?"), "abbbcd", true),
        ("StringLike", json!("a*c?"), "abbbc", false),
        ("StringLike", json!("*"), "", true),
        ("StringNotLike", json!("a*"), "ab", false),
        ("StringNotLike", json!("a*"), "b", true),
        ("BinaryEquals", json!("QmluYXJ5"), "QmluYXJ5", true),
        ("BinaryEquals", json!("QmluYXJ5"), "qmluYXJ5", false),
        ("ArnEquals", json!("arn:aws:iam::111122223333:role/*"), "arn:aws:iam::111122223333:role/a/b", true),
        ("ArnLike", json!("arn:aws:iam::*:role/Worker"), "arn:aws:iam::111122223333:role/Worker", true),
        ("ArnLike", json!("arn:*:role/Worker"), "arn:aws:iam::111122223333:role/Worker", false),
        ("ArnNotEquals", json!("arn:aws:iam::1*:role/W"), "arn:aws:iam::111122223333:role/W", false),
        ("ArnNotLike", json!("arn:aws:iam::2*:role/W"), "arn:aws:iam::111122223333:role/W", true),
        ("NumericEquals", json!(10), "10.0", true),
        ("NumericEquals", json!("10"), "11", false),
        ("NumericEquals", json!("10"), "ten", false),
        ("NumericNotEquals", json!(10), "11", true),
        ("NumericLessThan", json!(10), "9", true),
        ("NumericLessThan", json!(10), "10", false),
        ("NumericLessThanEquals", json!(10), "10", true),
        ("NumericGreaterThan", json!("10"), "10.5", true),
        ("NumericGreaterThan", json!("10"), "10", false),
        ("NumericGreaterThanEquals", json!("10"), "10", true),
        ("DateEquals", json!("2026-11-01T00:00:00Z"), "2026-11-01T01:00:00+01:00", true),
        ("DateEquals", json!("2026-11-01"), "2026-11-01T00:00:00Z", true),
        ("DateNotEquals", json!("2026-11-01T00:00:00Z"), "2026-11-01T00:00:01Z", true),
        ("DateLessThan", json!("2026-11-01T12:00:00Z"), "2026-11-01T11:59:59.999Z", true),
        ("DateLessThan", json!("2026-11-01T12:00:00Z"), "2026-11-01T12:00:00Z", false),
        ("DateLessThan", json!("1793534400"), "2026-11-01T11:59:59Z", true),
        ("DateLessThan", json!(1_793_534_400), "1793534400", false),
        ("DateLessThanEquals", json!("2026-11-01T12:00:00Z"), "2026-11-01T12:00:00Z", true),
        ("DateGreaterThan", json!("2026-11-01T12:00:00Z"), "2026-11-01T12:00:01Z", true),
        ("DateGreaterThan", json!("2026-11-01T12:00:00Z"), "yesterday", false),
        ("DateGreaterThanEquals", json!("2026-11-01T12:00:00Z"), "2026-11-01T12:00:00Z", true),
        ("Bool", json!("true"), "true", true),
        ("Bool", json!(true), "True", true),
        ("Bool", json!("false"), "true", false),
        ("Bool", json!("false"), "maybe", false),
        ("IpAddress", json!("203.0.113.0/24"), "203.0.113.255", true),
        ("IpAddress", json!("203.0.113.0/24"), "203.0.114.0", false),
        ("IpAddress", json!("203.0.113.7"), "203.0.113.7", true),
        ("IpAddress", json!("0.0.0.0/0"), "8.8.8.8", true),
        ("IpAddress", json!("0.0.0.0/0"), "::1", false),
        ("IpAddress", json!("2001:db8::/32"), "2001:db8:1::1", true),
        ("IpAddress", json!("::/0"), "2001:db8:1::1", true),
        ("NotIpAddress", json!(["10.0.0.0/8", "127.0.0.0/8"]), "127.0.0.1", false),
        ("NotIpAddress", json!("10.0.0.0/8"), "127.0.0.1", true),
        ("Null", json!("false"), "anything", true),
        ("Null", json!(true), "anything", false),
    ];
    for (operator, expected, actual, holds_then) in rows {
        let condition = json!({*operator: {"aws:Key": expected}});
        assert_eq!(holds(&condition, &[("aws:key", &[actual])]), *holds_then, "{condition} with {actual:?}");
    }
}

#[test]
fn an_absent_key_fails_plain_operators_and_satisfies_negated_and_if_exists_ones() {
    let date = "2026-11-01T12:00:00Z";
    for (operator, value, without_key) in [
        ("StringEquals", "a", false),
        ("StringLike", "*", false),
        ("StringEqualsIgnoreCase", "a", false),
        ("ArnLike", "*", false),
        ("Bool", "false", false),
        ("NumericEquals", "1", false),
        ("DateLessThan", date, false),
        ("IpAddress", "0.0.0.0/0", false),
        ("StringNotEquals", "a", true),
        ("StringNotEqualsIgnoreCase", "a", true),
        ("StringNotLike", "a", true),
        ("ArnNotEquals", "arn:aws:iam::1:role/a", true),
        ("ArnNotLike", "arn:aws:iam::1:role/a", true),
        ("NumericNotEquals", "1", true),
        ("DateNotEquals", date, true),
        ("NotIpAddress", "10.0.0.0/8", true),
        ("Null", "true", true),
        ("Null", "false", false),
        ("StringEqualsIfExists", "a", true),
        ("StringNotLikeIfExists", "a", true),
        ("BoolIfExists", "true", true),
        ("DateLessThanIfExists", date, true),
        ("NumericEqualsIfExists", "1", true),
        ("ArnEqualsIfExists", "arn:aws:iam::1:role/a", true),
        ("IpAddressIfExists", "10.0.0.0/8", true),
        ("ForAllValues:StringEquals", "a", true),
        ("ForAllValues:StringNotEquals", "a", true),
        ("ForAnyValue:StringEquals", "a", false),
        ("ForAnyValue:StringNotEquals", "a", false),
        ("ForAnyValue:StringEqualsIfExists", "a", true),
    ] {
        let condition = json!({operator: {"aws:Key": value}});
        assert_eq!(holds(&condition, &[]), without_key, "{condition}");
        assert_eq!(holds(&condition, &[("aws:Key", &[])]), without_key, "{condition} with an empty key");
    }
    assert!(!holds(&json!({"StringEqualsIfExists": {"aws:Key": "a"}}), &[("aws:Key", &["b"])]));
}

#[test]
fn quantifiers_go_over_every_value_of_the_request() {
    for (operator, expected, actual, holds_then) in [
        ("ForAllValues:StringEquals", json!(["a", "b"]), &["a", "b"][..], true),
        ("ForAllValues:StringEquals", json!(["a", "b"]), &["a", "c"], false),
        ("ForAllValues:StringLike", json!("a*"), &["ab", "ac"], true),
        ("ForAllValues:StringNotEquals", json!(["a", "b"]), &["c", "d"], true),
        ("ForAllValues:StringNotEquals", json!(["a", "b"]), &["c", "a"], false),
        ("ForAnyValue:StringEquals", json!(["a", "b"]), &["z", "b"], true),
        ("ForAnyValue:StringEquals", json!(["a", "b"]), &["z"], false),
        ("ForAnyValue:StringNotEquals", json!(["a"]), &["a", "z"], true),
        ("ForAnyValue:StringNotEquals", json!(["a", "z"]), &["a", "z"], false),
        ("StringEquals", json!("b"), &["a", "b"], true),
        ("StringNotEquals", json!("b"), &["a", "b"], false),
    ] {
        let condition = json!({operator: {"kms:EncryptionContextKeys": expected}});
        assert_eq!(
            holds(&condition, &[("kms:EncryptionContextKeys", actual)]),
            holds_then,
            "{condition} {actual:?}"
        );
    }
}

#[test]
fn all_operators_and_keys_of_a_condition_have_to_hold() {
    let condition = json!({
        "StringEquals": {"kms:EncryptionContext:tenant": "acme", "aws:SourceIdentity": "leasehold"},
        "Bool": {"aws:SecureTransport": true},
    });
    let all: [(&str, &[&str]); 3] = [
        ("kms:encryptioncontext:TENANT", &["acme"]),
        ("aws:sourceidentity", &["leasehold"]),
        ("aws:securetransport", &["true"]),
    ];
    assert!(holds(&condition, &all));
    for left_out in 0..all.len() {
        let some: Vec<_> =
            all.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, key)| *key).collect();
        assert!(!holds(&condition, &some), "without {}", all[left_out].0);
    }
}

#[test]
fn conditions_that_onboarding_uses_tell_right_from_wrong() {
    for (condition, key, right, wrong) in [
        (json!({"StringEquals": {"sts:ExternalId": "lh-1"}}), "sts:ExternalId", "lh-1", "LH-1"),
        (
            json!({"StringEquals": {"kms:EncryptionContext:branch": "b1"}}),
            "kms:EncryptionContext:branch",
            "b1",
            "b2",
        ),
        (
            json!({"DateGreaterThan": {"aws:TokenIssueTime": "2026-11-01T00:00:00Z"}}),
            "aws:TokenIssueTime",
            "2026-11-01T00:00:01Z",
            "2026-10-31T23:59:59Z",
        ),
        (
            json!({"StringLike": {"aws:PrincipalTag/team": "storage-*"}}),
            "aws:PrincipalTag/Team",
            "storage-1",
            "web",
        ),
        (
            json!({"StringEquals": {"sts:SourceIdentity": "leasehold"}}),
            "sts:SourceIdentity",
            "leasehold",
            "x",
        ),
    ] {
        assert!(holds(&condition, &[(key, &[right])]), "{condition}");
        assert!(!holds(&condition, &[(key, &[wrong])]), "{condition}");
        assert!(!holds(&condition, &[]), "{condition}");
    }
}

#[test]
fn variables_in_conditions_stand_for_the_callers_own_values() {
    let condition = json!({"StringEquals": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"}});
    let tenant = |own: &'static [&'static str], asked: &'static [&'static str]| {
        holds(&condition, &[("aws:PrincipalTag/tenant", own), ("kms:EncryptionContext:tenant", asked)])
    };
    assert!(tenant(&["acme"], &["acme"]));
    assert!(!tenant(&["acme"], &["globex"]));
    assert!(!tenant(&[], &["${aws:PrincipalTag/tenant}"]));
    let like = json!({"StringLike": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"}});
    let wild: [(&str, &[&str]); 2] =
        [("aws:PrincipalTag/tenant", &["*"]), ("kms:EncryptionContext:tenant", &["acme"])];
    assert!(!holds(&like, &wild), "a tag's value is no wildcard");
    let negated = json!({"StringNotEquals": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant}"}});
    assert!(
        !holds(&negated, &[("kms:EncryptionContext:tenant", &["acme"])]),
        "an open variable matches nothing"
    );
    let default =
        json!({"StringEquals": {"kms:EncryptionContext:tenant": "${aws:PrincipalTag/tenant, 'none'}"}});
    assert!(holds(&default, &[("kms:EncryptionContext:tenant", &["none"])]));
}
