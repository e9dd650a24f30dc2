//! What a step-by-step verification of a binding finds, and what to do about it.

use std::time::Duration;

use leasehold_tenant::Binding;

use crate::{Edge, OwnIdentity, ProviderError};

/// A step that every cloud's verification takes, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Finding out who we are.
    OwnIdentity,
    /// Reading the binding's settings, without asking the cloud.
    Settings,
    /// Becoming the principal, at every hop.
    Assume,
    /// Making sure that nobody else gets in through us.
    Deputy,
    /// Looking at the key's state, usage and versions.
    Describe,
    /// Wrapping a random value.
    Wrap,
    /// Unwrapping it again.
    Unwrap,
    /// Unwrapping it under another encryption context, which must fail.
    ContextBinding,
    /// Unwrapping the canary that activation left, as every proof does.
    Canary,
}

/// What came of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// It works, but the tenant or the operator should know.
    Warning,
    /// It stands in the way.
    Failed,
    /// Not done, because what it builds on failed or because nobody asked for it.
    Skipped,
}

/// One likely cause of a failure or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// UPPER_SNAKE, stable, for example `EXTERNAL_ID_DIFFERS`.
    pub reason: &'static str,
    /// One sentence that says what is wrong, if this is the cause.
    pub text: String,
    /// The exact change that mends it, and who makes it, with the binding's own ids filled in. Shell that can be pasted,
    /// indented or not; what is for people, or is done elsewhere, is comments.
    pub mend: String,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// UPPER_SNAKE, stable, for example `ASSUME`.
    pub check: &'static str,
    /// What was checked, for people, for example "become arn:aws:iam::111122223333:role/leasehold".
    pub title: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was seen, one or two sentences; the cloud's own words where it refused.
    pub detail: String,
    /// The edge that said no, if one did.
    pub edge: Option<Edge>,
    /// The cloud's code.
    pub code: Option<Box<str>>,
    /// The cloud's request id, under which the tenant finds the call in their own audit log.
    pub request_id: Option<Box<str>>,
    /// How long the cloud took, if it was asked.
    pub took: Option<Duration>,
    /// The likely causes, the likeliest first. Empty unless it failed or warns.
    pub causes: Vec<Cause>,
}

impl Finding {
    /// A check that found `verdict`.
    #[must_use]
    pub fn new(
        check: &'static str,
        title: impl Into<String>,
        verdict: Verdict,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            check,
            title: title.into(),
            verdict,
            detail: detail.into(),
            edge: None,
            code: None,
            request_id: None,
            took: None,
            causes: Vec::new(),
        }
    }

    /// A check that failed with `error`, for these reasons.
    #[must_use]
    pub fn failed(
        check: &'static str,
        title: impl Into<String>,
        error: &ProviderError,
        causes: Vec<Cause>,
    ) -> Self {
        let edge = match error.fault() {
            crate::Fault::Denied { edge } => Some(*edge),
            crate::Fault::KeyUnusable(_) => Some(Edge::Key),
            _ => None,
        };
        Self {
            edge,
            code: error.code().map(Into::into),
            request_id: error.request_id().map(Into::into),
            causes,
            ..Self::new(check, title, Verdict::Failed, error.detail())
        }
    }

    /// The same with why.
    #[must_use]
    pub fn because(mut self, cause: Cause) -> Self {
        self.causes.push(cause);
        self
    }
}

/// A step that failed, for a provider to explain.
#[derive(Debug, Clone, Copy)]
pub struct FailedStage<'a> {
    /// Whose.
    pub binding: &'a Binding,
    /// Who we are, if that is known.
    pub own: Option<&'a OwnIdentity>,
    /// Which step.
    pub stage: Stage,
    /// How it failed.
    pub error: &'a ProviderError,
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Whether the binding works.
    #[default]
    Access,
    /// Also whether the principal may do more than it needs. Costs more calls in the tenant's account and leaves refusals in
    /// their audit log. Only dry runs, permission tests and reads: nothing that has an effect.
    ExcessPermissions,
}
