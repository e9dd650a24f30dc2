//! What is a policy document and what is not.

use serde_json::{Value, json};

use super::super::{PolicyError, PolicyKind};
use super::*;

fn with(element: &str, value: Value) -> Value {
    let mut statement = json!({"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*"});
    statement[element] = value;
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

fn without(element: &str) -> Value {
    let mut policy = with("Sid", json!("One"));
    policy["Statement"][0].as_object_mut().unwrap().remove(element);
    policy
}

#[test]
fn well_formed_documents_are_taken_and_given_back_as_written() {
    for json in [
        with("Sid", json!("Allow use of the key")),
        with("Condition", json!({})),
        with("Principal", json!({"Service": ["rds.amazonaws.com"], "AWS": ["111122223333", "*"]})),
        with("Principal", json!({"AWS": "arn:aws-us-gov:iam::111122223333:role/path/to/Name"})),
        with("Principal", json!({"Federated": "accounts.google.com"})),
        json!({"Statement": []}),
        json!({"Id": "key-default-1", "Statement": {"Effect": "Deny", "NotAction": "*", "NotResource": "*"}}),
    ] {
        let document = document(&json);
        assert_eq!(document.as_json(), &json);
        assert_eq!(document.to_string().parse::<PolicyDocument>().unwrap(), document);
    }
}

#[test]
fn malformed_documents_are_refused_with_the_place_of_the_fault() {
    for (json, message) in [
        (json!([]), "policy must be an object"),
        (json!({}), "policy lacks Statement"),
        (json!({"Statement": "x"}), "Statement must be an object or an array"),
        (json!({"Statement": ["x"]}), "Statement[0] must be an object"),
        (json!({"Statement": [], "Comment": "x"}), "Comment has no place here"),
        (json!({"Statement": [], "Id": 1}), "Id must be a string"),
        (
            json!({"Statement": [], "Version": "2012-10-18"}),
            "Version: \"2012-10-18\" is not 2012-10-17 or 2008-10-17",
        ),
        (with("effect", json!("Allow")), "Statement[0].effect has no place here"),
        (with("Effect", json!("allow")), "Statement[0].Effect: \"\\\"allow\\\"\" is not Allow or Deny"),
        (without("Effect"), "Statement[0] lacks Effect"),
        (without("Action"), "Statement[0] lacks Action or NotAction"),
        (with("NotAction", json!("kms:*")), "Statement[0] has both Action and NotAction"),
        (with("NotResource", json!("*")), "Statement[0] has both Resource and NotResource"),
        (with("NotPrincipal", json!("*")), "Statement[0] has both Effect Allow and NotPrincipal"),
        (with("Sid", json!(1)), "Statement[0].Sid must be a string"),
        (with("Action", json!([])), "Statement[0].Action must be a string or an array of strings"),
        (with("Action", json!(["kms:*", 1])), "Statement[0].Action must be a string or an array of strings"),
        (
            with("Action", json!("Decrypt")),
            "Statement[0].Action: \"Decrypt\" is not \"*\" or an action such as \"kms:Decrypt\"",
        ),
        (with("Resource", json!("key/1")), "Statement[0].Resource: \"key/1\" is not \"*\" or an arn"),
        (
            with("Resource", json!("arn:aws:kms:*:${aws:PrincipalAccount")),
            "Statement[0].Resource: \"arn:aws:kms:*:${aws:PrincipalAccount\" is not a string with complete policy variables",
        ),
        (with("Resource", json!("arn:${x}")), "Statement[0].Resource: \"arn:${x}\" is not a policy variable"),
        (
            with("Principal", json!("111122223333")),
            "Statement[0].Principal: \"111122223333\" is not \"*\" or an object",
        ),
        (with("Principal", json!({})), "Statement[0].Principal must be \"*\" or an object of principals"),
        (with("Principal", json!({"Aws": "*"})), "Statement[0].Principal.Aws has no place here"),
        (
            with("Principal", json!({"Federated": "*"})),
            "Statement[0].Principal.Federated: \"*\" is not an identity provider",
        ),
        (with("Condition", json!([])), "Statement[0].Condition must be an object of operators"),
        (
            with("Condition", json!({"StringMatches": {"aws:x": "y"}})),
            "Statement[0].Condition: \"StringMatches\" is not a condition operator",
        ),
        (
            with("Condition", json!({"StringEquals": "x"})),
            "Statement[0].Condition.StringEquals must be an object of condition keys",
        ),
        (
            with("Condition", json!({"StringEquals": {"tenant": "y"}})),
            "Statement[0].Condition.StringEquals: \"tenant\" is not a condition key such as \"aws:SourceIp\"",
        ),
        (
            with("Condition", json!({"DateLessThan": {"aws:CurrentTime": "soon"}})),
            "Statement[0].Condition.DateLessThan.aws:CurrentTime: \"soon\" is not a date",
        ),
        (
            with("Condition", json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/33"}})),
            "Statement[0].Condition.IpAddress.aws:SourceIp: \"10.0.0.0/33\" is not an address or a range of them",
        ),
    ] {
        let error = PolicyDocument::try_from(&json).expect_err(&json.to_string());
        assert_eq!(error.to_string(), message, "{json}");
    }
}

#[test]
fn operators_that_iam_does_not_have_are_refused() {
    for operator in [
        "",
        "stringequals",
        "StringEqual",
        "NotStringEquals",
        "NullIfExists",
        "ForAllValues:Null",
        "ForAnyValues:Bool",
        "ForAnyValue:ForAllValues:Bool",
        "BinaryNotEquals",
        "BoolNot",
        "NumericLike",
        "Date",
        "IfExists",
        "StringEqualsIfExistsIfExists",
    ] {
        let json = with("Condition", json!({operator: {"aws:x": "true"}}));
        assert!(PolicyDocument::try_from(&json).is_err(), "{operator:?}");
    }
}

#[test]
fn principals_with_open_parts_are_refused() {
    for principal in [
        "",
        "11112222333",
        "arn:aws:iam::111122223333:role/*",
        "arn:aws:iam::*:root",
        "arn:aws:iam::111122223333:group/g",
        "arn:aws:iam::111122223333:role/",
        "arn:aws:iam:eu-central-1:111122223333:role/r",
        "arn:aws:s3:::bucket",
        "arn:aws:sts::111122223333:assumed-role/r",
        "arn:aws:sts::111122223333:assumed-role/r/",
        "arn:aws:sts::111122223333:root",
        "urn:aws:iam::111122223333:root",
        "alice",
    ] {
        let json = with("Principal", json!({"AWS": principal}));
        assert!(PolicyDocument::try_from(&json).is_err(), "{principal:?}");
    }
}

#[test]
fn an_element_said_twice_is_refused_rather_than_half_read() {
    let twice = r#"{"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition":
        {"StringEquals": {"aws:a": "1"}, "StringEquals": {"aws:b": "2"}}}}"#;
    let error = twice.parse::<PolicyDocument>().unwrap_err();
    assert!(error.to_string().contains("\"StringEquals\" is there twice"), "{error}");
}

#[test]
fn a_text_longer_than_any_service_takes_is_refused() {
    let long = format!("{{\"Statement\": []{}}}", " ".repeat(32 * 1024));
    assert_eq!(long.parse::<PolicyDocument>(), Err(PolicyError::TooLong { limit: 32 * 1024 }));
    let deep = "[".repeat(20_000);
    assert!(matches!(deep.parse::<PolicyDocument>(), Err(PolicyError::Json(_))));
}

#[test]
fn each_kind_of_policy_has_the_elements_that_its_service_asks_for() {
    let principal = json!({"AWS": "111122223333"});
    let identity = with("Sid", json!("x"));
    let key = with("Principal", principal.clone());
    let mut trust = key.clone();
    trust["Statement"][0].as_object_mut().unwrap().remove("Resource");
    let neither = without("Resource");
    for (json, kinds) in [
        (identity, &[PolicyKind::Identity][..]),
        (key, &[PolicyKind::Key]),
        (trust, &[PolicyKind::Trust]),
        (neither, &[]),
    ] {
        for kind in [PolicyKind::Identity, PolicyKind::Key, PolicyKind::Trust] {
            assert_eq!(document(&json).check(kind).is_ok(), kinds.contains(&kind), "{json} as {kind:?}");
        }
    }
}
