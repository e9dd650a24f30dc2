//! A provider that is answered by scripts.

use std::time::SystemTime;

use bytes::Bytes;
use leasehold_envelope::{EncryptionContext, HeaderDigest, Hierarchy, KeyVersion, Purpose};
use leasehold_ids::BindingName;
use leasehold_provider::{Ciphertext, Depth, KeyProvider, ProviderError, Session, WrapContext};
use leasehold_secret::{Arena, ArenaConfig, KeyLength, PlaintextKey};
use leasehold_tenant::{Binding, CloudSettings, ExternalId, NewBinding};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::script::Script;
use crate::wire::Wire;

/// The parts of a bench that differ from cloud to cloud.
pub struct Parts {
    /// Sends what it asks to `wire`.
    pub provider: Box<dyn KeyProvider>,
    /// What answers it.
    pub wire: Wire,
    /// The tenant's binding.
    pub binding: Binding,
    /// What the provider is given to unwrap; also the version that wraps.
    pub wrapped: Ciphertext,
    /// A script that answers an assume with a session.
    pub session: &'static [u8],
}

/// A provider with a session, and the server behind it.
pub struct Bench {
    runtime: Runtime,
    arena: Arena,
    key: PlaintextKey,
    parts: Parts,
    session: Session,
}

/// What a provider made of the answers to a question.
#[derive(Debug)]
pub enum Outcome {
    /// A session.
    Session,
    /// Who we are: principal and account.
    Own(String, String),
    /// A key, by unwrapping.
    Key(Vec<u8>),
    /// A new key, and what it is wrapped to.
    Generated(Vec<u8>, Vec<u8>),
    /// What the key was wrapped to.
    Wrapped(Vec<u8>),
    /// The version of the key that wraps now.
    Described(String),
    /// That nobody else gets in through us.
    Protected,
    /// Some findings, or none.
    Inspected,
}

impl Bench {
    /// Starts the server, the provider and a session.
    pub fn start<F: Future<Output = Parts>>(build: impl FnOnce(Arena) -> F) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("threads and sockets can be made");
        let smallest = ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() };
        let arena = Arena::new(smallest).expect("little memory can be locked");
        let key = PlaintextKey::generate(&arena, KeyLength::B32).expect("the arena is empty");
        let (parts, session) = runtime.block_on(async {
            let parts = build(arena.clone()).await;
            parts.wire.answer(&Script::parse(parts.session).expect("the target's own script").answers);
            let session = parts.provider.assume(&parts.binding).await.expect("a session was answered");
            (parts, session.value)
        });
        Self { runtime, arena, key, parts, session }
    }

    /// What the provider makes of a script; `None` if it asks for nothing that there is.
    pub fn ask(&self, script: &Script) -> Option<Result<Outcome, ProviderError>> {
        self.parts.wire.answer(&script.answers);
        let outcome = self.runtime.block_on(self.outcome(&script.ask));
        assert_eq!(self.arena.in_use(), 1, "a key stays in locked memory");
        outcome.transpose()
    }

    async fn outcome(&self, ask: &str) -> Result<Option<Outcome>, ProviderError> {
        let Parts { provider, binding, wrapped, .. } = &self.parts;
        let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
        let (session, version) = (&self.session, &wrapped.key_version);
        Ok(Some(match ask {
            "assume" => provider.assume(binding).await.map(|_| Outcome::Session)?,
            "own" => {
                let own = provider.own_identity().await?;
                Outcome::Own(own.principal, own.account)
            }
            "unwrap" => {
                let answer = provider.unwrap(session, wrapped, context).await?;
                Outcome::Key(answer.value.expose().to_vec())
            }
            "generate" => {
                let answer = provider.generate(session, KeyLength::B32, version, context).await?.value;
                Outcome::Generated(answer.key.expose().to_vec(), answer.ciphertext.bytes.to_vec())
            }
            "wrap" => {
                let answer = provider.wrap(session, &self.key, version, context).await?;
                Outcome::Wrapped(answer.value.bytes.to_vec())
            }
            "describe" => {
                let answer = provider.describe(session).await?;
                Outcome::Described(answer.value.current_version.as_str().to_owned())
            }
            "deputy" => provider.check_deputy(binding, session).await.map(|()| Outcome::Protected)?,
            "inspect" => {
                provider.inspect(binding, None, session, Depth::ExcessPermissions).await;
                Outcome::Inspected
            }
            _ => return Ok(None),
        }))
    }
}

/// A tenant's binding that works: it has a canary.
#[must_use]
pub fn binding(provider: &str, key: &str, settings: Value) -> Binding {
    let name = BindingName::new("acme".parse().expect("an id"), "main".parse().expect("an id"));
    let external_id = ExternalId::derive(&"fuzz".parse().expect("a DNS label"), &name);
    let new = NewBinding {
        provider: provider.parse().expect("one lower-case word"),
        key: key.parse().expect("graphic ASCII"),
        settings: CloudSettings(serde_json::from_value(settings).expect("settings are an object")),
        canary_context: EncryptionContext::empty(),
        hierarchy: Hierarchy::Direct,
    };
    let pending = Binding::pending(name, new, external_id, SystemTime::UNIX_EPOCH);
    Binding { canary: Some(vec![0].try_into().expect("one byte is enough")), ..pending }
}

/// Bytes to unwrap, under this version of the key.
#[must_use]
pub fn wrapped(length: usize, version: &str) -> Ciphertext {
    let key_version: KeyVersion = version.parse().expect("graphic ASCII");
    Ciphertext { bytes: Bytes::from(vec![7; length]), key_version }
}
