use super::{Expression, Value, Variables};
use crate::clock::Timestamp;

fn variables() -> Variables {
    let resource = Value::map([("name", Value::from("projects/p/locations/l/keyRings/r/cryptoKeys/k"))]);
    let request = Value::map([("time", Value::Time(Timestamp::from_unix_seconds(1_800_000_000)))]);
    let assertion =
        Value::from(&serde_json::json!({"sub": "repo:a/b", "groups": ["x", "y"], "k8s.io": {"ns": "n"}}));
    Variables::from([
        ("resource".to_owned(), resource),
        ("request".to_owned(), request),
        ("assertion".to_owned(), assertion),
    ])
}

fn parsed(text: &str) -> Result<Expression, crate::SimError> {
    Expression::parse(text, &["resource", "request", "assertion"])
}

#[test]
fn conditions_hold_or_do_not() {
    for (text, holds) in [
        (r#"resource.name == "projects/p/locations/l/keyRings/r/cryptoKeys/k""#, true),
        (r#"resource.name.startsWith("projects/p/") && !resource.name.endsWith('x')"#, true),
        (r#"resource.name.extract("keyRings/{ring}/") == "r""#, true),
        (r#"request.time < timestamp("2027-01-15T08:00:01Z")"#, true),
        (r#"request.time < timestamp("2027-01-15T08:00:00Z")"#, false),
        (r#"request.time < timestamp("2027-01-15T08:00:00Z") + duration("1s")"#, true),
        (r#"assertion.sub in ["repo:a/b", "repo:a/c"]"#, true),
        (r#""x" in assertion.groups && assertion['k8s.io']['ns'] == "n""#, true),
        (r#"assertion.sub == "a" || assertion.sub.contains("a/b")"#, true),
        (r#"has(assertion.email) ? false : true"#, true),
        (r#"("a" + "b").lowerAscii() == "ab""#, true),
        ("1 + 2 == 3", true),
        ("true || false && false", true),
    ] {
        assert_eq!(parsed(text).unwrap().holds(&variables()), holds, "{text}");
    }
}

#[test]
fn what_fails_is_not_true_unless_the_other_side_decides() {
    assert!(!parsed(r#"assertion.email == "x""#).unwrap().holds(&variables()));
    assert!(!parsed(r#"!(assertion.email == "x")"#).unwrap().holds(&variables()));
    assert!(parsed(r#"assertion.email == "x" || true"#).unwrap().holds(&variables()));
    assert!(!parsed(r#"assertion.sub < 3"#).unwrap().holds(&variables()));
}

#[test]
fn what_cannot_be_evaluated_is_refused_when_it_is_read() {
    for text in [
        "",
        "resource.name ==",
        "resource.name.matches('x')",
        "origin.ip == '1'",
        "resource.name == 'x",
        "(true",
        "true true",
        "api.getAttribute('x', [])",
        "resource.name.startsWith()",
        "a;b",
    ] {
        assert!(parsed(text).is_err(), "{text}");
    }
    assert!(parsed(&"(".repeat(10_000)).is_err());
    assert!(parsed(&"!".repeat(10_000)).is_err());
}
