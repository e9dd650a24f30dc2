//! Tells a tenant's denial from a failure of our own identity.
//!
//! The sentinel is a binding of the operator's own. When a first hop is denied, the sentinel is asked *afterwards*; only
//! if it gets an answered denial too is the fault ours. No answer, or a throttle, tells nothing: then a denial is a denial.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_clock::TimeSource;
use leasehold_provider::{Edge, Fault, KeyProvider, ProviderError};
use leasehold_tenant::Binding;
use tokio::sync::watch;

/// Whose fault a denial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    OurFault,
    TenantsWord,
}

/// The operator's own binding, asked on behalf of all tenants of one provider.
#[derive(Clone)]
pub(crate) struct Sentinel(Arc<Inner>);

struct Inner {
    provider: Arc<dyn KeyProvider>,
    clock: Arc<dyn TimeSource>,
    binding: Arc<Binding>,
    wait: Duration,
    asking: Mutex<Asking>,
}

/// At most one question under way and one that begins after it: whoever asks while one is under way must not be given
/// its answer, since it began before their denial arrived.
#[derive(Default)]
struct Asking {
    under_way: bool,
    next: Option<watch::Sender<Option<Verdict>>>,
}

impl Sentinel {
    pub(crate) fn new(
        provider: Arc<dyn KeyProvider>,
        clock: Arc<dyn TimeSource>,
        binding: Arc<Binding>,
        wait: Duration,
    ) -> Self {
        Self(Arc::new(Inner { provider, clock, binding, wait, asking: Mutex::default() }))
    }

    /// The verdict of a question that began after this call. Takes no longer than `sentinel_wait`.
    pub(crate) async fn ask(&self) -> Verdict {
        let mut answer = self.join_next();
        tokio::select! {
            answered = answer.wait_for(Option::is_some) => {
                answered.ok().and_then(|verdict| *verdict).unwrap_or(Verdict::TenantsWord)
            }
            () = self.0.clock.sleep(self.0.wait) => Verdict::TenantsWord,
        }
    }

    fn join_next(&self) -> watch::Receiver<Option<Verdict>> {
        let mut asking = self.0.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = asking.next.get_or_insert_with(|| watch::Sender::new(None)).subscribe();
        if !std::mem::replace(&mut asking.under_way, true) {
            tokio::spawn(self.clone().work());
        }
        answer
    }

    /// Asks until nobody waits for a question that has not begun.
    async fn work(self) {
        loop {
            let waiting = {
                let mut asking = self.0.asking.lock().unwrap_or_else(PoisonError::into_inner);
                match asking.next.take() {
                    Some(waiting) => waiting,
                    None => {
                        asking.under_way = false;
                        return;
                    }
                }
            };
            // In a task of its own: should the provider panic, there is no verdict, and the next question can be asked.
            let sentinel = self.clone();
            let verdict = tokio::spawn(async move { sentinel.question().await }).await;
            waiting.send_replace(Some(verdict.unwrap_or(Verdict::TenantsWord)));
        }
    }

    async fn question(&self) -> Verdict {
        let inner = &self.0;
        let answer = tokio::select! {
            answer = inner.provider.assume(&inner.binding) => answer,
            () = inner.clock.sleep(inner.wait) => return Verdict::TenantsWord,
        };
        match answer {
            Err(error) if is_answered_denial(&error) => {
                tracing::error!(
                    "the sentinel is denied too: our own identity seems broken, denials are masked"
                );
                Verdict::OurFault
            }
            _ => Verdict::TenantsWord,
        }
    }
}

/// Whether the cloud itself said no to us as ourselves: at the first hop, or to our own credentials. Credentials that did
/// not load have no code of the cloud's, and tell nothing.
fn is_answered_denial(error: &ProviderError) -> bool {
    match error.fault() {
        Fault::Denied { edge } => *edge == Edge::Trust { hop: 0 },
        Fault::OwnIdentity => error.code().is_some(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_cloud_answered_to_us_as_ourselves_tells_of_our_own_fault() {
        let error = |fault, code| ProviderError::new(fault, "").with_code(code);
        let denied = |hop| Fault::Denied { edge: Edge::Trust { hop } };
        assert!(is_answered_denial(&error(denied(0), Some("AccessDenied"))));
        assert!(is_answered_denial(&error(Fault::OwnIdentity, Some("InvalidClientTokenId"))));
        for silent in [
            error(denied(1), Some("AccessDenied")),
            error(Fault::Denied { edge: Edge::Key }, Some("AccessDeniedException")),
            error(Fault::OwnIdentity, None),
            error(Fault::Unavailable, Some("InternalFailure")),
        ] {
            assert!(!is_answered_denial(&silent), "{silent}");
        }
    }
}
