//! What must hold, whatever the cloud answered.

use leasehold_provider::ProviderError;

use crate::bench::{Bench, Outcome};
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

/// Has the provider of `bench` asked and answered as `input` says, and holds what it makes of it to what must hold: of a
/// failure, or of a success by `success`. Whether the input said anything.
///
/// # Panics
/// If something does not hold.
pub fn answers(bench: &Bench, input: &[u8], words: &Words, success: impl Fn(&Script, &Outcome)) -> bool {
    let Some(script) = Script::parse(input) else { return false };
    match bench.ask(&script) {
        None => return false,
        Some(Err(error)) => failure(&script, &error, words),
        Some(Ok(outcome)) => success(&script, &outcome),
    }
    true
}

/// Holds `error` to what it may be after these answers: a denial only by the service's own word in an answer of class 4xx,
/// or by the state that the service says that the key is in (promises P2 and P3); short, and on one line, because it is
/// logged, recorded and sent on (promise P9).
fn failure(script: &Script, error: &ProviderError, words: &Words) {
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
