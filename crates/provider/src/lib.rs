//! What a cloud must do for us, and the deadlines, retries and budgets around it.
//!
//! Owns [`KeyProvider`], the trait that each cloud's crate implements; [`ProviderError`], which says whose answer a
//! failure is; and [`Guarded`], the decorator that gives every cloud the same deadlines, retries and per-tenant budgets.
//! Deliberately caches nothing and knows no cloud: sessions and what was unwrapped belong to the lease.
//!
//! Invariants: every call through [`Guarded`] ends within its total deadline; only a cloud's own "no" becomes
//! [`Fault::Denied`] or [`Fault::KeyUnusable`].
//!
//! Reading order: [`KeyProvider`], [`ProviderError`], [`Guarded`], [`Limits`]; then [`Finding`] and [`OnboardingKit`], what people read; then `retry` and `budget`, the two halves
//! of what `guarded` decides.

mod attempt;
mod budget;
mod error;
mod finding;
mod guarded;
mod kit;
mod limits;
mod meter;
mod provider;
mod retry;
mod session;

pub use attempt::at_first_attempt;
pub use error::{Edge, Fault, KeyState, ProviderError, Throttler};
pub use finding::{Cause, Depth, FailedStage, Finding, Stage, Verdict};
pub use guarded::Guarded;
pub use kit::{CallCost, KitFormat, KitRequest, KitSection, Lever, OnboardingKit, ProofCosts};
pub use limits::Limits;
pub use provider::{
    Answer, Ciphertext, Generated, KeyDescription, KeyProvider, OwnIdentity, Warning, WrapContext,
};
pub use session::Session;
