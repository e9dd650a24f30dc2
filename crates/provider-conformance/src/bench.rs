//! What the checks share: a provider, its cloud, and ways of saying what was expected.

use leasehold_envelope::{EncryptionContext, HeaderDigest, KeyVersion, Purpose};
use leasehold_provider::{Ciphertext, Fault, KeyProvider, ProviderError, Session, WrapContext};
use leasehold_secret::{Arena, KeyLength, PlaintextKey};
use leasehold_tenant::Binding;

use crate::fixture::Fixture;

/// Ok, or what was expected and what came instead.
pub(crate) type Outcome = Result<(), String>;

pub(crate) struct Bench<'a> {
    pub(crate) provider: &'a dyn KeyProvider,
    pub(crate) fixture: &'a dyn Fixture,
}

/// A wrap context that owns its parts.
pub(crate) struct Bound {
    pub(crate) purpose: Purpose,
    pub(crate) header: HeaderDigest,
    pub(crate) context: EncryptionContext,
}

impl Bound {
    /// Purpose DEK, some header, and a context with these entries.
    pub(crate) fn of(entries: &[(&str, &str)]) -> Result<Self, String> {
        let context = EncryptionContext::try_from_iter(entries.iter().copied()).map_err(|e| e.to_string())?;
        Ok(Self { purpose: Purpose::Dek, header: HeaderDigest::from_bytes([1; 32]), context })
    }

    /// The context that most checks use.
    pub(crate) fn usual() -> Result<Self, String> {
        Self::of(&[("project", "p"), ("branch", "main")])
    }

    pub(crate) fn get(&self) -> WrapContext<'_> {
        WrapContext { purpose: self.purpose, header: &self.header, context: &self.context }
    }
}

/// A session with what is needed to use it.
pub(crate) struct Open {
    pub(crate) session: Session,
    pub(crate) version: KeyVersion,
}

impl Bench<'_> {
    /// Becomes the principal of `binding` and asks which version of its key wraps.
    pub(crate) async fn open_as(&self, binding: &Binding) -> Result<Open, String> {
        let session = self.provider.assume(binding).await.map_err(|e| format!("assume: {e}"))?.value;
        let described = self.provider.describe(&session).await.map_err(|e| format!("describe: {e}"))?;
        Ok(Open { session, version: described.value.current_version })
    }

    pub(crate) async fn open(&self) -> Result<Open, String> {
        self.open_as(&self.fixture.binding()).await
    }

    pub(crate) fn arena(&self) -> &Arena {
        self.fixture.arena()
    }

    /// A new key of 32 bytes and its ciphertext.
    pub(crate) async fn wrapped(
        &self,
        open: &Open,
        bound: &Bound,
    ) -> Result<(PlaintextKey, Ciphertext), String> {
        let key = PlaintextKey::generate(self.arena(), KeyLength::B32).map_err(|e| e.to_string())?;
        let wrapped = self.provider.wrap(&open.session, &key, &open.version, bound.get()).await;
        let wrapped = wrapped.map_err(|e| format!("wrap: {e}"))?;
        Ok((key, wrapped.value))
    }

    pub(crate) async fn unwrap(
        &self,
        open: &Open,
        wrapped: &Ciphertext,
        bound: &Bound,
    ) -> Result<PlaintextKey, ProviderError> {
        self.provider.unwrap(&open.session, wrapped, bound.get()).await.map(|answer| answer.value)
    }
}

/// That `outcome` is a failure with a fault that `expected` accepts.
pub(crate) fn fails<T>(
    what: impl std::fmt::Display,
    outcome: Result<T, ProviderError>,
    expected: impl Fn(&Fault) -> bool,
) -> Result<ProviderError, String> {
    match outcome {
        Ok(_) => Err(format!("{what}: succeeded")),
        Err(error) if expected(error.fault()) => Ok(error),
        Err(error) => Err(format!("{what}: {:?}, {error}", error.fault())),
    }
}

/// That something that must hold does.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}
