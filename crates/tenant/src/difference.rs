//! What is different between a record and the one before it.

use std::fmt;

use leasehold_ids::BindingId;

use crate::{BindingState, Tenant, TenantState};

/// One thing that a change of a record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// There was no record before.
    Created,
    /// Another display name, which is this one.
    DisplayName(String),
    /// Other lease terms.
    Terms,
    /// Other entries of encryption contexts may be recorded.
    LoggableContext,
    /// Suspended, or served again.
    State(TenantState),
    /// Deleted.
    Deleted,
    /// Taken back from deletion.
    Undeleted,
    /// A binding came, in this state.
    NewBinding(BindingId, BindingState),
    /// A binding is in this state now.
    BindingState(BindingId, BindingState),
    /// Something else of a binding is different.
    Binding(BindingId),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("created"),
            Self::DisplayName(name) => write!(f, "display name {name:?}"),
            Self::Terms => f.write_str("lease terms"),
            Self::LoggableContext => f.write_str("loggable context"),
            Self::State(state) => f.write_str(state.as_str()),
            Self::Deleted => f.write_str("deleted"),
            Self::Undeleted => f.write_str("undeleted"),
            Self::NewBinding(id, state) => write!(f, "binding {id} created, {state}"),
            Self::BindingState(id, state) => write!(f, "binding {id} {state}"),
            Self::Binding(id) => write!(f, "binding {id} changed"),
        }
    }
}

impl Tenant {
    /// What is different from the record before this one; from none, if this is the first.
    #[must_use]
    pub fn differences(&self, before: Option<&Self>) -> Vec<Difference> {
        let bindings = self.bindings.iter();
        let Some(before) = before else {
            let new = bindings.map(|(id, binding)| Difference::NewBinding(id.clone(), binding.state));
            return std::iter::once(Difference::Created).chain(new).collect();
        };
        let mut found = Vec::new();
        if self.display_name != before.display_name {
            found.push(Difference::DisplayName(self.display_name.clone()));
        }
        if self.terms != before.terms {
            found.push(Difference::Terms);
        }
        if self.loggable_context != before.loggable_context {
            found.push(Difference::LoggableContext);
        }
        if self.state != before.state {
            found.push(Difference::State(self.state));
        }
        match (before.deleted, self.deleted) {
            (None, Some(_)) => found.push(Difference::Deleted),
            (Some(_), None) => found.push(Difference::Undeleted),
            _ => {}
        }
        found.extend(bindings.filter_map(|(id, binding)| match before.bindings.get(id) {
            None => Some(Difference::NewBinding(id.clone(), binding.state)),
            Some(old) if old == binding => None,
            Some(old) if old.state == binding.state => Some(Difference::Binding(id.clone())),
            Some(_) => Some(Difference::BindingState(id.clone(), binding.state)),
        }));
        found
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::LeaseTerms;
    use crate::succession::tests::acme;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn every_change_of_the_model_is_told() {
        let first = acme();
        let main: BindingId = "main".parse().unwrap();
        assert_eq!(
            first.differences(None),
            [Difference::Created, Difference::NewBinding(main.clone(), BindingState::Pending)]
        );
        let strict = LeaseTerms::with_bound(crate::RevocationBound::STRICT);
        let second = first.clone().updated_to("Other".into(), strict, NOW).unwrap();
        assert_eq!(
            second.differences(Some(&first)),
            [Difference::DisplayName("Other".into()), Difference::Terms]
        );
        let (suspended, deleted) = (second.clone().suspended(NOW), second.clone().deleted(NOW));
        let retired = second.clone().with_retired(&main, NOW).unwrap();
        let loggable_context = crate::LoggableContext::try_from_iter(["branch"]).unwrap();
        let loggable = Tenant { loggable_context, ..second.clone() };
        let deleted = deleted.unwrap();
        for (after, difference) in [
            (suspended.unwrap(), Difference::State(TenantState::Suspended)),
            (loggable, Difference::LoggableContext),
            (deleted.clone(), Difference::Deleted),
            (retired, Difference::BindingState(main, BindingState::Retired)),
        ] {
            assert_eq!(after.differences(Some(&second)), [difference]);
        }
        let back = deleted.clone().undeleted(NOW).unwrap();
        assert_eq!(back.differences(Some(&deleted)), [Difference::Undeleted]);
        assert_eq!(second.clone().resumed(NOW).unwrap().differences(Some(&second)), []);
    }
}
