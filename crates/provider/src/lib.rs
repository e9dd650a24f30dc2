//! What a cloud must do for us, and the deadlines, retries and budgets around it.
//!
//! Owns [`KeyProvider`], the trait that each cloud's crate implements; [`ProviderError`], which says whose answer a
//! failure is; and [`Guarded`], the decorator that gives every cloud the same deadlines, retries and per-tenant budgets.
//! Deliberately caches nothing and knows no cloud: sessions and what was unwrapped belong to the lease.
//!
//! Invariants: every call through [`Guarded`] ends within its total deadline; only a cloud's own "no" becomes
//! [`Fault::Denied`] or [`Fault::KeyUnusable`].
//!
//! Reading order: [`KeyProvider`], [`ProviderError`], [`Guarded`], [`Limits`]; then `retry` and `budget`, the two halves
//! of what `guarded` decides.

mod budget;
mod error;
mod guarded;
mod limits;
mod provider;
mod retry;
mod session;

pub use error::{Edge, Fault, KeyState, ProviderError, Throttler};
pub use guarded::Guarded;
pub use limits::Limits;
pub use provider::{
    Answer, Ciphertext, Generated, KeyDescription, KeyProvider, KitSection, OnboardingKit, OwnIdentity,
    Warning, WrapContext,
};
pub use session::Session;
