//! AWS as a [`KeyProvider`].

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

use crate::arn::{ArnError, KeyArn, RoleArn};
use crate::assume::{self, RoleSession};
use crate::clients::Clients;
use crate::config::{AwsConfig, AwsConfigError};
use crate::explain;
use crate::inspect::{self, Inspection};
use crate::key::{SessionKey, no_version};
use crate::kit;
use crate::settings::Plan;

/// What envelopes and bindings call this provider. Never to change: it is part of every envelope.
const KIND: &str = "aws";

/// The same for the platform's own keys.
const OPERATOR_KIND: &str = "operator";

/// AWS STS and KMS, on the real SDKs. Put it behind [`leasehold_provider::Guarded`]: by itself it waits for ever and
/// repeats nothing.
pub struct AwsProvider {
    kind: ProviderKind,
    clients: Clients,
    principal: Option<RoleArn>,
    keys: Keys,
    arena: Arena,
}

/// Whose keys these are.
#[derive(Debug)]
enum Keys {
    /// Tenants', which we use as their roles.
    Tenants,
    /// The platform's own, these and no others, which we use as ourselves.
    Operator(Vec<KeyArn>),
}

impl AwsProvider {
    /// A provider for tenants' keys. Asks nothing of AWS, save for the region if nobody names one and we run on an
    /// instance.
    ///
    /// # Errors
    /// [`AwsConfigError`] with what to change.
    pub async fn build(config: AwsConfig, arena: Arena) -> Result<Self, AwsConfigError> {
        Self::with_keys(config, KIND, Keys::Tenants, arena).await
    }

    /// A provider of kind `operator` for tenants who bring no key: bindings name one of `keys`, which we use with our own
    /// identity, and have no settings. Such a tenant cannot revoke.
    ///
    /// # Errors
    /// [`AwsConfigError`] with what to change.
    pub async fn build_operator(
        config: AwsConfig,
        keys: Vec<KeyId>,
        arena: Arena,
    ) -> Result<Self, AwsConfigError> {
        let bad = |key: &KeyId, why: String| AwsConfigError::BadOperatorKey { key: key.to_string(), why };
        let parse = |key: &KeyId| key.as_str().parse().map_err(|why: ArnError| bad(key, why.to_string()));
        let arns: Vec<KeyArn> = keys.iter().map(parse).collect::<Result<_, _>>()?;
        let built = Self::with_keys(config, OPERATOR_KIND, Keys::Operator(arns.clone()), arena).await?;
        let elsewhere = arns.iter().zip(&keys).find(|(arn, _)| built.clients.kms(arn.region()).is_none());
        match elsewhere {
            Some((arn, key)) => Err(bad(key, format!("add {} to allowed_regions", arn.region()))),
            None => Ok(built),
        }
    }

    async fn with_keys(
        config: AwsConfig,
        kind: &str,
        keys: Keys,
        arena: Arena,
    ) -> Result<Self, AwsConfigError> {
        let clients = Clients::build(&config).await?;
        let kind = kind.parse().expect("the name is one lower-case word");
        Ok(Self { kind, clients, principal: config.principal, keys, arena })
    }

    fn plan(&self, binding: &Binding) -> Result<Plan, ProviderError> {
        match &self.keys {
            Keys::Tenants => Plan::of(binding, |region| self.clients.kms(region).is_some()),
            Keys::Operator(keys) => Plan::of_operator(binding, keys),
        }
    }

    fn key<'a>(&'a self, session: &'a Session) -> Result<SessionKey<'a>, ProviderError> {
        let session: &RoleSession = session
            .credentials()
            .ok_or_else(|| ProviderError::new(Fault::Misconfigured, "the session is not one of AWS"))?;
        let client = self.clients.kms(session.key.region());
        let client = client
            .ok_or_else(|| ProviderError::new(Fault::Misconfigured, "the key's region is not allowed"))?;
        Ok(SessionKey { client, session, arena: &self.arena })
    }
}

#[async_trait]
impl KeyProvider for AwsProvider {
    fn kind(&self) -> &ProviderKind {
        &self.kind
    }

    fn check(&self, binding: &Binding) -> Result<(), ProviderError> {
        self.plan(binding).map(|_| ())
    }

    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError> {
        assume::own_identity(&self.clients, self.principal.as_ref()).await
    }

    async fn assume(&self, binding: &Binding) -> Result<Answer<Session>, ProviderError> {
        let plan = self.plan(binding)?;
        match &self.keys {
            Keys::Tenants => assume::assume(&self.clients, &plan).await,
            Keys::Operator(_) => assume::as_ourselves(&self.clients, &plan.key).await,
        }
    }

    async fn check_deputy(&self, binding: &Binding, _: &Session) -> Result<(), ProviderError> {
        let plan = self.plan(binding)?;
        // Nobody becomes anybody to use the platform's own keys.
        if matches!(self.keys, Keys::Operator(_)) {
            return Ok(());
        }
        let own = self.own_identity().await?;
        assume::check_deputy(&self.clients.for_one_visit(), &plan, &own).await
    }

    async fn generate(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        no_version(version)?;
        self.key(session)?.generate(length, context).await
    }

    async fn generate_without_plaintext(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        no_version(version)?;
        self.key(session)?.generate_without_plaintext(length, context).await
    }

    async fn wrap(
        &self,
        session: &Session,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        no_version(version)?;
        self.key(session)?.wrap(key, context).await
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
        Ok(match &self.keys {
            Keys::Tenants => kit::kit(&plan, request),
            Keys::Operator(_) => kit::operator_kit(&plan, request),
        })
    }

    fn deputy(&self, _: &Binding) -> String {
        match self.keys {
            Keys::Tenants => {
                "become it without an external id and with a wrong one, which must be refused".to_owned()
            }
            Keys::Operator(_) => "see that the key is one of the platform's own".to_owned(),
        }
    }

    async fn explain(&self, failed: &FailedStage<'_>) -> Vec<Cause> {
        let asked;
        let own = match failed.own {
            Some(own) => Some(own),
            None => {
                asked = self.own_identity().await.ok();
                asked.as_ref()
            }
        };
        let plan = self.plan(failed.binding).ok();
        explain::explain(
            &self.clients.for_one_visit(),
            plan.as_ref(),
            own.map(|own| own.principal.as_str()),
            failed,
        )
        .await
    }

    async fn inspect(
        &self,
        binding: &Binding,
        own: Option<&OwnIdentity>,
        session: &Session,
        depth: Depth,
    ) -> Vec<Finding> {
        let (Ok(plan), Ok(key)) = (self.plan(binding), self.key(session)) else { return Vec::new() };
        let (own, clients) = (own.map(|own| own.principal.as_str()), self.clients.for_one_visit());
        inspect::inspect(&Inspection { clients: &clients, plan: &plan, own, key }, depth).await
    }

    fn hops(&self, binding: &Binding) -> Vec<String> {
        let plan = self.plan(binding).ok();
        plan.into_iter().flat_map(|plan| plan.hops).map(|hop| hop.role.as_str().to_owned()).collect()
    }
}

impl fmt::Debug for AwsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsProvider")
            .field("principal", &self.principal)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}
