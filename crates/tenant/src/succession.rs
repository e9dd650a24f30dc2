//! Which record may come after which.

use leasehold_ids::BindingId;

use crate::Tenant;

/// How a record does not follow another. The methods of [`Tenant`] make only records that do; a file that is imported, or a
/// defect, may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Discontinuity {
    /// It is another tenant's.
    #[error("it is another tenant's")]
    OtherTenant,
    /// Its revision is not greater.
    #[error("its revision is {new}, and that of the record before it {old}")]
    Revision {
        /// Of the new record.
        new: u64,
        /// Of the record before it.
        old: u64,
    },
    /// A binding is missing. What was wrapped under it could not be unwrapped any more (promise P5).
    #[error("it lacks the binding {0}, and bindings are never removed")]
    LostBinding(BindingId),
    /// A binding is different, but its version is not greater. A proof made before would count for what came after it.
    #[error("the binding {0} is different, and its version is not greater")]
    BindingVersion(BindingId),
}

impl Tenant {
    /// Whether this record may be kept in place of `before`.
    ///
    /// # Errors
    /// [`Discontinuity`].
    pub fn check_follows(&self, before: &Self) -> Result<(), Discontinuity> {
        if self.id != before.id {
            return Err(Discontinuity::OtherTenant);
        }
        if self.revision <= before.revision {
            return Err(Discontinuity::Revision { new: self.revision, old: before.revision });
        }
        for (id, old) in &before.bindings {
            let new = self.bindings.get(id).ok_or_else(|| Discontinuity::LostBinding(id.clone()))?;
            if new != old && new.version <= old.version {
                return Err(Discontinuity::BindingVersion(id.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::SystemTime;

    use leasehold_envelope::{EncryptionContext, Hierarchy};

    use super::*;
    use crate::{CloudSettings, LeaseTerms, NewBinding};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    pub(crate) fn acme() -> Tenant {
        let new = NewBinding {
            provider: "test".parse().unwrap(),
            key: "key-1".parse().unwrap(),
            settings: CloudSettings::default(),
            canary_context: EncryptionContext::empty(),
            hierarchy: Hierarchy::Direct,
        };
        Tenant::new("acme".parse().unwrap(), "Acme".into(), LeaseTerms::default(), NOW)
            .with_binding("main".parse().unwrap(), new, &"dev".parse().unwrap(), NOW)
            .unwrap()
    }

    #[test]
    fn every_change_of_the_model_makes_a_record_that_follows() {
        let before = acme();
        let main = "main".parse().unwrap();
        for after in [
            before.clone().suspended(NOW),
            before.clone().deleted(NOW),
            before.clone().updated_to("Other".into(), before.terms, NOW),
            before.clone().with_retired(&main, NOW),
            before.clone().with_activated(
                &main,
                before.bindings[&main].version,
                vec![1].try_into().unwrap(),
                NOW,
            ),
        ] {
            assert_eq!(after.unwrap().check_follows(&before), Ok(()));
        }
    }

    #[test]
    fn p5_no_record_follows_that_lost_a_binding() {
        let before = acme();
        let mut after = before.clone().suspended(NOW).unwrap();
        after.bindings.clear();
        assert_eq!(after.check_follows(&before), Err(Discontinuity::LostBinding("main".parse().unwrap())));
    }

    #[test]
    fn p1_no_record_follows_in_which_a_binding_changed_under_its_version() {
        let before = acme();
        let main = "main".parse().unwrap();
        let mut after = before.clone().suspended(NOW).unwrap();
        after.bindings.get_mut(&main).unwrap().key = "key-2".parse().unwrap();
        assert_eq!(after.check_follows(&before), Err(Discontinuity::BindingVersion(main)));
    }

    #[test]
    fn a_record_follows_neither_itself_nor_a_later_one_nor_another_tenants() {
        let (before, mut other) = (acme(), acme().suspended(NOW).unwrap());
        assert_eq!(before.check_follows(&before), Err(Discontinuity::Revision { new: 2, old: 2 }));
        assert_eq!(before.check_follows(&other), Err(Discontinuity::Revision { new: 2, old: 3 }));
        other.id = "other".parse().unwrap();
        assert_eq!(other.check_follows(&before), Err(Discontinuity::OtherTenant));
    }
}
