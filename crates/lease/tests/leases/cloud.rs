//! A cloud in memory: two edges that a test can cut, calls that it can hold, and counts of everything.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use leasehold_clock::{ManualClock, TimeSource};
use leasehold_envelope::{EncryptionContext, KeyVersion, Purpose};
use leasehold_ids::ProviderKind;
use leasehold_provider::{
    Answer, Cause, Ciphertext, Depth, Edge, FailedStage, Fault, Finding, Generated, KeyDescription,
    KeyProvider, KeyState, KitRequest, OnboardingKit, OwnIdentity, ProviderError, Session, Throttler,
    Verdict, Warning, WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey, SecretError};
use leasehold_tenant::Binding;
use tokio::sync::oneshot;

/// How an edge answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Allow,
    Deny,
    Disabled,
    /// Past its expiry: unwraps go on.
    Expired,
    Missing,
    /// By whoever keeps this version for the cloud.
    Withheld,
    Outage,
    Throttle,
    /// For so many seconds, as the cloud says.
    ThrottleFor(u64),
    BlackHole,
    Panic,
}

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Assume,
    Canary,
    Unwrap,
    Wrap,
    Generate,
    Describe,
}

/// A call that a test holds: it has reached the cloud and waits there for the test's word.
pub(crate) struct Held {
    reached: oneshot::Receiver<()>,
    go_on: oneshot::Sender<()>,
}

impl Held {
    /// Waits until the call is there.
    pub(crate) async fn reached(&mut self) {
        (&mut self.reached).await.unwrap();
    }

    /// Lets it go on; the answer is that of the moment at which it *arrived*.
    pub(crate) fn go_on(self) {
        self.go_on.send(()).unwrap();
    }
}

/// The cloud's side of a held call: says that the call is there, and waits to be told to go on.
#[derive(Debug)]
struct Gate {
    here: oneshot::Sender<()>,
    told: oneshot::Receiver<()>,
}

/// What only a verification looks at.
#[derive(Debug, Default)]
pub(crate) struct Odd {
    pub(crate) own_identity: Option<Fault>,
    pub(crate) settings: Option<Fault>,
    pub(crate) deputy: Option<Fault>,
    pub(crate) describe: Option<Fault>,
    /// The principals on the way, and which of them a denied trust edge is.
    pub(crate) hops: Vec<&'static str>,
    pub(crate) denied_hop: usize,
    /// Whether what was wrapped opens under any encryption context.
    pub(crate) loose: bool,
    /// Whether there is something about the key to warn of.
    pub(crate) warns: bool,
    /// Whether the cloud is never done with looking more closely.
    pub(crate) endless: bool,
}

#[derive(Debug)]
struct State {
    trust: Mood,
    key: Mood,
    forbidden: Option<EncryptionContext>,
    /// The version that wraps, and the one that is disabled.
    version: KeyVersion,
    disabled_version: Option<KeyVersion>,
    /// How the versions of the key answer, one by one; without any, every version that is asked for answers as the key does.
    versions: HashMap<KeyVersion, Mood>,
    /// How a version answers that the key does not have.
    missing: Mood,
    describe: Mood,
    /// The version that the cloud says to have wrapped under, whatever it was told to.
    answers_as: Option<KeyVersion>,
    sentinel: Mood,
    session_life: Duration,
    expired_before: u64,
    sessions: u64,
    counts: HashMap<Call, usize>,
    sentinel_calls: usize,
    canary_sessions: Vec<u64>,
    wrapped: HashMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
    gates: HashMap<Call, VecDeque<Gate>>,
    odd: Odd,
}

#[derive(Debug, Clone)]
pub(crate) struct Cloud {
    kind: ProviderKind,
    clock: ManualClock,
    arena: Arena,
    state: Arc<Mutex<State>>,
}

impl Cloud {
    pub(crate) fn new(clock: ManualClock, arena: Arena) -> Self {
        let state = State {
            trust: Mood::Allow,
            key: Mood::Allow,
            forbidden: None,
            version: KeyVersion::none(),
            disabled_version: None,
            versions: HashMap::new(),
            missing: Mood::Missing,
            describe: Mood::Allow,
            answers_as: None,
            sentinel: Mood::Allow,
            session_life: Duration::from_secs(900),
            expired_before: 0,
            sessions: 0,
            counts: HashMap::new(),
            sentinel_calls: 0,
            canary_sessions: Vec::new(),
            wrapped: HashMap::new(),
            gates: HashMap::new(),
            odd: Odd::default(),
        };
        Self { kind: "test".parse().unwrap(), clock, arena, state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn trust(&self, mood: Mood) {
        self.lock().trust = mood;
    }

    pub(crate) fn key(&self, mood: Mood) {
        self.lock().key = mood;
    }

    pub(crate) fn both(&self, mood: Mood) {
        self.trust(mood);
        self.key(mood);
    }

    pub(crate) fn sentinel(&self, mood: Mood) {
        self.lock().sentinel = mood;
    }

    pub(crate) fn forbid(&self, context: Option<EncryptionContext>) {
        self.lock().forbidden = context;
    }

    /// The key has versions, and wraps under this one unless another is named.
    pub(crate) fn version(&self, version: &str) {
        self.lock().version = version.parse().unwrap();
    }

    pub(crate) fn disable_version(&self, version: Option<&str>) {
        self.lock().disabled_version = version.map(|version| version.parse().unwrap());
    }

    /// Changes what only a verification looks at.
    pub(crate) fn odd(&self, change: impl FnOnce(&mut Odd)) {
        change(&mut self.lock().odd);
    }

    fn oddity(&self, which: impl FnOnce(&Odd) -> Option<Fault>) -> Result<(), ProviderError> {
        match which(&self.lock().odd) {
            Some(fault) => Err(ProviderError::new(fault, "as the test said")),
            None => Ok(()),
        }
    }

    /// The key gets one more version, which wraps from now on.
    pub(crate) fn rotate(&self, version: &str) {
        self.version(version);
        self.set_version(version, Mood::Allow);
    }

    /// How one version of the key answers.
    pub(crate) fn set_version(&self, version: &str, mood: Mood) {
        self.lock().versions.insert(version.parse().unwrap(), mood);
    }

    /// How versions answer that the key does not have.
    pub(crate) fn missing(&self, mood: Mood) {
        self.lock().missing = mood;
    }

    pub(crate) fn describe(&self, mood: Mood) {
        self.lock().describe = mood;
    }

    pub(crate) fn answer_as(&self, version: &str) {
        self.lock().answers_as = Some(version.parse().unwrap());
    }

    /// The cloud honours no session that was made before now.
    pub(crate) fn expire_sessions(&self) {
        let mut state = self.lock();
        state.expired_before = state.sessions;
    }

    pub(crate) fn count(&self, call: Call) -> usize {
        self.lock().counts.get(&call).copied().unwrap_or(0)
    }

    pub(crate) fn sentinel_calls(&self) -> usize {
        self.lock().sentinel_calls
    }

    /// The session that each canary was unwrapped with, in order.
    pub(crate) fn canary_sessions(&self) -> Vec<u64> {
        self.lock().canary_sessions.clone()
    }

    /// Holds the next call of this kind.
    pub(crate) fn hold(&self, call: Call) -> Held {
        let ((here, reached), (go_on, told)) = (oneshot::channel(), oneshot::channel());
        self.lock().gates.entry(call).or_default().push_back(Gate { here, told });
        Held { reached, go_on }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A call arrives: it is counted, its answer is fixed, and then it may be held.
    async fn arrive(&self, call: Call, mood: Mood, edge: Edge) -> Result<(), ProviderError> {
        let gate = {
            let mut state = self.lock();
            *state.counts.entry(call).or_default() += 1;
            state.gates.get_mut(&call).and_then(VecDeque::pop_front)
        };
        if let Some(Gate { here, told }) = gate {
            here.send(()).unwrap();
            told.await.unwrap();
        }
        answer(mood, edge).await
    }

    /// A call with a session arrives at the key.
    async fn use_key(
        &self,
        call: Call,
        session: &Session,
        version: &KeyVersion,
        context: &WrapContext<'_>,
    ) -> Result<(), ProviderError> {
        let (mood, number) = {
            let state = self.lock();
            let number = *session.credentials::<u64>().unwrap();
            let mood = match state.versions.get(version) {
                _ if state.forbidden.as_ref() == Some(context.context) => Mood::Deny,
                _ if state.disabled_version.as_ref() == Some(version) => Mood::Disabled,
                _ if state.key != Mood::Allow || state.versions.is_empty() => state.key,
                Some(mood) => *mood,
                None => state.missing,
            };
            (mood, number)
        };
        let reads = matches!(call, Call::Canary | Call::Unwrap);
        let mood = if mood == Mood::Expired && reads { Mood::Allow } else { mood };
        if call == Call::Canary {
            self.lock().canary_sessions.push(number);
        }
        if number <= self.lock().expired_before {
            *self.lock().counts.entry(call).or_default() += 1;
            return Err(ProviderError::new(Fault::SessionExpired, "expired"));
        }
        self.arrive(call, mood, Edge::Key).await
    }

    fn keep(
        &self,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: &WrapContext<'_>,
    ) -> Answer<Ciphertext> {
        let mut state = self.lock();
        let bytes = format!("ciphertext-{}", state.wrapped.len()).into_bytes();
        state.wrapped.insert(bytes.clone(), (key.expose().to_vec(), bound(context)));
        let key_version = state.answers_as.clone().unwrap_or_else(|| version.clone());
        answer_of(Ciphertext { bytes: bytes.into(), key_version })
    }
}

async fn answer(mood: Mood, edge: Edge) -> Result<(), ProviderError> {
    let fault = match mood {
        Mood::Allow => return Ok(()),
        Mood::Deny => Fault::Denied { edge },
        Mood::Disabled => Fault::KeyUnusable(KeyState::Disabled),
        Mood::Expired => Fault::KeyUnusable(KeyState::Expired),
        Mood::Missing => Fault::KeyUnusable(KeyState::NotFound),
        Mood::Withheld => Fault::Denied { edge: Edge::Version },
        Mood::Outage => Fault::Unavailable,
        Mood::Throttle => Fault::Throttled { by: Throttler::Cloud, retry_after: None },
        Mood::ThrottleFor(seconds) => {
            let retry_after = Some(Duration::from_secs(seconds));
            Fault::Throttled { by: Throttler::Cloud, retry_after }
        }
        Mood::BlackHole => std::future::pending().await,
        Mood::Panic => panic!("as the test said"),
    };
    Err(ProviderError::new(fault, "as the test said"))
}

fn bound(context: &WrapContext<'_>) -> Vec<u8> {
    format!("{} {} {}", context.purpose.as_str(), context.header, context.context.commitment()).into_bytes()
}

fn no_room(_: SecretError) -> ProviderError {
    ProviderError::new(Fault::Throttled { by: Throttler::OwnBudget, retry_after: None }, "no locked memory")
}

fn answer_of<T>(value: T) -> Answer<T> {
    Answer { value, request_id: Some("request-1".into()) }
}

#[async_trait]
impl KeyProvider for Cloud {
    fn kind(&self) -> &ProviderKind {
        &self.kind
    }

    fn check(&self, _: &Binding) -> Result<(), ProviderError> {
        self.oddity(|odd| odd.settings.clone())
    }

    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError> {
        self.oddity(|odd| odd.own_identity.clone())?;
        Ok(OwnIdentity { principal: "us".into(), account: "ours".into() })
    }

    async fn assume(&self, binding: &Binding) -> Result<Answer<Session>, ProviderError> {
        if binding.name.tenant().as_str() == "sentinel" {
            let mood = {
                let mut state = self.lock();
                state.sentinel_calls += 1;
                state.sentinel
            };
            answer(mood, Edge::Trust { hop: 0 }).await?;
        } else {
            let (mood, hop) = {
                let state = self.lock();
                (state.trust, state.odd.denied_hop)
            };
            self.arrive(Call::Assume, mood, Edge::Trust { hop }).await?;
        }
        let mut state = self.lock();
        state.sessions += 1;
        let expires_at = self.clock.wall() + state.session_life;
        Ok(answer_of(Session::new(expires_at, state.sessions)))
    }

    async fn check_deputy(&self, _: &Binding, _: &Session) -> Result<(), ProviderError> {
        self.oddity(|odd| odd.deputy.clone())
    }

    async fn generate(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        self.use_key(Call::Generate, session, version, &context).await?;
        let key = PlaintextKey::generate(&self.arena, length).map_err(no_room)?;
        let ciphertext = self.keep(&key, version, &context).value;
        Ok(answer_of(Generated { key, ciphertext }))
    }

    async fn generate_without_plaintext(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        Ok(answer_of(self.generate(session, length, version, context).await?.value.ciphertext))
    }

    async fn wrap(
        &self,
        session: &Session,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        self.use_key(Call::Wrap, session, version, &context).await?;
        Ok(self.keep(key, version, &context))
    }

    async fn unwrap(
        &self,
        session: &Session,
        ciphertext: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        let call = if context.purpose == Purpose::Canary { Call::Canary } else { Call::Unwrap };
        self.use_key(call, session, &ciphertext.key_version, &context).await?;
        let (kept, loose) = {
            let state = self.lock();
            (state.wrapped.get(&ciphertext.bytes[..]).cloned(), state.odd.loose)
        };
        match kept {
            Some((mut key, to)) if loose || to == bound(&context) => {
                Ok(answer_of(PlaintextKey::take(&self.arena, &mut key).map_err(no_room)?))
            }
            _ => Err(ProviderError::new(Fault::Rejected, "not made for this key and context")),
        }
    }

    async fn describe(&self, _: &Session) -> Result<Answer<KeyDescription>, ProviderError> {
        self.oddity(|odd| odd.describe.clone())?;
        let mood = self.lock().describe;
        self.arrive(Call::Describe, mood, Edge::Key).await?;
        let warnings = [("ROTATION_OFF", "turn rotation on"), ("EXPIRES_SOON", "make a new key")];
        let warnings = warnings.map(|(reason, text)| Warning { reason, text: text.into() });
        let state = self.lock();
        Ok(answer_of(KeyDescription {
            current_version: state.version.clone(),
            rotates: None,
            warnings: if state.odd.warns { warnings.into() } else { Vec::new() },
        }))
    }

    fn hops(&self, _: &Binding) -> Vec<String> {
        self.lock().odd.hops.iter().map(ToString::to_string).collect()
    }

    async fn explain(&self, failed: &FailedStage<'_>) -> Vec<Cause> {
        let known = failed.error.is_denial();
        let text = format!("{:?} failed", failed.stage);
        known
            .then(|| Cause { reason: "AS_THE_TEST_SAID", text, mend: "mend it".into() })
            .into_iter()
            .collect()
    }

    async fn inspect(
        &self,
        _: &Binding,
        own: Option<&OwnIdentity>,
        _: &Session,
        depth: Depth,
    ) -> Vec<Finding> {
        if self.lock().odd.endless {
            std::future::pending::<()>().await;
        }
        let verdict = if depth == Depth::ExcessPermissions { Verdict::Warning } else { Verdict::Skipped };
        let seen = own.map_or("nobody", |own| &own.principal).to_owned();
        let mut found =
            vec![Finding::new("EXCESS_PERMISSIONS", "look for more than is needed", verdict, seen)];
        if self.lock().odd.warns {
            let (text, mend) = ("nobody turned it on".into(), "turn it on".into());
            let rotation = Finding::new("ROTATION", "rotation of the key", Verdict::Warning, "it is off");
            found.insert(0, rotation.because(Cause { reason: "ROTATION_OFF", text, mend }));
        }
        found
    }

    fn onboarding_kit(&self, _: &KitRequest<'_>) -> Result<OnboardingKit, ProviderError> {
        Ok(OnboardingKit::default())
    }
}
