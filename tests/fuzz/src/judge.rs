//! What must hold of every failure, whatever the cloud answered.

use leasehold_provider::ProviderError;

use crate::script::{Answer, Script};

/// Longest code or request id that is kept of an answer, in bytes.
const MAX_WORD: usize = 256;

/// The words of one cloud.
#[derive(Debug)]
pub struct Words {
    /// That one of which must stand in a refusal for it to be a denial.
    pub no: &'static [&'static str],
    /// That one of which must stand in an answer about the key for it to be one.
    pub unusable: &'static [&'static str],
}

/// Holds `error` to what it may be after these answers: a denial only by the service's own word in an answer of class 4xx,
/// or by the state that the service says that the key is in (promises P2 and P3); short, and on one line, because it is
/// logged, recorded and sent on (promise P9).
///
/// # Panics
/// If it is not.
pub fn failure(script: &Script, error: &ProviderError, words: &Words) {
    let said = |answer: &Answer| match answer.status {
        None => answer.says(words.no) || answer.says(words.unusable),
        Some(400..=499) => answer.says(words.no),
        Some(200..=299) => answer.says(words.unusable),
        Some(_) => false,
    };
    if error.is_denial() {
        assert!(script.answers.iter().any(said), "nobody said no, but: {error}");
    }
    for word in [error.code(), error.request_id()].into_iter().flatten() {
        assert!(word.len() <= MAX_WORD, "{} bytes: {word:.100}", word.len());
        assert!(!word.contains(char::is_control), "{word:?}");
    }
    assert!(!error.detail().contains(char::is_control), "{:?}", error.detail());
}
