//! Whether the process is alive, and whether it should be sent requests.

use leasehold_service::Service;
use tokio_util::sync::CancellationToken;

/// What is known of the process's health.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) service: Service,
    /// Cancelled when the process is told to end.
    pub(crate) ending: CancellationToken,
}

/// One thing that has to be well, and whether it is.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) well: Result<(), &'static str>,
}

impl Health {
    /// Everything that has to be well for requests to be served. Asks nobody, so that it is answered at once.
    pub(super) fn checks(&self) -> [Check; 2] {
        let serving = match self.ending.is_cancelled() {
            true => Err("the process was told to end"),
            false => Ok(()),
        };
        let audit = match self.service.records() {
            true => Ok(()),
            false => Err("decisions cannot be recorded, and what cannot be recorded is refused"),
        };
        [Check { name: "serving", well: serving }, Check { name: "audit", well: audit }]
    }
}
