//! A cloud that does as it is told.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use leasehold_clock::{ManualClock, TimeSource};
use leasehold_envelope::KeyVersion;
use leasehold_ids::ProviderKind;
use leasehold_provider::{
    Answer, Ciphertext, Edge, Fault, Generated, KeyDescription, KeyProvider, KitFormat, KitRequest,
    KitSection, OnboardingKit, OwnIdentity, ProviderError, Session, WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey};
use leasehold_tenant::Binding;
use tokio::sync::Semaphore;

/// Turns a key into what this cloud calls ciphertext, and back: reversible, and none of the key's bytes.
const MASK: u8 = 0x5a;

/// The code that every denial of this cloud has.
pub(crate) const DENIED_CODE: &str = "AccessDenied";

#[derive(Debug)]
pub(crate) struct FakeCloud {
    kind: ProviderKind,
    arena: Arena2,
    clock: ManualClock,
    state: Mutex<State>,
    /// KMS calls take a permit each; a paused cloud has none.
    gate: Semaphore,
}

/// [`Arena`] has no Debug.
struct Arena2(Arena);

impl std::fmt::Debug for Arena2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arena")
    }
}

#[derive(Debug, Default)]
struct State {
    trust_denied: bool,
    /// Ids of bindings whose principal alone may not be assumed.
    trust_denied_to: BTreeSet<String>,
    /// Ids of bindings for which an assume is never answered.
    silent_to: BTreeSet<String>,
    key_denied: bool,
    open_to_deputies: bool,
    refused_settings: bool,
    calls: Vec<&'static str>,
}

impl FakeCloud {
    pub(crate) fn new(arena: Arena, clock: ManualClock) -> Self {
        let gate = Semaphore::new(1_000_000);
        Self { kind: "test".parse().unwrap(), arena: Arena2(arena), clock, state: Mutex::default(), gate }
    }

    pub(crate) fn deny_trust(&self, denied: bool) {
        self.state().trust_denied = denied;
    }

    pub(crate) fn deny_trust_to(&self, binding: &str) {
        self.state().trust_denied_to.insert(binding.to_owned());
    }

    pub(crate) fn trust_everybody(&self) {
        self.state().trust_denied_to.clear();
    }

    pub(crate) fn be_silent_to(&self, binding: &str) {
        self.state().silent_to.insert(binding.to_owned());
    }

    pub(crate) fn deny_key(&self, denied: bool) {
        self.state().key_denied = denied;
    }

    pub(crate) fn open_to_deputies(&self) {
        self.state().open_to_deputies = true;
    }

    pub(crate) fn refuse_settings(&self) {
        self.state().refused_settings = true;
    }

    /// Makes every later KMS call wait for [`resume`](Self::resume).
    pub(crate) fn pause(&self) {
        self.gate.forget_permits(usize::MAX);
    }

    pub(crate) fn resume(&self) {
        self.gate.add_permits(1_000_000);
    }

    /// How many calls were made; of this name, or of any for an empty one.
    pub(crate) fn calls(&self, name: &str) -> usize {
        self.state().calls.iter().filter(|call| name.is_empty() || **call == name).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn kms(&self, call: &'static str) -> Result<(), ProviderError> {
        self.state().calls.push(call);
        let permit = self.gate.acquire().await.unwrap();
        drop(permit);
        if self.state().key_denied { Err(denied(Edge::Key)) } else { Ok(()) }
    }

    fn encrypt(&self, key: &PlaintextKey, context: WrapContext<'_>) -> Ciphertext {
        let mut bytes = bound(context);
        bytes.extend(key.expose().iter().map(|b| b ^ MASK));
        Ciphertext { bytes: Bytes::from(bytes), key_version: KeyVersion::none() }
    }
}

fn denied(edge: Edge) -> ProviderError {
    ProviderError::new(Fault::Denied { edge }, "not authorized")
        .with_code(Some(DENIED_CODE))
        .with_request_id(Some("cloud-request-1"))
}

fn bound(context: WrapContext<'_>) -> Vec<u8> {
    let mut bytes = vec![context.purpose.as_str().as_bytes()[0]];
    bytes.extend(context.header.as_bytes());
    bytes.extend(context.context.commitment().as_bytes());
    bytes
}

fn answer<T>(value: T) -> Answer<T> {
    Answer { value, request_id: Some("cloud-request-1".into()) }
}

#[async_trait]
impl KeyProvider for FakeCloud {
    fn kind(&self) -> &ProviderKind {
        &self.kind
    }

    fn check(&self, _: &Binding) -> Result<(), ProviderError> {
        match self.state().refused_settings {
            true => Err(ProviderError::new(Fault::Misconfigured, "must name a role")),
            false => Ok(()),
        }
    }

    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError> {
        self.state().calls.push("own_identity");
        Ok(OwnIdentity { principal: "leasehold".into(), account: "1".into() })
    }

    async fn assume(&self, binding: &Binding) -> Result<Answer<Session>, ProviderError> {
        self.state().calls.push("assume");
        let id = binding.name.binding().as_str();
        if self.state().silent_to.contains(id) {
            std::future::pending::<()>().await;
        }
        let denied_to = self.state().trust_denied_to.contains(id);
        match self.state().trust_denied || denied_to {
            true => Err(denied(Edge::Trust { hop: 0 })),
            false => Ok(answer(Session::new(self.clock.wall() + std::time::Duration::from_secs(900), ()))),
        }
    }

    async fn check_deputy(&self, _: &Binding, _: &Session) -> Result<(), ProviderError> {
        self.state().calls.push("check_deputy");
        match self.state().open_to_deputies {
            true => {
                Err(ProviderError::new(Fault::Misconfigured, "the role lets us in without the external id"))
            }
            false => Ok(()),
        }
    }

    async fn generate(
        &self,
        _: &Session,
        length: KeyLength,
        _: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        self.kms("generate").await?;
        let key = PlaintextKey::generate(&self.arena.0, length).unwrap();
        let ciphertext = self.encrypt(&key, context);
        Ok(answer(Generated { key, ciphertext }))
    }

    async fn generate_without_plaintext(
        &self,
        _: &Session,
        length: KeyLength,
        _: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        self.kms("generate_without_plaintext").await?;
        let key = PlaintextKey::generate(&self.arena.0, length).unwrap();
        Ok(answer(self.encrypt(&key, context)))
    }

    async fn wrap(
        &self,
        _: &Session,
        key: &PlaintextKey,
        _: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        self.kms("wrap").await?;
        Ok(answer(self.encrypt(key, context)))
    }

    async fn unwrap(
        &self,
        _: &Session,
        ciphertext: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        let canary = context.purpose == leasehold_envelope::Purpose::Canary;
        self.kms(if canary { "unwrap canary" } else { "unwrap" }).await?;
        let rejected = || ProviderError::new(Fault::Rejected, "made for something else");
        let masked = ciphertext.bytes.strip_prefix(&*bound(context)).ok_or_else(rejected)?;
        let mut bytes: Vec<u8> = masked.iter().map(|b| b ^ MASK).collect();
        PlaintextKey::take(&self.arena.0, &mut bytes).map(answer).map_err(|_| rejected())
    }

    async fn describe(&self, _: &Session) -> Result<Answer<KeyDescription>, ProviderError> {
        self.kms("describe").await?;
        Ok(answer(KeyDescription {
            current_version: KeyVersion::none(),
            rotates: Some(false),
            warnings: vec![leasehold_provider::Warning { reason: "ROTATION_OFF", text: "turn it on".into() }],
        }))
    }

    fn onboarding_kit(&self, request: &KitRequest<'_>) -> Result<OnboardingKit, ProviderError> {
        let body = format!("let {} in with {}", request.own.principal, request.binding.external_id);
        let sections = vec![KitSection { title: "trust policy".into(), format: KitFormat::Text, body }];
        Ok(OnboardingKit { sections, ..OnboardingKit::default() })
    }
}
