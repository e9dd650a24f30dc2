//! AWS as a [`KeyProvider`].

use std::fmt;

use async_trait::async_trait;
use leasehold_envelope::KeyVersion;
use leasehold_ids::ProviderKind;
use leasehold_provider::{
    Answer, Cause, Ciphertext, Depth, FailedStage, Fault, Finding, Generated, KeyDescription, KeyProvider,
    KitRequest, OnboardingKit, OwnIdentity, ProviderError, Session, WrapContext,
};
use leasehold_secret::{Arena, KeyLength, PlaintextKey};
use leasehold_tenant::Binding;

use crate::arn::RoleArn;
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

/// AWS STS and KMS, on the real SDKs. Put it behind [`leasehold_provider::Guarded`]: by itself it waits for ever and
/// repeats nothing.
pub struct AwsProvider {
    kind: ProviderKind,
    clients: Clients,
    principal: Option<RoleArn>,
    arena: Arena,
}

impl AwsProvider {
    /// Makes the clients. Asks nothing of AWS, save for the region if nobody names one and we run on an instance.
    ///
    /// # Errors
    /// [`AwsConfigError`] with what to change.
    pub async fn build(config: AwsConfig, arena: Arena) -> Result<Self, AwsConfigError> {
        let clients = Clients::build(&config).await?;
        let kind = KIND.parse().expect("the name is three lower-case letters");
        Ok(Self { kind, clients, principal: config.principal, arena })
    }

    fn plan(&self, binding: &Binding) -> Result<Plan, ProviderError> {
        Plan::of(binding, |region| self.clients.kms(region).is_some())
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
        assume::assume(&self.clients, &self.plan(binding)?).await
    }

    async fn check_deputy(&self, binding: &Binding, _: &Session) -> Result<(), ProviderError> {
        let plan = self.plan(binding)?;
        let own = self.own_identity().await?;
        assume::check_deputy(&self.clients, &plan, &own).await
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
        Ok(kit::kit(&self.plan(request.binding)?, request))
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
        explain::explain(&self.clients, plan.as_ref(), own.map(|own| own.principal.as_str()), failed).await
    }

    async fn inspect(
        &self,
        binding: &Binding,
        own: Option<&OwnIdentity>,
        session: &Session,
        depth: Depth,
    ) -> Vec<Finding> {
        let (Ok(plan), Ok(key)) = (self.plan(binding), self.key(session)) else { return Vec::new() };
        let own = own.map(|own| own.principal.as_str());
        inspect::inspect(&Inspection { clients: &self.clients, plan: &plan, own, key }, depth).await
    }

    fn hops(&self, binding: &Binding) -> Vec<String> {
        let plan = self.plan(binding).ok();
        plan.into_iter().flat_map(|plan| plan.hops).map(|hop| hop.role.as_str().to_owned()).collect()
    }
}

impl fmt::Debug for AwsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsProvider").field("principal", &self.principal).finish_non_exhaustive()
    }
}
