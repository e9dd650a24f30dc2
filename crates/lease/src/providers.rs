//! The providers that leases may use, by kind.

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_ids::ProviderKind;
use leasehold_provider::KeyProvider;
use leasehold_tenant::Binding;

use crate::LeaseError;

/// One provider per kind of cloud, and optionally a sentinel for each.
#[derive(Debug, Clone, Default)]
pub struct Providers {
    by_kind: HashMap<ProviderKind, Arc<dyn KeyProvider>>,
    sentinels: HashMap<ProviderKind, Arc<Binding>>,
}

impl Providers {
    /// These providers; of two of the same kind the later one counts.
    #[must_use]
    pub fn new(providers: impl IntoIterator<Item = Arc<dyn KeyProvider>>) -> Self {
        Self {
            by_kind: providers.into_iter().map(|p| (p.kind().clone(), p)).collect(),
            sentinels: HashMap::new(),
        }
    }

    /// The same with a sentinel: a binding of the operator's own, in whose trust policy nobody but the operator cuts us
    /// off. When becoming it is denied too, a tenant's denial at the first hop is our own identity's fault.
    #[must_use]
    pub fn with_sentinel(mut self, sentinel: Binding) -> Self {
        self.sentinels.insert(sentinel.provider.clone(), Arc::new(sentinel));
        self
    }

    /// The provider of this kind.
    ///
    /// # Errors
    /// [`LeaseError::UnknownProvider`].
    pub fn get(&self, kind: &ProviderKind) -> Result<&Arc<dyn KeyProvider>, LeaseError> {
        self.by_kind.get(kind).ok_or_else(|| LeaseError::UnknownProvider(kind.clone()))
    }

    /// The kinds that there are, sorted.
    #[must_use]
    pub fn kinds(&self) -> Vec<&ProviderKind> {
        let mut kinds: Vec<_> = self.by_kind.keys().collect();
        kinds.sort();
        kinds
    }

    pub(crate) fn sentinel(&self, kind: &ProviderKind) -> Option<&Arc<Binding>> {
        self.sentinels.get(kind)
    }
}
