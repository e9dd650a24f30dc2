//! A provider whose every answer is written down beforehand.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use leasehold_clock::{Moment, TimeSource};
use leasehold_envelope::{EncryptionContext, HeaderDigest, Hierarchy, KeyVersion, Purpose};
use leasehold_ids::{BindingName, ProviderKind};
use leasehold_provider::*;
use leasehold_secret::{KeyLength, PlaintextKey};
use leasehold_tenant::{Binding, CloudSettings, ExternalId, NewBinding};

/// What one attempt does.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Answers at once.
    Answer,
    /// Answers after a while.
    AnswerAfter(Duration),
    /// Fails at once.
    Fail(Fault),
    /// Never answers.
    Hang,
}

/// Answers by its script, then with `forever`.
#[derive(Debug)]
pub(crate) struct Scripted {
    clock: Arc<dyn TimeSource>,
    kind: ProviderKind,
    script: Mutex<VecDeque<Step>>,
    forever: Mutex<Step>,
    starts: Mutex<Vec<Moment>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
}

impl Scripted {
    pub(crate) fn new(clock: Arc<dyn TimeSource>, script: Vec<Step>, forever: Step) -> Arc<Self> {
        Arc::new(Self {
            clock,
            kind: "aws".parse().unwrap(),
            script: Mutex::new(script.into()),
            forever: Mutex::new(forever),
            starts: Mutex::default(),
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
        })
    }

    /// Changes what happens once the script is over.
    pub(crate) fn henceforth(&self, step: Step) {
        *self.forever.lock().unwrap() = step;
    }

    /// When each attempt began.
    pub(crate) fn starts(&self) -> Vec<Duration> {
        self.starts.lock().unwrap().iter().map(|m| m.since_start()).collect()
    }

    pub(crate) fn attempts(&self) -> usize {
        self.starts.lock().unwrap().len()
    }

    pub(crate) fn most_under_way(&self) -> usize {
        self.most_under_way.load(Ordering::SeqCst)
    }

    async fn step<T>(&self, value: impl FnOnce() -> T + Send) -> Result<T, ProviderError> {
        self.starts.lock().unwrap().push(self.clock.now());
        let next = self.script.lock().unwrap().pop_front();
        let step = next.unwrap_or_else(|| self.forever.lock().unwrap().clone());
        let _counted = Counted::new(self);
        match step {
            Step::Answer => Ok(value()),
            Step::AnswerAfter(span) => {
                self.clock.sleep(span).await;
                Ok(value())
            }
            Step::Fail(fault) => Err(ProviderError::new(fault, "scripted")),
            Step::Hang => std::future::pending().await,
        }
    }
}

struct Counted<'a>(&'a Scripted);

impl<'a> Counted<'a> {
    fn new(provider: &'a Scripted) -> Self {
        let now = provider.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        provider.most_under_way.fetch_max(now, Ordering::SeqCst);
        Self(provider)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

fn answer<T>(value: T) -> Answer<T> {
    Answer { value, request_id: None }
}

fn nothing() -> Ciphertext {
    Ciphertext { bytes: Bytes::new(), key_version: KeyVersion::none() }
}

/// A binding of `tenant`.
pub(crate) fn binding(tenant: &str) -> Binding {
    let name = BindingName::new(tenant.parse().unwrap(), "main".parse().unwrap());
    let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
    let new = NewBinding {
        provider: "aws".parse().unwrap(),
        key: "key".parse().unwrap(),
        settings: CloudSettings::default(),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    Binding::pending(name, new, external_id, SystemTime::UNIX_EPOCH)
}

/// A request, charged to the session's tenant.
pub(crate) async fn request(provider: &Guarded, session: &Session) -> Result<(), ProviderError> {
    call(provider, session, Purpose::Dek).await
}

/// The key half of a proof.
pub(crate) async fn canary(provider: &Guarded, session: &Session) -> Result<(), ProviderError> {
    call(provider, session, Purpose::Canary).await
}

async fn call(provider: &Guarded, session: &Session, purpose: Purpose) -> Result<(), ProviderError> {
    let header = HeaderDigest::from_bytes([0; 32]);
    let context = WrapContext { purpose, header: &header, context: &EncryptionContext::empty() };
    let version = KeyVersion::none();
    provider.generate_without_plaintext(session, KeyLength::B32, &version, context).await.map(|_| ())
}

#[async_trait]
impl KeyProvider for Scripted {
    fn kind(&self) -> &ProviderKind {
        &self.kind
    }

    fn check(&self, _: &Binding) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError> {
        self.step(|| OwnIdentity { principal: "us".to_owned(), account: "1".to_owned() }).await
    }

    async fn assume(&self, _: &Binding) -> Result<Answer<Session>, ProviderError> {
        self.step(|| answer(Session::new(SystemTime::UNIX_EPOCH, ()))).await
    }

    async fn check_deputy(&self, _: &Binding, _: &Session) -> Result<(), ProviderError> {
        self.step(|| ()).await
    }

    async fn generate(
        &self,
        _: &Session,
        _: KeyLength,
        _: &KeyVersion,
        _: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        Err(ProviderError::new(Fault::Misconfigured, "not scripted"))
    }

    async fn generate_without_plaintext(
        &self,
        _: &Session,
        _: KeyLength,
        _: &KeyVersion,
        _: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        self.step(|| answer(nothing())).await
    }

    async fn wrap(
        &self,
        _: &Session,
        _: &PlaintextKey,
        _: &KeyVersion,
        _: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        self.step(|| answer(nothing())).await
    }

    async fn unwrap(
        &self,
        _: &Session,
        _: &Ciphertext,
        _: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        Err(ProviderError::new(Fault::Misconfigured, "not scripted"))
    }

    async fn describe(&self, _: &Session) -> Result<Answer<KeyDescription>, ProviderError> {
        let describe =
            || KeyDescription { current_version: KeyVersion::none(), rotates: None, warnings: Vec::new() };
        self.step(|| answer(describe())).await
    }

    fn onboarding_kit(&self, _: &KitRequest<'_>) -> Result<OnboardingKit, ProviderError> {
        Ok(OnboardingKit::default())
    }
}
