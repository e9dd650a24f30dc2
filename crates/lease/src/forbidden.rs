//! Encryption contexts that the cloud denied: what was unwrapped under them before is not served again.

use std::collections::HashMap;

use leasehold_envelope::ContextCommitment;

/// Most contexts that are remembered one by one. A lease with more is treated as if all of its contexts were denied,
/// which costs calls to the cloud and nothing else.
const MOST: usize = 1024;

/// Orders the loads and the denials of one lease.
#[derive(Debug, Default)]
pub(crate) struct Forbidden {
    latest: u64,
    floor: u64,
    by_context: HashMap<ContextCommitment, u64>,
}

impl Forbidden {
    /// The place in the order of a load that begins now.
    pub(crate) fn mark(&self) -> u64 {
        self.latest
    }

    /// A request under this context was denied now.
    pub(crate) fn deny(&mut self, context: ContextCommitment) {
        self.latest += 1;
        if self.by_context.len() >= MOST && !self.by_context.contains_key(&context) {
            self.by_context.clear();
            self.floor = self.latest;
        } else {
            self.by_context.insert(context, self.latest);
        }
    }

    /// Whether what a load at `mark` brought under this context may be served.
    pub(crate) fn allows(&self, context: &ContextCommitment, mark: u64) -> bool {
        mark >= self.floor && self.by_context.get(context).is_none_or(|denied| mark >= *denied)
    }
}

#[cfg(test)]
mod tests {
    use leasehold_envelope::EncryptionContext;

    use super::*;

    fn context(n: usize) -> ContextCommitment {
        EncryptionContext::try_from_iter([("n", n.to_string())]).unwrap().commitment()
    }

    #[test]
    fn a_denial_forbids_what_was_loaded_before_it_under_that_context_only() {
        let mut forbidden = Forbidden::default();
        let before = forbidden.mark();
        forbidden.deny(context(1));
        assert!(!forbidden.allows(&context(1), before));
        assert!(forbidden.allows(&context(2), before));
        assert!(forbidden.allows(&context(1), forbidden.mark()), "a later success counts again");
    }

    #[test]
    fn a_flood_of_denied_contexts_is_bounded_and_forgets_none() {
        let mut forbidden = Forbidden::default();
        let before = forbidden.mark();
        for n in 0..=MOST {
            forbidden.deny(context(n));
        }
        assert!(forbidden.by_context.len() <= MOST);
        assert!((0..=MOST).all(|n| !forbidden.allows(&context(n), before)));
    }
}
