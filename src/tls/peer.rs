//! Who is at the other end of a connection, and for how long that can be believed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_authz::Identity;
use leasehold_clock::TimeSource;
use rustls::pki_types::{CertificateDer, UnixTime};

use super::leaf;
use super::trust::Trust;

/// A wall clock may be set: what is due later is looked at again by then.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Whoever made a connection.
pub(crate) struct Peer {
    identity: Identity,
    /// None for who is what they are for as long as the connection lasts: the other end of a local socket.
    standing: Option<Standing>,
}

/// A certificate that was good enough once.
struct Standing {
    trust: Arc<Trust>,
    /// The caller's own first.
    chain: Vec<CertificateDer<'static>>,
    clock: Arc<dyn TimeSource>,
}

impl Peer {
    /// Somebody on this machine.
    pub(crate) fn local(identity: Identity) -> Self {
        Self { identity, standing: None }
    }

    /// The holder of a certificate.
    ///
    /// # Errors
    /// Why it is not good enough.
    pub(super) fn certified(
        trust: Arc<Trust>,
        chain: Vec<CertificateDer<'static>>,
        clock: Arc<dyn TimeSource>,
    ) -> Result<Self, rustls::Error> {
        let standing = Standing { trust, chain, clock };
        let identity = standing.at(standing.clock.wall())?;
        Ok(Self { identity, standing: Some(standing) })
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Completes when the connection should end, because its certificate expires within `notice` or an authority is trusted
    /// no longer. Gives how long it may go on: until the certificate expires, and for `notice` at most.
    pub(crate) async fn outstays(&self, notice: Duration) -> Duration {
        match &self.standing {
            Some(standing) => standing.ends(notice).await,
            None => std::future::pending().await,
        }
    }

    /// Completes when the connection must not go on.
    pub(crate) async fn is_over(&self, notice: Duration) {
        let left = self.outstays(notice).await;
        if let Some(standing) = &self.standing {
            standing.clock.sleep(left).await;
        }
    }
}

impl Standing {
    fn at(&self, time: SystemTime) -> Result<Identity, rustls::Error> {
        let (leaf, intermediates) = self.chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.trust.identify(leaf, intermediates, UnixTime::since_unix_epoch(since))
    }

    async fn ends(&self, notice: Duration) -> Duration {
        let mut changes = self.trust.changes();
        loop {
            changes.mark_unchanged();
            // Before the wall clock is read: however long the rest takes, the sleep does not begin anew with it.
            let began = self.clock.now();
            let now = self.clock.wall();
            if let Err(error) = self.at(now + notice) {
                tracing::debug!(%error, "a caller's certificate counts no longer");
                let expiries = self.expiries().map(|expiry| expiry.duration_since(now).unwrap_or_default());
                return expiries.chain([notice]).min().unwrap_or(notice);
            }
            // Expired is what was valid a second ago: both ends of the span count.
            let next = self.expiries().map(|expiry| expiry + Duration::from_secs(1));
            let due =
                next.filter_map(|at| at.duration_since(now + notice).ok()).filter(|left| !left.is_zero());
            let due = due.chain([LOOK_AGAIN]).min().unwrap_or(LOOK_AGAIN);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return notice },
                () = self.clock.sleep_until(began + due) => {}
            }
        }
    }

    /// When each certificate expires.
    fn expiries(&self) -> impl Iterator<Item = SystemTime> {
        self.chain.iter().filter_map(leaf::valid_until)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("identity", &self.identity).finish_non_exhaustive()
    }
}
