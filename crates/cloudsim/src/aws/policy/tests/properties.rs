//! What holds for every input.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// JSON with the words of the policy language in it, so that parsing gets past the first check.
fn policy_like() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "Version",
        "2012-10-17",
        "Statement",
        "Effect",
        "Allow",
        "Deny",
        "Action",
        "NotAction",
        "Resource",
        "Principal",
        "NotPrincipal",
        "AWS",
        "Federated",
        "Condition",
        "StringLike",
        "DateLessThan",
        "IpAddress",
        "Null",
        "ForAnyValue:Bool",
        "aws:SourceIp",
        "kms:*",
        "*",
        "${aws:x}",
        "${",
        "arn:aws:kms:::",
        "111122223333",
        "10.0.0.0/8",
        "true",
        "2026-11-01T00:00:00Z",
        "-99999999999999999999",
        "é${é}",
        "",
    ]);
    let leaf = prop_oneof![
        4 => word.clone().prop_map(|word| json!(word)),
        1 => any::<i64>().prop_map(|number| json!(number)),
        1 => ".{0,12}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::hash_map(word.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// A well-formed statement's condition block with arbitrary values.
fn condition_like() -> impl Strategy<Value = Value> {
    let operator = prop::sample::select(vec![
        "StringEquals",
        "StringNotLike",
        "ArnLike",
        "NumericLessThan",
        "DateGreaterThan",
        "Bool",
        "IpAddress",
        "NotIpAddress",
        "ForAllValues:StringLikeIfExists",
        "ForAnyValue:StringNotEquals",
        "Null",
    ]);
    (operator, "\\PC{0,24}|[0-9TZ:+.-]{0,30}|[0-9a-f.:/]{0,40}")
        .prop_map(|(operator, value)| json!({operator: {"aws:Key": value}}))
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = text.parse::<PolicyDocument>();
    }

    #[test]
    fn no_json_makes_the_parser_panic(json in policy_like()) {
        let _ = PolicyDocument::try_from(&json);
        let _ = PolicyDocument::try_from(&json!({"Version": "2012-10-17", "Statement": json}));
    }

    #[test]
    fn what_parses_is_evaluated_without_panic_and_survives_a_round_trip(
        condition in condition_like(), value in "\\PC{0,24}|[0-9TZ:+.-]{0,30}", resource in "\\PC{0,40}"
    ) {
        let json = json!({"Version": "2012-10-17", "Statement":
            {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition}});
        let Ok(policy) = PolicyDocument::try_from(&json) else { return Ok(()) };
        prop_assert_eq!(&policy.to_string().parse::<PolicyDocument>().unwrap(), &policy);
        let mut context = ConditionContext::new();
        context.set("aws:key", value);
        let caller = session_of(ACCOUNT);
        let request = Request {
            principal: &caller, action: "kms:Decrypt", resource: &resource, resource_account: ACCOUNT, context: &context,
        };
        evaluate_identity(&request, &Policies { identity: std::slice::from_ref(&policy), ..Policies::default() });
    }

    #[test]
    fn a_literal_string_matches_itself_and_nothing_longer(text in "[a-z0-9/_.-]{1,30}") {
        let statement = |resource: &str| json!({"Statement":
            {"Effect": "Allow", "Action": "*", "Resource": format!("arn:aws:s3:::{resource}")}});
        let decide = |policy: &Value, resource: &str| {
            let (policy, context, caller) = (document(policy), ConditionContext::new(), session_of(ACCOUNT));
            let resource = format!("arn:aws:s3:::{resource}");
            let request = Request {
                principal: &caller, action: "s3:GetObject", resource: &resource, resource_account: ACCOUNT,
                context: &context,
            };
            let identity = std::slice::from_ref(&policy);
            evaluate_identity(&request, &Policies { identity, ..Policies::default() }) == Decision::Allow
        };
        let (longer, prefix) = (format!("{text}x"), format!("{text}*"));
        prop_assert!(decide(&statement(&text), &text));
        prop_assert!(!decide(&statement(&text), &longer));
        prop_assert!(decide(&statement(&prefix), &longer));
    }
}
