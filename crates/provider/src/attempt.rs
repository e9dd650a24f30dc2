//! What the attempts of one call have in common.

use std::cell::OnceCell;
use std::future::Future;

tokio::task_local! {
    static FIRST: OnceCell<u64>;
}

/// For a provider that counts something of its own: what `count` was at the first attempt of the call that the present attempt
/// belongs to. What began since then began for this call, although the attempt that waited for it ended at its deadline.
///
/// `count` itself, if this is the first attempt, or there are no others because nobody repeats it. A call has one count.
#[must_use]
pub fn at_first_attempt(count: u64) -> u64 {
    FIRST.try_with(|first| *first.get_or_init(|| count)).unwrap_or(count)
}

/// Makes the attempts within `call` those of one call.
pub(crate) async fn of_one_call<T>(call: impl Future<Output = T>) -> T {
    FIRST.scope(OnceCell::new(), call).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_the_first_attempt_counted_is_told_to_the_later_ones_of_its_call_alone() {
        let counts = |from: u64| async move { [from, from + 1].map(at_first_attempt) };
        assert_eq!(of_one_call(counts(3)).await, [3, 3]);
        assert_eq!(of_one_call(counts(5)).await, [5, 5]);
        assert_eq!(counts(7).await, [7, 8]);
    }
}
