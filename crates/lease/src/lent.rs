//! Wrapped keys of callers as the second half of a proof.
//!
//! Activation left a canary of one version of a key, and a version that is to wrap gets one of its own. All others are
//! only read, and perhaps cannot be wrapped under any more: Key Vault unwraps with an expired version and does not wrap.
//! What proves such a version to a process that has no canary of it is the very key that a caller wants unwrapped: a fresh
//! assume, and an unwrap of it with that session. Nobody has to have kept anything (promise P5), and the tenant needs to
//! permit no more than unwraps.
//!
//! A caller chose it, and so its failure says less: that it is rejected is its caller's affair, and that the principal may
//! not use the key ends nothing but what it was to prove, because a policy could forbid one encryption context. The
//! other versions are proven at once, each by what its own proof opens. Whoever else waited for that proof begins another,
//! with what they lend themselves.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use leasehold_envelope::{EncryptionContext, Header};
use leasehold_provider::Ciphertext;
use sha2::{Digest, Sha256};

use crate::canary::Canary;

/// What the proof of one version of a key is to open.
#[derive(Debug, Clone)]
pub(crate) enum Exhibit {
    /// This.
    Open(Canary),
    /// A canary that the proof itself wraps, because the version is to wrap, or nothing else is there. If it cannot be
    /// wrapped, what a caller lent: then the version is read only.
    Make { or: Option<Canary> },
}

impl Exhibit {
    /// What of it a caller lent.
    pub(crate) fn lent(&self) -> Option<&Canary> {
        match self {
            Self::Open(kept) if !kept.is_lent() => None,
            Self::Open(lent) | Self::Make { or: Some(lent) } => Some(lent),
            Self::Make { or: None } => None,
        }
    }
}

/// A wrapped key that a caller wants unwrapped, as far as a proof needs it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loan<'a> {
    pub(crate) header: &'a Header,
    pub(crate) ciphertext: &'a Ciphertext,
    pub(crate) context: &'a EncryptionContext,
}

/// Stands for one wrapped key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Loan<'_> {
    pub(crate) fn canary(&self) -> Canary {
        Canary::lent(self.header.digest(), self.ciphertext.clone(), self.context.clone())
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.canary().fingerprint()
    }
}

#[cfg(test)]
impl Fingerprint {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl Canary {
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        // Of a fixed length, and it covers everything but the ciphertext.
        hash.update(self.header().as_bytes());
        hash.update(&self.ciphertext().bytes);
        Fingerprint(hash.finalize().into())
    }
}

/// Most refused loans that are remembered. With more, a proof may be spent on one that was refused before, and nothing else.
const REFUSED: usize = 16;

/// What callers lent to the proofs of one version that none of them begins, as the next one after a denial.
#[derive(Debug, Default)]
pub(crate) struct Lent(Mutex<Loans>);

#[derive(Debug, Default)]
struct Loans {
    newest: Option<Canary>,
    /// Loans that proved nothing, the latest last.
    refused: VecDeque<Fingerprint>,
}

impl Lent {
    /// For the next proof. What was refused before does not take the place of what was not: whoever asks for a wrapped key
    /// that is no good without an end keeps nobody's proof from opening theirs.
    pub(crate) fn offer(&self, loan: Loan<'_>) {
        let canary = loan.canary();
        let mut loans = self.lock();
        if loans.newest.is_none() || !loans.refused.contains(&canary.fingerprint()) {
            loans.newest = Some(canary);
        }
    }

    /// A proof opened `canary` and was refused. It may be opened once more, if nothing else is offered: what was refused may
    /// be a context that a policy forbids for a while.
    pub(crate) fn refused(&self, canary: &Canary) {
        let mut loans = self.lock();
        let fingerprint = canary.fingerprint();
        loans.refused.retain(|other| *other != fingerprint);
        loans.refused.push_back(fingerprint);
        if loans.refused.len() > REFUSED {
            loans.refused.pop_front();
        }
        loans.newest.get_or_insert_with(|| canary.clone());
    }

    pub(crate) fn newest(&self) -> Option<Canary> {
        self.lock().newest.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Loans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
