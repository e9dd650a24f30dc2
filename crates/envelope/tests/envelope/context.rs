//! The encryption context's rules, and its commitment.

use std::collections::{BTreeMap, HashSet};

use leasehold_envelope::{ContextError, EncryptionContext, KekScope};
use proptest::prelude::*;

use crate::strategies::context;

fn one(name: &str, value: &str) -> Result<EncryptionContext, ContextError> {
    EncryptionContext::try_from_iter([(name, value)])
}

#[test]
fn names_and_values_have_1_to_256_bytes_without_control_characters() {
    // 128 two-byte characters are 256 bytes: bytes are counted.
    for good in ["a", " ", "ä", "a:b", "my-aws:x", "leasehold", &"x".repeat(256), &"é".repeat(128)] {
        assert_eq!(one(good, "v").map(|c| c.len()), Ok(1), "{good}");
        assert_eq!(
            one("n", good).map(|c| c.get("n").map(str::to_owned)),
            Ok(Some(good.to_owned())),
            "{good}"
        );
    }
    for bad in ["", "\0", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(257), &"é".repeat(129)] {
        assert_eq!(one(bad, "v"), Err(ContextError::InvalidName), "{bad:?}");
        assert_eq!(one("n", bad), Err(ContextError::InvalidValue), "{bad:?}");
    }
}

#[test]
fn reserved_names_are_refused_in_any_case() {
    for name in ["aws:x", "AWS:x", "aWs:", "leasehold:header", "Leasehold:purpose", "LEASEHOLD:"] {
        assert_eq!(one(name, "v"), Err(ContextError::Reserved), "{name}");
        assert!(one("n", name).is_ok(), "values are free");
    }
}

#[test]
fn eight_entries_fit_and_nine_do_not() {
    let of = |count: usize| EncryptionContext::try_from_iter((0..count).map(|i| (format!("k{i}"), "v")));
    assert_eq!(of(8).map(|c| c.len()), Ok(8));
    assert_eq!(of(9), Err(ContextError::TooManyEntries));
    assert!(EncryptionContext::empty().is_empty());
}

#[test]
fn a_name_given_twice_is_refused_even_with_the_same_value() {
    assert_eq!(EncryptionContext::try_from_iter([("a", "1"), ("a", "1")]), Err(ContextError::Duplicate));
    let json = r#"{"a":"1","b":"2","a":"3"}"#;
    let error = serde_json::from_str::<EncryptionContext>(json).unwrap_err();
    assert!(error.to_string().starts_with(&ContextError::Duplicate.to_string()), "{error}");
}

#[test]
fn reading_a_context_goes_through_the_same_checks() {
    for json in
        [r#"{"aws:x":"1"}"#, r#"{"":"1"}"#, r#"{"a":""}"#, r#"{"a":1}"#, r#"["a"]"#, r#"{"a":"\u0000"}"#]
    {
        assert!(serde_json::from_str::<EncryptionContext>(json).is_err(), "{json}");
    }
}

#[test]
fn where_one_entry_ends_and_the_next_begins_matters() {
    let all: [&[(&str, &str)]; 6] = [
        &[],
        &[("a", "bc")],
        &[("ab", "c")],
        &[("a", "b"), ("c", "d")],
        &[("a", "bcd")],
        &[("a", "d"), ("c", "b")],
    ];
    let commitments: HashSet<_> = all
        .iter()
        .map(|pairs| EncryptionContext::try_from_iter(pairs.iter().copied()).unwrap().commitment())
        .collect();
    assert_eq!(commitments.len(), all.len());
}

#[test]
fn a_kek_scope_keeps_the_named_entry_alone() {
    let context = EncryptionContext::try_from_iter([("branch", "main"), ("project", "p-1")]).unwrap();
    let branch = KekScope::entry("branch").unwrap();
    assert_eq!(branch.narrow(&context), one("branch", "main").ok());
    assert_eq!(KekScope::binding().narrow(&context), Some(EncryptionContext::empty()));
    assert_eq!(KekScope::entry("timeline").unwrap().narrow(&context), None);
    assert_eq!(KekScope::entry("aws:x"), Err(ContextError::Reserved));
    assert_eq!(KekScope::entry(""), Err(ContextError::InvalidName));
    assert_eq!(
        (branch.to_string(), KekScope::binding().to_string()),
        ("\"branch\"".into(), "binding".into())
    );
}

proptest! {
    #[test]
    fn the_order_of_entries_does_not_matter(context in context()) {
        let pairs: Vec<_> = context.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let backwards = EncryptionContext::try_from_iter(pairs.into_iter().rev()).unwrap();
        prop_assert_eq!(backwards.commitment(), context.commitment());
        prop_assert_eq!(backwards, context);
    }

    #[test]
    fn commitments_are_equal_for_equal_contexts_only(a in context(), b in context()) {
        prop_assert_eq!(a == b, a.commitment() == b.commitment());
    }

    #[test]
    fn a_context_survives_json_and_maps(context in context()) {
        let json = serde_json::to_string(&context).unwrap();
        prop_assert_eq!(&serde_json::from_str::<EncryptionContext>(&json).unwrap(), &context);
        let map = BTreeMap::from(context.clone());
        prop_assert!(context.iter().eq(map.iter().map(|(n, v)| (n.as_str(), v.as_str()))), "sorted");
        prop_assert_eq!(EncryptionContext::try_from(map).unwrap(), context);
    }
}
