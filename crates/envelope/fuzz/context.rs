//! Encryption contexts: a line of `name=value` for each entry.

#![no_main]

use leasehold_envelope::{EncryptionContext, KekScope};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let pairs: Vec<_> = text.split('\n').map(|line| line.split_once('=').unwrap_or((line, ""))).collect();
    let forward = EncryptionContext::try_from_iter(pairs.iter().copied());
    let backward = EncryptionContext::try_from_iter(pairs.iter().rev().copied());
    assert_eq!(forward.is_ok(), backward.is_ok(), "the order matters");
    let (Ok(context), Ok(backward)) = (forward, backward) else { return };
    assert_eq!((&context, context.commitment()), (&backward, backward.commitment()), "the order matters");

    // Within its bounds, and nothing lost.
    assert!(context.len() == pairs.len() && context.len() <= 8);
    for (name, value) in &pairs {
        assert_eq!(context.get(name), Some(*value));
        for text in [name, value] {
            assert!((1..=256).contains(&text.len()) && !text.contains(char::is_control));
        }
        let lower = name.to_ascii_lowercase();
        assert!(!lower.starts_with("aws:") && !lower.starts_with("leasehold:"));
    }

    let json = serde_json::to_string(&context).expect("a context is a map of texts");
    assert_eq!(serde_json::from_str::<EncryptionContext>(&json).expect("what was written is read"), context);

    // Another context has another commitment, were it the same texts in other places.
    let swapped = EncryptionContext::try_from_iter(pairs.iter().map(|(name, value)| (*value, *name)));
    if let Ok(swapped) = swapped {
        assert_eq!(swapped == context, swapped.commitment() == context.commitment());
    }
    for (name, value) in pairs {
        let scope = KekScope::entry(name).expect("a name of an entry is one of a scope");
        let narrow = scope.narrow(&context).expect("the context has the entry");
        assert_eq!(narrow.iter().collect::<Vec<_>>(), [(name, value)]);
    }
});
