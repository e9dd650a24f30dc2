//! A provider for the model cloud, which can be wrong in one way at a time.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use leasehold_envelope::KeyVersion;
use leasehold_ids::ProviderKind;
use leasehold_provider::*;
use leasehold_provider_conformance::{Fixture, KeyCondition};
use leasehold_secret::{KeyLength, PlaintextKey};
use leasehold_tenant::Binding;
use sha2::{Digest, Sha256};

use crate::cloud::{BadDay, Cloud};

/// One thing that a provider can get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    SessionReused,
    NoExpiry,
    ExpiryIsDenial,
    ForeignSessionTaken,
    NobodyIsWho,
    ShortKey,
    ContextUnbound,
    HeaderUnbound,
    PurposeUnbound,
    KeyOfCiphertextUsed,
    TrustDenialIsOutage,
    KeyDenialIsRejection,
    RequestIdLost,
    OwnFailureIsDenial,
    DeputyCheckRefusesAll,
    DeputyUnchecked,
    OwnAccountTaken,
    DeputyOutageIsProtection,
    DescribeFails,
    StoreDownIsUnusable,
    DisabledIsOutage,
    MissingIsOutage,
    UnfitTaken,
    ThrottlingIsOutage,
    OutageIsDenial,
    GarbageIsDenial,
    TailUnchecked,
    AsksBeforeChecking,
    RotationUnnoticed,
    OldVersionForgotten,
    DisabledVersionDisablesAll,
    DisabledVersionIsOutage,
    ExpiredIsOutage,
    KitWithoutUs,
    KitWithoutTerraform,
    LeverWithoutWayBack,
    CostsMadeUp,
    HopsUnnamed,
    TrustUnexplained,
    MendForNobody,
    DisabledUnexplained,
    InspectionFailsAll,
}

/// Each flaw with a check that must notice it.
pub(crate) const FLAWS: &[(Flaw, &str)] = &[
    (Flaw::SessionReused, "every_assume_asks_the_cloud_anew"),
    (Flaw::NoExpiry, "a_session_expires_when_it_says"),
    (Flaw::ExpiryIsDenial, "an_expired_session_is_told_from_a_denial"),
    (Flaw::ForeignSessionTaken, "a_foreign_session_is_refused"),
    (Flaw::NobodyIsWho, "we_know_who_we_are"),
    (Flaw::ShortKey, "every_length_survives_a_round_trip"),
    (Flaw::ContextUnbound, "a_ciphertext_opens_in_its_own_context_only"),
    (Flaw::HeaderUnbound, "a_ciphertext_opens_under_its_own_header_only"),
    (Flaw::PurposeUnbound, "a_ciphertext_opens_for_its_own_purpose_only"),
    (Flaw::KeyOfCiphertextUsed, "another_tenants_ciphertext_is_rejected"),
    (Flaw::TrustDenialIsOutage, "a_revoked_trust_is_a_denial_at_the_trust_edge"),
    (Flaw::RequestIdLost, "a_revoked_trust_is_a_denial_at_the_trust_edge"),
    (Flaw::KeyDenialIsRejection, "a_forbidden_key_is_a_denial_at_the_key_edge"),
    (Flaw::OwnFailureIsDenial, "our_own_broken_identity_is_never_a_denial"),
    (Flaw::DeputyCheckRefusesAll, "a_protected_principal_passes_the_deputy_check"),
    (Flaw::DeputyUnchecked, "an_unprotected_principal_fails_the_deputy_check"),
    (Flaw::OwnAccountTaken, "a_principal_of_our_own_account_is_refused"),
    (Flaw::DeputyOutageIsProtection, "the_deputy_check_takes_no_outage_for_protection"),
    (Flaw::DescribeFails, "a_usable_key_is_described"),
    (Flaw::StoreDownIsUnusable, "an_unusable_key_is_told_from_one_that_is_away"),
    (Flaw::DisabledIsOutage, "an_unusable_key_is_told_from_one_that_is_away"),
    (Flaw::MissingIsOutage, "a_missing_key_is_unusable"),
    (Flaw::UnfitTaken, "an_unfit_key_is_refused_with_advice"),
    (Flaw::ThrottlingIsOutage, "throttling_is_throttling"),
    (Flaw::OutageIsDenial, "an_outage_is_never_a_denial"),
    (Flaw::GarbageIsDenial, "garbage_is_rejected"),
    (Flaw::TailUnchecked, "a_cut_or_changed_ciphertext_is_rejected"),
    (Flaw::AsksBeforeChecking, "what_cannot_work_is_refused_without_asking"),
    (Flaw::RotationUnnoticed, "a_rotated_key_wraps_under_its_new_version"),
    (Flaw::OldVersionForgotten, "what_an_older_version_wrapped_still_unwraps"),
    (Flaw::DisabledVersionDisablesAll, "a_disabled_version_is_unusable_and_the_new_one_is_not"),
    (Flaw::DisabledVersionIsOutage, "a_disabled_version_is_unusable_and_the_new_one_is_not"),
    (Flaw::ExpiredIsOutage, "an_unusable_key_is_told_from_one_that_is_away"),
    (Flaw::KitWithoutUs, "the_kit_names_us_and_what_we_issued"),
    (Flaw::KitWithoutTerraform, "the_kit_has_policies_commands_and_terraform"),
    (Flaw::LeverWithoutWayBack, "every_lever_can_be_pulled_and_put_back"),
    (Flaw::CostsMadeUp, "the_costs_add_up"),
    (Flaw::HopsUnnamed, "every_hop_is_named"),
    (Flaw::TrustUnexplained, "a_trust_denial_is_explained"),
    (Flaw::MendForNobody, "a_key_denial_is_explained"),
    (Flaw::DisabledUnexplained, "a_disabled_key_is_explained"),
    (Flaw::InspectionFailsAll, "a_good_binding_fails_no_inspection"),
];

/// What a session of the model holds.
struct Held {
    key: String,
    generation: u64,
}

pub(crate) struct Model {
    kind: ProviderKind,
    cloud: Cloud,
    flaw: Option<Flaw>,
    kept: Mutex<Option<Session>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("flaw", &self.flaw).finish_non_exhaustive()
    }
}

impl Model {
    pub(crate) fn new(cloud: Cloud, flaw: Option<Flaw>) -> Self {
        Self { kind: "model".parse().unwrap(), cloud, flaw, kept: Mutex::default() }
    }

    fn is(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// `right`, or `wrong` in a provider with this flaw.
    fn fault(&self, flaw: Flaw, right: Fault, wrong: Fault) -> ProviderError {
        let error = ProviderError::new(if self.is(flaw) { wrong } else { right }, "the model says so");
        if self.is(Flaw::RequestIdLost) {
            error
        } else {
            error.with_code(Some("Code")).with_request_id(Some("id"))
        }
    }

    fn bad_day(&self) -> Result<(), ProviderError> {
        let throttled = Fault::Throttled { by: Throttler::Cloud, retry_after: None };
        let denied = Fault::Denied { edge: Edge::Key };
        match self.cloud.state().bad_day {
            None => Ok(()),
            Some(BadDay::Throttled) => {
                Err(self.fault(Flaw::ThrottlingIsOutage, throttled, Fault::Unavailable))
            }
            Some(BadDay::Down) => Err(self.fault(Flaw::OutageIsDenial, Fault::Unavailable, denied)),
        }
    }

    fn own(&self) -> Result<(), ProviderError> {
        if self.cloud.state().own_identity_broken {
            let denied = Fault::Denied { edge: Edge::Trust { hop: 0 } };
            return Err(self.fault(Flaw::OwnFailureIsDenial, Fault::OwnIdentity, denied));
        }
        Ok(())
    }

    /// The name of the session's key, if the session is good and the key's own state lets it be used.
    fn key(&self, session: &Session) -> Result<String, ProviderError> {
        let Some(held) = session.credentials::<Held>() else {
            return Err(self.fault(Flaw::ForeignSessionTaken, Fault::Misconfigured, Fault::Unavailable));
        };
        self.bad_day()?;
        let mut state = self.cloud.state();
        state.calls.key_uses += 1;
        let denied = Fault::Denied { edge: Edge::Key };
        if held.generation < state.generation {
            return Err(self.fault(Flaw::ExpiryIsDenial, Fault::SessionExpired, denied));
        }
        if held.key == "missing" {
            let gone = Fault::KeyUnusable(KeyState::NotFound);
            return Err(self.fault(Flaw::MissingIsOutage, gone, Fault::Unavailable));
        }
        let unusable = Fault::KeyUnusable;
        match state.key {
            None => Ok(held.key.clone()),
            Some(KeyCondition::Disabled) => {
                Err(self.fault(Flaw::DisabledIsOutage, unusable(KeyState::Disabled), Fault::Unavailable))
            }
            Some(KeyCondition::Expired) => {
                Err(self.fault(Flaw::ExpiredIsOutage, unusable(KeyState::Expired), Fault::Unavailable))
            }
            Some(KeyCondition::StoreDown) => {
                Err(self.fault(Flaw::StoreDownIsUnusable, Fault::Unavailable, unusable(KeyState::Disabled)))
            }
            Some(_) => Err(ProviderError::new(unusable(KeyState::PendingDeletion), "soon gone")),
        }
    }

    fn usable_key(&self, session: &Session) -> Result<String, ProviderError> {
        let key = self.key(session)?;
        if self.cloud.state().key_denied {
            let denied = Fault::Denied { edge: Edge::Key };
            return Err(self.fault(Flaw::KeyDenialIsRejection, denied, Fault::Rejected));
        }
        Ok(key)
    }

    /// Whether `version` of the key may be used.
    fn usable_version(&self, version: &KeyVersion) -> Result<(), ProviderError> {
        let state = self.cloud.state();
        let disabled = || Fault::KeyUnusable(KeyState::Disabled);
        match &state.disabled_version {
            Some(_) if self.is(Flaw::DisabledVersionDisablesAll) => {
                Err(ProviderError::new(disabled(), "all of it"))
            }
            Some(one) if one == version => {
                Err(self.fault(Flaw::DisabledVersionIsOutage, disabled(), Fault::Unavailable))
            }
            _ => Ok(()),
        }
    }

    /// A tag over all that a ciphertext is bound to.
    fn tag(&self, key: &str, plaintext: &[u8], context: WrapContext<'_>) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(if self.is(Flaw::KeyOfCiphertextUsed) { "" } else { key });
        hash.update(plaintext);
        if !self.is(Flaw::HeaderUnbound) {
            hash.update(context.header.as_bytes());
        }
        if !self.is(Flaw::PurposeUnbound) {
            hash.update(context.purpose.as_str());
        }
        if !self.is(Flaw::ContextUnbound) {
            context.context.iter().for_each(|(name, value)| hash.update(format!("{name:?}{value:?}")));
        }
        hash.finalize().into()
    }

    fn seal(
        &self,
        key: &str,
        plaintext: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Ciphertext, ProviderError> {
        self.usable_version(version)?;
        let mut bytes = self.tag(key, plaintext.expose(), context).to_vec();
        bytes.extend(plaintext.expose());
        Ok(Ciphertext { bytes: Bytes::from(bytes), key_version: version.clone() })
    }

    fn make(&self, length: KeyLength) -> PlaintextKey {
        let length = if self.is(Flaw::ShortKey) { KeyLength::B16 } else { length };
        PlaintextKey::generate(self.cloud.arena(), length).unwrap()
    }
}

fn answer<T>(value: T) -> Answer<T> {
    Answer { value, request_id: Some("id".into()) }
}

#[async_trait]
impl KeyProvider for Model {
    fn kind(&self) -> &ProviderKind {
        &self.kind
    }

    fn check(&self, binding: &Binding) -> Result<(), ProviderError> {
        if binding.key.as_str() == "malformed" {
            if self.is(Flaw::AsksBeforeChecking) {
                self.cloud.state().calls.assumes += 1;
            }
            return Err(ProviderError::new(Fault::Misconfigured, "malformed"));
        }
        Ok(())
    }

    async fn own_identity(&self) -> Result<OwnIdentity, ProviderError> {
        self.bad_day()?;
        self.own()?;
        let principal = if self.is(Flaw::NobodyIsWho) { "" } else { "the-platform" };
        Ok(OwnIdentity { principal: principal.to_owned(), account: "ours".to_owned() })
    }

    async fn assume(&self, binding: &Binding) -> Result<Answer<Session>, ProviderError> {
        self.check(binding)?;
        if let Some(kept) = self.kept.lock().unwrap().as_ref().filter(|_| self.is(Flaw::SessionReused)) {
            return Ok(answer(kept.clone()));
        }
        self.bad_day()?;
        self.own()?;
        let generation = {
            let mut state = self.cloud.state();
            state.calls.assumes += 1;
            if state.trust_revoked {
                let denied = Fault::Denied { edge: Edge::Trust { hop: 0 } };
                return Err(self.fault(Flaw::TrustDenialIsOutage, denied, Fault::Unavailable));
            }
            state.generation
        };
        let life = if self.is(Flaw::NoExpiry) { Duration::ZERO } else { Duration::from_secs(900) };
        let held = Held { key: binding.key.as_str().to_owned(), generation };
        let session = Session::new(SystemTime::UNIX_EPOCH + life, held);
        *self.kept.lock().unwrap() = Some(session.clone());
        Ok(answer(session))
    }

    async fn check_deputy(&self, binding: &Binding, _: &Session) -> Result<(), ProviderError> {
        if !self.is(Flaw::DeputyOutageIsProtection) {
            self.bad_day()?;
        } else if self.cloud.state().bad_day.is_some() {
            return Ok(());
        }
        let refused = match binding.key.as_str() {
            "key-of-loose" => !self.is(Flaw::DeputyUnchecked),
            "key-of-ours" => !self.is(Flaw::OwnAccountTaken),
            _ => self.is(Flaw::DeputyCheckRefusesAll),
        };
        let advice = format!("add {}", binding.external_id);
        if refused { Err(ProviderError::new(Fault::Misconfigured, advice)) } else { Ok(()) }
    }

    async fn generate(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Generated>, ProviderError> {
        let (name, key) = (self.usable_key(session)?, self.make(length));
        let ciphertext = self.seal(&name, &key, version, context)?;
        Ok(answer(Generated { key, ciphertext }))
    }

    async fn generate_without_plaintext(
        &self,
        session: &Session,
        length: KeyLength,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        let (name, key) = (self.usable_key(session)?, self.make(length));
        Ok(answer(self.seal(&name, &key, version, context)?))
    }

    async fn wrap(
        &self,
        session: &Session,
        key: &PlaintextKey,
        version: &KeyVersion,
        context: WrapContext<'_>,
    ) -> Result<Answer<Ciphertext>, ProviderError> {
        Ok(answer(self.seal(&self.usable_key(session)?, key, version, context)?))
    }

    async fn unwrap(
        &self,
        session: &Session,
        ciphertext: &Ciphertext,
        context: WrapContext<'_>,
    ) -> Result<Answer<PlaintextKey>, ProviderError> {
        let name = self.usable_key(session)?;
        let denied = Fault::Denied { edge: Edge::Key };
        let rejected = || self.fault(Flaw::GarbageIsDenial, Fault::Rejected, denied.clone());
        let current = self.cloud.state().version();
        if self.is(Flaw::OldVersionForgotten) && ciphertext.key_version != current {
            return Err(rejected());
        }
        self.usable_version(&ciphertext.key_version)?;
        let (tag, plaintext) = ciphertext.bytes.split_at_checked(32).ok_or_else(rejected)?;
        // A provider that looks at some of the bytes takes a byte more for nothing.
        let tail = if self.is(Flaw::TailUnchecked) { plaintext.len().min(32) } else { plaintext.len() };
        let plaintext = &plaintext[..tail];
        if self.tag(&name, plaintext, context) != tag {
            return Err(rejected());
        }
        let key = PlaintextKey::take(self.cloud.arena(), &mut plaintext.to_vec()).map_err(|_| rejected())?;
        Ok(answer(key))
    }

    async fn describe(&self, session: &Session) -> Result<Answer<KeyDescription>, ProviderError> {
        let name = self.key(session)?;
        let unfit = name == "unfit" && !self.is(Flaw::UnfitTaken);
        if unfit || self.is(Flaw::DescribeFails) {
            return Err(ProviderError::new(Fault::Misconfigured, "use another key"));
        }
        let first = || "v0".parse().unwrap();
        let current_version =
            if self.is(Flaw::RotationUnnoticed) { first() } else { self.cloud.state().version() };
        Ok(answer(KeyDescription { current_version, rotates: None, warnings: Vec::new() }))
    }

    fn onboarding_kit(&self, request: &KitRequest<'_>) -> Result<OnboardingKit, ProviderError> {
        let us = if self.is(Flaw::KitWithoutUs) { "somebody" } else { &request.own.principal };
        let body = format!("{us} may, with {}, use {}", request.binding.external_id, request.binding.key);
        let mut formats = vec![KitFormat::Json, KitFormat::Shell];
        formats.extend((!self.is(Flaw::KitWithoutTerraform)).then_some(KitFormat::Hcl));
        let section = |format| KitSection { title: "all".to_owned(), format, body: body.clone() };
        let restore = if self.is(Flaw::LeverWithoutWayBack) { "" } else { "let us in" };
        let lever = Lever {
            title: "put us out".to_owned(),
            revoke: "put us out".to_owned(),
            restore: restore.to_owned(),
            propagation: "at once".to_owned(),
            reach: "us".to_owned(),
        };
        let calls = vec![CallCost { operation: "Unwrap", per_proof: 1, usd_per_10_000: 0.03 }];
        let mut costs = ProofCosts::of(request.proofs_per_month, calls, vec!["A model's.".to_owned()]);
        if self.is(Flaw::CostsMadeUp) {
            costs.usd_per_month = 1.0;
        }
        Ok(OnboardingKit { sections: formats.into_iter().map(section).collect(), levers: vec![lever], costs })
    }

    fn hops(&self, binding: &Binding) -> Vec<String> {
        if self.is(Flaw::HopsUnnamed) { Vec::new() } else { vec![format!("principal-of-{}", binding.name)] }
    }

    async fn explain(&self, failed: &FailedStage<'_>) -> Vec<Cause> {
        let (reason, flaw) = match failed.error.fault() {
            Fault::Denied { edge: Edge::Trust { .. } } => ("NO_TRUST", Flaw::TrustUnexplained),
            Fault::Denied { edge: Edge::Key } => ("KEY_FORBIDDEN", Flaw::MendForNobody),
            _ => ("KEY_DISABLED", Flaw::DisabledUnexplained),
        };
        if self.is(flaw) && flaw != Flaw::MendForNobody {
            return Vec::new();
        }
        let whose = if self.is(flaw) { "<your key>" } else { failed.binding.key.as_str() };
        vec![Cause { reason, text: "That is it.".to_owned(), mend: format!("# Mend {whose}.") }]
    }

    async fn inspect(&self, _: &Binding, _: Option<&OwnIdentity>, _: &Session, _: Depth) -> Vec<Finding> {
        let verdict = if self.is(Flaw::InspectionFailsAll) { Verdict::Failed } else { Verdict::Passed };
        vec![Finding::new("ROTATION", "rotation", verdict, "the model never tires")]
    }
}
