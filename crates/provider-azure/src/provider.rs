//! Azure as a [`KeyProvider`].

use std::fmt;

use async_trait::async_trait;
use leasehold_envelope::{KeyId, KeyVersion};
use leasehold_ids::ProviderKind;
use leasehold_provider::{
    Answer, Cause, Ciphertext, Depth, Edge, FailedStage, Fault, Finding, Generated, KeyDescription,
    KeyProvider, KitRequest, OnboardingKit, OwnIdentity, ProviderError, Session, WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey};
use leasehold_tenant::Binding;
use url::Url;

use crate::assume::{self, VaultSession};
use crate::base::Application;
use crate::clients::Clients;
use crate::cloud::Cloud;
use crate::commands::{CHALLENGE_TAG, Commands};
use crate::config::{AzureConfig, AzureConfigError};
use crate::endpoint::{self, Targets};
use crate::explain::{self, Known};
use crate::ids::DirectoryId;
use crate::inspect;
use crate::key::SessionKey;
use crate::kit;
use crate::settings::{Plan, key_in, misconfigured};

/// What envelopes and bindings call this provider. Never to change: it is part of every envelope.
const KIND: &str = "azure";
/// The same for the platform's own keys.
const OPERATOR_KIND: &str = "operator";

/// Entra ID and Key Vault, on the real SDKs. Put it behind [`leasehold_provider::Guarded`]: by itself it waits for ever and
/// repeats nothing.
pub struct AzureProvider {
    kind: ProviderKind,
    cloud: Cloud,
    home: DirectoryId,
    clients: Clients,
    application: Application,
    reply_url: Option<Url>,
    keys: Keys,
    arena: Arena,
}

/// Whose keys these are.
#[derive(Debug)]
enum Keys {
    /// Tenants', in their own directories.
    Tenants,
    /// The platform's own, these and no others.
    Operator(Vec<KeyId>),
}

impl AzureProvider {
    /// A provider for tenants' keys. Asks nothing of Azure.
    ///
    /// # Errors
    /// [`AzureConfigError`] with what to change.
    pub async fn build(config: AzureConfig, arena: Arena) -> Result<Self, AzureConfigError> {
        Self::with_keys(config, KIND, Keys::Tenants, arena).await
    }

    /// A provider of kind `operator` for tenants who bring no key: bindings name one of `keys`, which our application uses
    /// in its own directory, and have no settings. Such a tenant cannot revoke.
    ///
    /// # Errors
    /// [`AzureConfigError`] with what to change.
    pub async fn build_operator(
        config: AzureConfig,
        keys: Vec<KeyId>,
        arena: Arena,
    ) -> Result<Self, AzureConfigError> {
        for key in &keys {
            key_in(key, config.cloud)
                .map_err(|why| AzureConfigError::BadOperatorKey { key: key.to_string(), why })?;
        }
        Self::with_keys(config, OPERATOR_KIND, Keys::Operator(keys), arena).await
    }

    async fn with_keys(
        config: AzureConfig,
        kind: &str,
        keys: Keys,
        arena: Arena,
    ) -> Result<Self, AzureConfigError> {
        let targets = Targets::of(&config)?;
        let reply_url = endpoint::reply_url(config.consent_reply_url.as_deref())?;
        let AzureConfig { client_id, directory_id: home, identity, cloud, extra_root_cas, .. } = config;
        let clients = Clients::build(cloud, targets, &extra_root_cas).await?;
        let application = Application::build(client_id, identity, cloud, clients.clone()).await?;
        let kind = kind.parse().expect("the name is one lower-case word");
        Ok(Self { kind, cloud, home, clients, application, reply_url, keys, arena })
    }

    fn plan(&self, binding: &Binding) -> Result<Plan, ProviderError> {
        match &self.keys {
            Keys::Tenants => Plan::of(binding, self.cloud),
            Keys::Operator(keys) => Plan::of_operator(binding, self.cloud, keys, &self.home),
        }
    }

    fn commands<'a>(&'a self, plan: &'a Plan) -> Commands<'a> {
        let (client, reply_url) = (&self.application.client_id, self.reply_url.as_ref());
        Commands { plan, client, cloud: self.cloud, reply_url }
    }

    /// The object id of our service principal in the tenant's directory, if it can be read off a token.
    async fn object_id(&self, plan: &Plan) -> Option<String> {
        let assumed = assume::assume(&self.application, &self.clients, self.cloud, plan).await.ok()?;
        let claims = held(&assumed.value).ok()?.held.claims()?;
        // It goes into a command: nothing but a GUID may.
        let id: DirectoryId = claims.get("oid")?.as_str()?.parse().ok()?;
        Some(id.as_str().to_owned())
    }

    fn key<'a>(&'a self, session: &'a Session) -> Result<SessionKey<'a>, ProviderError> {
        let session = held(session)?;
        session.check()?;
        let VaultSession { client, key, store, .. } = session;
        Ok(SessionKey { client, key, store: *store, arena: &self.arena })
    }

    /// Looks for the challenge on the key that `plan` names, with what `session` holds.
    async fn challenged(&self, plan: &Plan, session: &VaultSession) -> Result<(), ProviderError> {
        let Some(challenge) = plan.challenge.as_deref() else { return Ok(()) };
        if plan.directory == self.home {
            return Err(misconfigured(
                "directory_id is the directory that Leasehold runs in: use a vault in the tenant's own directory",
            )
            .with_code(Some("HOME_DIRECTORY")));
        }
        let client = assume::client(&self.clients, self.cloud, &plan.key, plan.store, &session.held)?;
        let key = SessionKey { client: &client, key: &plan.key, store: plan.store, arena: &self.arena };
        key.check_challenge(challenge).await
    }
}

fn held(session: &Session) -> Result<&VaultSession, ProviderError> {
    session
        .credentials()
        .ok_or_else(|| ProviderError::new(Fault::Misconfigured, "the session is not one of Azure"))
}

#[async_trait]
impl KeyProvider for AzureProvider {
    fn kind(&self) -> &ProviderKind {
        &self.kind
    }

    fn check(&self, binding: &Binding) -> Result<(), ProviderError> {
        self.plan(binding).map(|_| ())
    }

    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError> {
        assume::own_identity(&self.application, self.cloud, &self.home).await
    }

    async fn assume(&self, binding: &Binding) -> Result<Answer<Session>, ProviderError> {
        assume::assume(&self.application, &self.clients, self.cloud, &self.plan(binding)?).await
    }

    async fn check_deputy(&self, binding: &Binding, session: &Session) -> Result<(), ProviderError> {
        let (plan, session) = (self.plan(binding)?, held(session)?);
        let checked = self.challenged(&plan, session).await;
        // Whoever did not show yet that the key is theirs learns nothing else about it: neither its state nor its versions.
        if binding.canary.is_none() {
            session.withhold(checked.as_ref().err().cloned());
        }
        checked
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
        let plan = self.plan(request.binding)?;
        Ok(match plan.challenge.as_deref() {
            Some(challenge) => kit::kit(&self.commands(&plan), challenge, request.proofs_per_month),
            None => kit::operator_kit(plan.key.as_str()),
        })
    }

    fn hops(&self, binding: &Binding) -> Vec<String> {
        self.plan(binding).map(|plan| vec![self.commands(&plan).principal()]).unwrap_or_default()
    }

    fn deputy(&self, _: &Binding) -> String {
        match self.keys {
            Keys::Tenants => format!("find our challenge in the key's tag {CHALLENGE_TAG}"),
            Keys::Operator(_) => "see that the key is one of the platform's own".to_owned(),
        }
    }

    async fn explain(&self, failed: &FailedStage<'_>) -> Vec<Cause> {
        let plan = match self.plan(failed.binding) {
            Ok(plan) => plan,
            Err(error) => return vec![explain::settings(self.cloud, &error)],
        };
        // The one question worth asking: the principal's object id makes the command whole. A token has no effect.
        let object_id = if failed.error.fault() == &(Fault::Denied { edge: Edge::Key }) {
            self.object_id(&plan).await
        } else {
            None
        };
        let (object_id, worked) = (object_id.as_deref(), failed.binding.canary.is_some());
        let known = Known { object_id, worked };
        explain::causes(&self.commands(&plan), failed.stage, failed.error, known)
    }

    async fn inspect(
        &self,
        binding: &Binding,
        _: Option<&OwnIdentity>,
        session: &Session,
        depth: Depth,
    ) -> Vec<Finding> {
        let (Ok(plan), Ok(held), Ok(key)) = (self.plan(binding), held(session), self.key(session)) else {
            return Vec::new();
        };
        inspect::inspect(&self.commands(&plan), held, &key, depth).await
    }
}

impl fmt::Debug for AzureProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureProvider")
            .field("kind", &self.kind)
            .field("client_id", &self.application.client_id)
            .field("cloud", &self.cloud)
            .finish_non_exhaustive()
    }
}
