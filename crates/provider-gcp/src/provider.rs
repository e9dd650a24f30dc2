//! GCP as a [`KeyProvider`].

use std::fmt;

use async_trait::async_trait;
use leasehold_envelope::{KeyId, KeyVersion};
use leasehold_ids::ProviderKind;
use leasehold_provider::{
    Answer, Cause, Ciphertext, Depth, FailedStage, Fault, Finding, Generated, KeyDescription, KeyProvider,
    KitRequest, OnboardingKit, OwnIdentity, ProviderError, Session, WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey};
use leasehold_tenant::Binding;

use crate::assume::{self, KeySession};
use crate::clients::Clients;
use crate::config::{GcpConfig, GcpConfigError};
use crate::explain;
use crate::inspect;
use crate::key::SessionKey;
use crate::kit;
use crate::name::{KeyName, Location, ServiceAccount};
use crate::settings::{self, Plan};
use crate::state;

/// What envelopes and bindings call this provider. Never to change: it is part of every envelope.
const KIND: &str = "gcp";
/// The same for the operator's own keys.
const OPERATOR_KIND: &str = "operator";

/// Google's IAM Credentials and Cloud KMS, on the real SDKs. Put it behind [`leasehold_provider::Guarded`]: by itself it waits
/// for ever and repeats nothing.
pub struct GcpProvider {
    kind: ProviderKind,
    clients: Clients,
    keys: Keys,
    arena: Arena,
}

/// Whose keys.
#[derive(Debug)]
enum Keys {
    /// Tenants', in these locations; anywhere if there are none.
    Tenants { allowed: Vec<Location> },
    /// The operator's own: these.
    Operator { keys: Vec<KeyName> },
}

impl GcpProvider {
    /// A provider of kind `gcp`, for tenants' keys. Asks nothing of Google.
    ///
    /// # Errors
    /// [`GcpConfigError`] with what to change.
    pub async fn build(config: GcpConfig, arena: Arena) -> Result<Self, GcpConfigError> {
        let clients = Clients::build(&config)?;
        if !clients.base.knows_its_projects() {
            return Err(GcpConfigError::NoOwnProject);
        }
        let kind = KIND.parse().expect("the name is three lower-case letters");
        Ok(Self { kind, clients, keys: Keys::Tenants { allowed: config.allowed_locations }, arena })
    }

    /// A provider of kind `operator`, for tenants who bring no key: bindings name one of `keys`, which are used as ourselves.
    ///
    /// # Errors
    /// [`GcpConfigError`] with what to change.
    pub async fn build_operator(
        config: GcpConfig,
        keys: Vec<KeyId>,
        arena: Arena,
    ) -> Result<Self, GcpConfigError> {
        let parse = |key: KeyId| {
            let parsed: KeyName = key
                .as_str()
                .parse()
                .map_err(|source| GcpConfigError::BadKey { key: key.to_string(), source })?;
            if settings::is_allowed(&parsed, &config.allowed_locations) {
                Ok(parsed)
            } else {
                Err(GcpConfigError::KeyLocation { key: key.to_string() })
            }
        };
        let keys = keys.into_iter().map(parse).collect::<Result<_, _>>()?;
        let clients = Clients::build(&config)?;
        let kind = OPERATOR_KIND.parse().expect("the name is eight lower-case letters");
        Ok(Self { kind, clients, keys: Keys::Operator { keys }, arena })
    }

    fn plan(&self, binding: &Binding) -> Result<Plan, ProviderError> {
        match &self.keys {
            Keys::Tenants { allowed } => Plan::of(binding, allowed),
            Keys::Operator { keys } => Plan::of_operator(binding, keys),
        }
    }

    fn key<'a>(&'a self, session: &'a Session) -> Result<SessionKey<'a>, ProviderError> {
        let session: &KeySession = session
            .credentials()
            .ok_or_else(|| ProviderError::new(Fault::Misconfigured, "the session is not one of GCP"))?;
        Ok(SessionKey { kms: &self.clients.kms, session, arena: &self.arena })
    }
}

#[async_trait]
impl KeyProvider for GcpProvider {
    fn kind(&self) -> &ProviderKind {
        &self.kind
    }

    fn check(&self, binding: &Binding) -> Result<(), ProviderError> {
        self.plan(binding).map(|_| ())
    }

    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError> {
        assume::own_identity(&self.clients).await
    }

    async fn assume(&self, binding: &Binding) -> Result<Answer<Session>, ProviderError> {
        assume::assume(&self.clients, self.plan(binding)?).await
    }

    async fn check_deputy(&self, binding: &Binding, session: &Session) -> Result<(), ProviderError> {
        let plan = self.plan(binding)?;
        if plan.challenge.is_none() {
            return Ok(());
        }
        assume::not_our_own(&plan, &self.clients.base.projects().await?)?;
        // The label of the *binding's* key, whatever key the session was made for.
        let session: &KeySession = self.key(session)?.session;
        let session = KeySession { token: session.token.clone(), plan, http: session.http.clone() };
        let key = SessionKey { kms: &self.clients.kms, session: &session, arena: &self.arena };
        let Answer { value: looked, request_id } = key.look().await?;
        state::is_labelled(&looked, &session.plan)
            .map_err(|error| error.with_request_id(request_id.as_deref()))
    }

    async fn generate(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        self.key(session)?.generate(length, version, context).await
    }

    async fn generate_without_plaintext(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        let Answer { value, request_id } = self.key(session)?.generate(length, version, context).await?;
        Ok(Answer { value: value.ciphertext, request_id })
    }

    async fn wrap(
        &self,
        session: &Session,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        self.key(session)?.wrap(key, version, context).await
    }

    async fn unwrap(
        &self,
        session: &Session,
        ciphertext: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        self.key(session)?.unwrap(ciphertext, context).await
    }

    async fn describe(&self, session: &Session) -> Result<Answer<KeyDescription>, ProviderError> {
        self.key(session)?.describe().await
    }

    fn onboarding_kit(&self, request: &KitRequest<'_>) -> Result<OnboardingKit, ProviderError> {
        Ok(kit::kit(&self.plan(request.binding)?, request))
    }

    fn hops(&self, binding: &Binding) -> Vec<String> {
        let plan = self.plan(binding);
        plan.map(|plan| plan.hops.iter().map(ServiceAccount::to_string).collect()).unwrap_or_default()
    }

    fn deputy(&self, _: &Binding) -> String {
        match self.keys {
            Keys::Tenants { .. } => format!("find our challenge in the key's label {}", state::LABEL),
            Keys::Operator { .. } => "see that the key is one of the platform's own".to_owned(),
        }
    }

    async fn explain(&self, failed: &FailedStage<'_>) -> Vec<Cause> {
        match self.plan(failed.binding) {
            Ok(plan) => explain::explain(&self.clients, &self.arena, &plan, failed).await,
            Err(error) => explain::misread(&error),
        }
    }

    async fn inspect(
        &self,
        _: &Binding,
        _: Option<&OwnIdentity>,
        session: &Session,
        depth: Depth,
    ) -> Vec<Finding> {
        match self.key(session) {
            Ok(key) => inspect::inspect(&key, depth).await,
            Err(error) => vec![Finding::failed("INSPECTION", "look more closely", &error, Vec::new())],
        }
    }
}

impl fmt::Debug for GcpProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcpProvider")
            .field("kind", &self.kind)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
