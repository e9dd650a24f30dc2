//! What a tenant is told when they onboard: what to paste, how to take it back, and what it costs.

use std::time::Duration;

use leasehold_tenant::Binding;

use crate::OwnIdentity;

/// What a kit is made for.
#[derive(Debug, Clone, Copy)]
pub struct KitRequest<'a> {
    /// The binding.
    pub binding: &'a Binding,
    /// Who we are: what the tenant's policies must name.
    pub own: &'a OwnIdentity,
    /// The tenant's revocation bound: how long after an edit took effect we may still serve.
    pub revocation_bound: Duration,
    /// How many proofs a month of uninterrupted use takes at that bound, on one replica.
    pub proofs_per_month: u64,
}

/// Something to paste.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KitSection {
    /// What it is and where it goes, for example "trust policy of the role".
    pub title: String,
    /// What the body is written in.
    pub format: KitFormat,
    /// The text itself.
    pub body: String,
}

/// What a [`KitSection`] is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KitFormat {
    /// A policy document.
    Json,
    /// Commands of the cloud's own command line.
    Shell,
    /// Terraform.
    Hcl,
    /// For people.
    Text,
}

impl KitFormat {
    /// As it is called on the wire: `json`, `shell`, `hcl` or `text`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Shell => "shell",
            Self::Hcl => "hcl",
            Self::Text => "text",
        }
    }
}

/// One way for the tenant to revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lever {
    /// What it does, for example "disable the key".
    pub title: String,
    /// The commands that pull it.
    pub revoke: String,
    /// The commands that undo it.
    pub restore: String,
    /// How long the cloud takes to apply the edit, and where the cloud says so; our own bound comes on top.
    pub propagation: String,
    /// What it stops, for example every user of the key.
    pub reach: String,
}

/// What keeping a binding proven costs the tenant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProofCosts {
    /// The calls of one proof.
    pub calls: Vec<CallCost>,
    /// How many proofs a month of uninterrupted use takes.
    pub proofs_per_month: u64,
    /// Events that the proofs of a month leave in the tenant's own audit log.
    pub log_events_per_month: u64,
    /// List price of a month's proofs, in US dollars, storage of the log left out.
    pub usd_per_month: f64,
    /// Where the prices are from, what is free, and what the figure leaves out; one sentence each.
    pub notes: Vec<String>,
}

/// One kind of call that proofs make.
#[derive(Debug, Clone, PartialEq)]
pub struct CallCost {
    /// The operation as the cloud names it.
    pub operation: &'static str,
    /// How many of them one proof makes.
    pub per_proof: u32,
    /// List price of 10,000 of them, in US dollars; 0 if they are free.
    pub usd_per_10_000: f64,
}

/// Everything that a tenant needs to let us in, to put us out again, and to know what it costs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OnboardingKit {
    /// What to paste, in the order in which to paste it.
    pub sections: Vec<KitSection>,
    /// The ways to revoke, the fastest first.
    pub levers: Vec<Lever>,
    /// What the proofs cost.
    pub costs: ProofCosts,
}

impl ProofCosts {
    /// The cost of `proofs_per_month` proofs that consist of these calls, each of which leaves one event.
    #[must_use]
    pub fn of(proofs_per_month: u64, calls: Vec<CallCost>, notes: Vec<String>) -> Self {
        let per_proof: u64 = calls.iter().map(|call| u64::from(call.per_proof)).sum();
        let price: f64 = calls.iter().map(|call| f64::from(call.per_proof) * call.usd_per_10_000).sum();
        // Far below 2^52 proofs a month: the conversion is exact.
        #[expect(clippy::cast_precision_loss, reason = "a count of proofs is exact in 52 bits")]
        let usd_per_month = proofs_per_month as f64 / 10_000.0 * price;
        Self {
            calls,
            proofs_per_month,
            log_events_per_month: proofs_per_month.saturating_mul(per_proof),
            usd_per_month,
            notes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up_over_the_calls_of_a_proof() {
        let calls = vec![
            CallCost { operation: "AssumeRole", per_proof: 2, usd_per_10_000: 0.0 },
            CallCost { operation: "Decrypt", per_proof: 1, usd_per_10_000: 0.03 },
        ];
        let costs = ProofCosts::of(20_000, calls, Vec::new());
        assert_eq!(costs.log_events_per_month, 60_000);
        assert!((costs.usd_per_month - 0.06).abs() < 1e-9, "{}", costs.usd_per_month);
    }
}
