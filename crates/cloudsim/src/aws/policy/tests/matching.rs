//! Actions, resources, wildcards and variables.

use serde_json::{Value, json};

use super::*;

fn allows(version: &str, mut statement: Value, action: &str, resource: &str, keys: &[(&str, &str)]) -> bool {
    statement["Effect"] = json!("Allow");
    let policy = document(&json!({"Version": version, "Statement": statement}));
    let mut context = ConditionContext::new();
    for (key, value) in keys {
        context.set(key, *value);
    }
    let caller = session_of(ACCOUNT);
    let request =
        Request { principal: &caller, action, resource, resource_account: ACCOUNT, context: &context };
    let policies = Policies { identity: std::slice::from_ref(&policy), ..Policies::default() };
    evaluate_identity(&request, &policies) == Decision::Allow
}

#[test]
fn actions_match_without_regard_to_case_and_with_wildcards() {
    for (element, pattern, action, expected) in [
        ("Action", json!("kms:Decrypt"), "kms:Decrypt", true),
        ("Action", json!("KMS:deCRYPT"), "kms:Decrypt", true),
        ("Action", json!("*"), "kms:Decrypt", true),
        ("Action", json!("kms:*"), "kms:Decrypt", true),
        ("Action", json!("kms:GenerateDataKey*"), "kms:GenerateDataKeyWithoutPlaintext", true),
        ("Action", json!("kms:GenerateDataKey"), "kms:GenerateDataKeyWithoutPlaintext", false),
        ("Action", json!("kms:ReEncrypt?o"), "kms:ReEncryptTo", true),
        ("Action", json!("kms:Re*o"), "kms:ReEncryptFrom", false),
        ("Action", json!(["s3:*", "kms:Encrypt"]), "kms:Encrypt", true),
        ("Action", json!(["s3:*", "kms:Encrypt"]), "kms:Decrypt", false),
        ("NotAction", json!("kms:Decrypt"), "kms:Decrypt", false),
        ("NotAction", json!("kms:Decrypt"), "kms:Encrypt", true),
        ("NotAction", json!(["s3:*", "kms:*"]), "kms:Encrypt", false),
    ] {
        let statement = json!({element: pattern, "Resource": "*"});
        assert_eq!(
            allows("2012-10-17", statement.clone(), action, KEY, &[]),
            expected,
            "{statement} {action}"
        );
    }
}

#[test]
fn resources_match_part_by_part() {
    for (element, pattern, expected) in [
        ("Resource", json!("*"), true),
        ("Resource", json!(KEY), true),
        ("Resource", json!(KEY.to_uppercase().replace("ARN:", "arn:")), false),
        ("Resource", json!("arn:aws:kms:*:111122223333:key/*"), true),
        ("Resource", json!("arn:aws:kms:eu-*:1111????3333:key/1234abcd-*"), true),
        ("Resource", json!("arn:aws:kms:*:444455556666:key/*"), false),
        ("Resource", json!("arn:aws:kms:*:111122223333:alias/*"), false),
        ("Resource", json!("arn:aws:kms"), true),
        ("Resource", json!("arn:*"), true),
        ("Resource", json!("arn:*:key/*"), false),
        ("Resource", json!(["arn:aws:s3:::b", KEY]), true),
        ("NotResource", json!(KEY), false),
        ("NotResource", json!("arn:aws:s3:::*"), true),
        ("NotResource", json!(["arn:aws:s3:::*", "arn:aws:kms:*:*:key/*"]), false),
    ] {
        let statement = json!({"Action": "*", element: pattern});
        assert_eq!(allows("2012-10-17", statement.clone(), "kms:Decrypt", KEY, &[]), expected, "{statement}");
    }
}

#[test]
fn variables_are_resolved_since_2012_and_literal_before() {
    let own = json!({"Action": "*", "Resource": "arn:aws:kms:*:${aws:PrincipalAccount}:key/*"});
    let account = [("aws:PrincipalAccount", ACCOUNT)];
    assert!(allows("2012-10-17", own.clone(), "kms:Decrypt", KEY, &account));
    assert!(!allows(
        "2012-10-17",
        own.clone(),
        "kms:Decrypt",
        KEY,
        &[("aws:PrincipalAccount", OTHER_ACCOUNT)]
    ));
    assert!(!allows("2012-10-17", own.clone(), "kms:Decrypt", KEY, &[]), "an open variable matches nothing");
    assert!(!allows("2012-10-17", own.clone(), "kms:Decrypt", KEY, &[("aws:PrincipalAccount", "*")]));
    assert!(!allows("2008-10-17", own, "kms:Decrypt", KEY, &account));
    let unversioned =
        document(&json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "${unclosed"}}));
    assert_eq!(unversioned.as_json()["Version"], Value::Null, "without a version it is text of 2008");
    let all_but_own = json!({"Action": "*", "NotResource": "arn:aws:kms:*:${aws:PrincipalAccount}:key/*"});
    assert!(!allows("2012-10-17", all_but_own, "kms:Decrypt", KEY, &[]), "nor does it widen its opposite");
    for (escape, character) in [("${*}", "*"), ("${?}", "?"), ("${$}", "$")] {
        let statement = json!({"Action": "*", "Resource": format!("arn:aws:s3:::b/{escape}")});
        assert!(allows(
            "2012-10-17",
            statement.clone(),
            "s3:GetObject",
            &format!("arn:aws:s3:::b/{character}"),
            &[]
        ));
        assert!(!allows("2012-10-17", statement, "s3:GetObject", "arn:aws:s3:::b/x", &[]));
    }
}

#[test]
fn many_stars_do_not_take_exponential_time() {
    let pattern = format!("arn:aws:s3:::{}b", "a*".repeat(200));
    let text = format!("arn:aws:s3:::{}", "a".repeat(5_000));
    assert!(!allows("2012-10-17", json!({"Action": "*", "Resource": pattern}), "s3:GetObject", &text, &[]));
}
