//! Broken set-ups, each of which is diagnosed, and each advice that is a policy taken at its word.

use std::collections::BTreeMap;

use leasehold_cloudsim::aws::KeyState;
use leasehold_cloudsim::aws::edits::Edit;
use leasehold_cloudsim::control::UserSpec;
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::log::CallMatch;
use leasehold_envelope::{EncryptionContext, HeaderDigest, KeyVersion, Purpose};
use leasehold_provider::{Cause, FailedStage, KeyProvider, ProviderError, Stage, WrapContext};
use leasehold_provider_aws::AwsProvider;
use leasehold_secret::{KeyLength, PlaintextKey};
use leasehold_tenant::Binding;
use serde_json::{Value, json};

use crate::tenant::{Documents, Tenant, key_policy, new_key, put_role, written};
use crate::world::{World, binding};

const ACCOUNT: &str = "200000000001";
const ELSEWHERE: &str = "arn:aws:iam::300000000003:role/elsewhere";
const HOP: &str = "arn:aws:iam::300000000001:role/hop";

/// A tenant that was onboarded well, for something to be broken.
struct Patient {
    world: World,
    provider: AwsProvider,
    tenant: Tenant,
}

impl Patient {
    async fn with(extra: Value) -> Self {
        let world = World::start().await;
        let provider = world.provider().await;
        let tenant = Tenant::onboard_with(&world, &provider, "acme", ACCOUNT, &extra).await;
        let patient = Self { world, provider, tenant };
        assert!(patient.verify(&patient.tenant.binding).await.is_ok());
        patient
    }

    async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// One whose key is in another account than the role.
    async fn across() -> Self {
        Self::with(json!({ "role_arn": ELSEWHERE })).await
    }

    async fn verify(&self, binding: &Binding) -> Result<(), (Stage, ProviderError)> {
        verify(&self.provider, &self.world, binding).await
    }

    async fn causes_of(&self, binding: &Binding) -> Vec<Cause> {
        let (stage, error) = self.verify(binding).await.unwrap_err();
        let own = self.provider.own_identity().await.ok();
        let failed = FailedStage { binding, own: own.as_ref(), stage, error: &error };
        self.provider.explain(&failed).await
    }

    async fn causes(&self) -> Vec<Cause> {
        let causes = self.causes_of(&self.tenant.binding).await;
        for Cause { reason, text, mend } in &causes {
            assert!(text.ends_with('.') && !mend.is_empty(), "{reason}: {text} {mend}");
        }
        causes
    }

    /// The only cause, which must be this one.
    async fn only(&self, reason: &str) -> Cause {
        let mut causes = self.causes().await;
        assert_eq!(reasons(&causes), [reason]);
        causes.remove(0)
    }

    /// The likeliest cause, which must be this one.
    async fn first(&self, reason: &str) -> Cause {
        let mut causes = self.causes().await;
        assert_eq!(reasons(&causes)[0], reason, "{causes:?}");
        causes.remove(0)
    }

    /// This cause, wherever it stands.
    async fn one(&self, reason: &str) -> Cause {
        let causes = self.causes().await;
        let found = causes.iter().find(|cause| cause.reason == reason);
        found.unwrap_or_else(|| panic!("{:?}", reasons(&causes))).clone()
    }

    /// The tenant does what `cause` says about the trust policy of `role`, and all is well.
    async fn mend_trust(&self, role: &str, cause: &Cause) {
        self.world.aws().set_trust_policy(&role.parse().unwrap(), written(&cause.mend, "trust-")).unwrap();
        assert!(self.verify(&self.tenant.binding).await.is_ok());
    }

    /// The tenant adds the statement that `cause` gives to the key's policy, and all is well.
    async fn mend_key(&self, cause: &Cause) {
        let mut policy = key_policy(&self.tenant.key);
        policy["Statement"].as_array_mut().unwrap().push(written(&cause.mend, "key-statement.json"));
        self.world.aws().set_key_policy(&self.tenant.key, policy).unwrap();
        assert!(self.verify(&self.tenant.binding).await.is_ok());
    }

    fn role(&self) -> String {
        self.tenant.role().to_string()
    }

    /// The trust policy of the kit with something changed.
    async fn change_trust(&self, role: &str, change: impl FnOnce(&mut Value)) {
        let documents = Documents::of(&self.tenant.kit(&self.provider).await);
        let mut trust = documents.0[&format!("Trust policy of the role {role}")].clone();
        change(&mut trust["Statement"][0]);
        self.world.aws().set_trust_policy(&role.parse().unwrap(), trust).unwrap();
    }

    fn our_policies(&self, policies: BTreeMap<String, Value>, boundary: Option<Value>) {
        let scenario = &self.world.scenario;
        let account = scenario.base_role.account.clone();
        let (_, name) = scenario.base_user.rsplit_once('/').unwrap();
        let access_key = Some(scenario.access_key.clone());
        let spec = UserSpec { identity_policies: policies, boundary, access_key, ..UserSpec::default() };
        self.world.aws().put_user(&account, name, spec).unwrap();
    }
}

/// The steps of a verification, as far as they depend on the cloud.
async fn verify(
    provider: &AwsProvider,
    world: &World,
    binding: &Binding,
) -> Result<(), (Stage, ProviderError)> {
    let at = |stage| move |error| (stage, error);
    provider.own_identity().await.map_err(at(Stage::OwnIdentity))?;
    provider.check(binding).map_err(at(Stage::Settings))?;
    let session = provider.assume(binding).await.map_err(at(Stage::Assume))?.value;
    provider.check_deputy(binding, &session).await.map_err(at(Stage::Deputy))?;
    provider.describe(&session).await.map_err(at(Stage::Describe))?;
    let (header, empty) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &empty };
    let key = PlaintextKey::generate(&world.arena, KeyLength::B32).unwrap();
    let wrapped = provider.wrap(&session, &key, &KeyVersion::none(), context).await;
    let wrapped = wrapped.map_err(at(Stage::Wrap))?.value;
    provider.unwrap(&session, &wrapped, context).await.map(drop).map_err(at(Stage::Unwrap))
}

fn reasons(causes: &[Cause]) -> Vec<&str> {
    causes.iter().map(|cause| cause.reason).collect()
}

fn policy(effect: &str, action: &str) -> Value {
    let statement = json!({ "Effect": effect, "Action": action, "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

fn named(policy: Value) -> BTreeMap<String, Value> {
    BTreeMap::from([("own".to_owned(), policy)])
}

// === the trust edge ===

#[tokio::test]
async fn a_wrong_external_id() {
    let patient = Patient::new().await;
    let role = patient.role();
    patient.change_trust(&role, |s| s["Condition"]["StringEquals"]["sts:ExternalId"] = json!("other")).await;
    let cause = patient.first("EXTERNAL_ID_DIFFERS").await;
    assert!(cause.mend.contains(patient.tenant.binding.external_id.as_str()));
    patient.mend_trust(&role, &cause).await;
}

#[tokio::test]
async fn a_typo_in_the_principal_that_is_trusted() {
    let patient = Patient::new().await;
    let role = patient.role();
    let typo = json!({ "AWS": format!("{}x", patient.world.scenario.base_user) });
    patient.change_trust(&role, |s| s["Principal"] = typo).await;
    let cause = patient.one("TRUST_PRINCIPAL_DIFFERS").await;
    assert!(cause.text.contains(&patient.world.scenario.base_user));
    patient.mend_trust(&role, &cause).await;
}

#[tokio::test]
async fn a_role_that_does_not_exist() {
    let patient = Patient::new().await;
    patient.world.aws().delete_role(patient.tenant.role()).unwrap();
    assert!(patient.one("ROLE_MISSING").await.mend.contains("--role-name acme-leasehold"));
}

#[tokio::test]
async fn a_deny_in_the_trust_policy() {
    let patient = Patient::new().await;
    let edit = Edit::TrustDenyPrincipal { role: patient.tenant.role().clone(), principal: "*".to_owned() };
    patient.world.aws().edit(edit).unwrap();
    patient.one("TRUST_POLICY_DENIES").await;
}

#[tokio::test]
async fn session_tags_that_the_trust_policy_does_not_allow() {
    let patient = Patient::with(json!({ "session_tags": { "a": "b" } })).await;
    let role = patient.role();
    patient.change_trust(&role, |s| s["Action"] = json!("sts:AssumeRole")).await;
    let cause = patient.first("TAG_SESSION_NOT_ALLOWED").await;
    assert!(cause.text.contains("declares session tags"));
    patient.mend_trust(&role, &cause).await;
}

#[tokio::test]
async fn a_source_identity_that_the_trust_policy_does_not_allow() {
    let patient = Patient::with(json!({ "source_identity": "leasehold" })).await;
    let role = patient.role();
    patient.change_trust(&role, |s| s["Action"] = json!(["sts:AssumeRole", "sts:TagSession"])).await;
    let cause = patient.first("SET_SOURCE_IDENTITY_NOT_ALLOWED").await;
    patient.mend_trust(&role, &cause).await;
}

#[tokio::test]
async fn a_condition_on_tags_that_ours_do_not_meet_is_proven_by_leaving_them_out() {
    let patient = Patient::with(json!({ "session_tags": { "stage": "test" } })).await;
    let role = patient.role();
    let condition = json!({ "StringEquals": { "sts:ExternalId": patient.tenant.binding.external_id.as_str() },
        "StringEqualsIfExists": { "aws:RequestTag/stage": "production" } });
    patient.change_trust(&role, |s| s["Condition"] = condition).await;
    let cause = patient.only("TAGS_DIFFER").await;
    patient.mend_trust(&role, &cause).await;
}

#[tokio::test]
async fn the_second_hop_of_a_chain() {
    let chain = json!({ "chain": [{ "role_arn": HOP, "external_id": "hop-id" }] });
    let patient = Patient::with(chain).await;
    let role = patient.role();
    patient.change_trust(&role, |s| s["Principal"] = json!({ "AWS": format!("{HOP}s") })).await;
    let cause = patient.one("TRUST_PRINCIPAL_DIFFERS").await;
    assert!(cause.text.contains(HOP) && cause.text.contains(&role), "{}", cause.text);
    patient.mend_trust(&role, &cause).await;
}

#[tokio::test]
async fn the_permissions_of_an_earlier_role() {
    let chain = json!({ "chain": [{ "role_arn": HOP, "external_id": "hop-id" }] });
    let patient = Patient::with(chain).await;
    let hop = HOP.parse().unwrap();
    patient.world.aws().set_identity_policies(&hop, BTreeMap::new()).unwrap();
    let cause = patient.only("HOP_PERMISSION_MISSING").await;
    patient.world.aws().set_identity_policies(&hop, named(written(&cause.mend, "become-"))).unwrap();
    assert!(patient.verify(&patient.tenant.binding).await.is_ok());
}

#[tokio::test]
async fn our_own_permission_to_assume() {
    let patient = Patient::new().await;
    patient.our_policies(BTreeMap::new(), None);
    let cause = patient.only("OWN_PERMISSION_MISSING").await;
    assert!(cause.mend.starts_with("# Operator") && cause.mend.contains(&patient.role()), "{}", cause.mend);
    patient.our_policies(named(written(&cause.mend, "become-")), None);
    assert!(patient.verify(&patient.tenant.binding).await.is_ok());
}

#[tokio::test]
async fn a_deny_a_boundary_and_an_organisation_over_ourselves() {
    let patient = Patient::new().await;
    let mut policies = named(policy("Allow", "sts:*"));
    patient.our_policies(policies.clone(), Some(policy("Allow", "kms:*")));
    patient.only("PERMISSIONS_BOUNDARY").await;
    policies.insert("deny".to_owned(), policy("Deny", "sts:AssumeRole"));
    patient.our_policies(policies, None);
    patient.only("OWN_POLICY_DENIES").await;
    patient.our_policies(named(policy("Allow", "sts:*")), None);
    let account = patient.world.scenario.base_role.account.clone();
    patient.world.aws().set_service_control_policy(&account, Some(policy("Allow", "s3:*"))).unwrap();
    assert!(patient.only("SERVICE_CONTROL_POLICY").await.mend.contains(account.as_str()));
}

#[tokio::test]
async fn a_role_that_lets_anybody_in_or_is_our_own() {
    let patient = Patient::new().await;
    let role = patient.role();
    patient.change_trust(&role, |s| s["Condition"] = json!({})).await;
    let cause = patient.only("EXTERNAL_ID_NOT_REQUIRED").await;
    patient.mend_trust(&role, &cause).await;

    let ours = leasehold_cloudsim::aws::arn::RoleArn {
        name: "internal".to_owned(),
        ..patient.world.scenario.base_role.clone()
    };
    let settings = json!({ "role_arn": ours.to_string() });
    let binding = binding("thief", &patient.tenant.key.to_string(), &settings);
    put_role(&patient.world, &ours, json!({ "Version": "2012-10-17", "Statement": [] }), BTreeMap::new());
    let (us, id) = (&patient.world.scenario.base_user, binding.external_id.as_str());
    patient.world.aws().trust_with_external_id(&ours, us, id).unwrap();
    assert_eq!(reasons(&patient.causes_of(&binding).await), ["ROLE_IN_OUR_ACCOUNT"]);
}

#[tokio::test]
async fn an_edit_that_has_not_taken_effect_yet_or_just_has() {
    let patient = Patient::new().await;
    let role = patient.role();
    patient.change_trust(&role, |s| s["Condition"]["StringEquals"]["sts:ExternalId"] = json!("other")).await;
    let mut propagation = patient.world.aws().propagation();
    propagation.trust_policy_ms = 60_000;
    patient.world.aws().set_propagation(propagation);
    patient.change_trust(&role, |_| ()).await;
    let (stage, error) = patient.verify(&patient.tenant.binding).await.unwrap_err();
    assert_eq!(patient.causes().await.last().unwrap().reason, "NOT_YET_IN_EFFECT");
    patient.world.control().advance(std::time::Duration::from_secs(61));
    let failed = FailedStage { binding: &patient.tenant.binding, own: None, stage, error: &error };
    assert_eq!(reasons(&patient.provider.explain(&failed).await), ["TOOK_EFFECT_MEANWHILE"]);
}

// === the key edge ===

#[tokio::test]
async fn a_key_policy_without_the_role_in_one_account() {
    let patient = Patient::new().await;
    let key = &patient.tenant.key;
    patient.world.aws().set_key_policy(key, key_policy(key)).unwrap();
    let cause = patient.only("ROLE_PERMISSION_MISSING").await;
    patient.mend_key(&cause).await;
    // A policy that does not leave the decision to the account.
    let mut narrow = key_policy(key);
    narrow["Statement"][0]["Principal"]["AWS"] = json!("arn:aws:iam::200000000001:user/admin");
    patient.world.aws().set_key_policy(key, narrow).unwrap();
    let cause = patient.only("KEY_POLICY_WITHOUT_ROLE").await;
    patient.mend_key(&cause).await;
}

#[tokio::test]
async fn a_key_policy_without_the_role_across_accounts() {
    let patient = Patient::across().await;
    patient.world.aws().set_key_policy(&patient.tenant.key, key_policy(&patient.tenant.key)).unwrap();
    let causes = patient.causes().await;
    let expected = ["KEY_POLICY_WITHOUT_ROLE", "KEY_NOT_FOUND", "KEY_POLICY_DENIES", "NOT_YET_IN_EFFECT"];
    assert_eq!(reasons(&causes), expected);
    patient.mend_key(&causes[0]).await;
}

#[tokio::test]
async fn a_key_policy_that_lacks_decrypt_across_accounts() {
    let patient = Patient::across().await;
    let mut policy = key_policy(&patient.tenant.key);
    let statement = json!({
        "Effect": "Allow", "Principal": { "AWS": ELSEWHERE }, "Action": ["kms:DescribeKey", "kms:Encrypt"], "Resource": "*",
    });
    policy["Statement"].as_array_mut().unwrap().push(statement);
    patient.world.aws().set_key_policy(&patient.tenant.key, policy).unwrap();
    let cause = patient.first("KEY_POLICY_WITHOUT_ROLE").await;
    assert!(cause.text.contains("kms:Decrypt"), "{}", cause.text);
    assert!(!reasons(&patient.causes().await).contains(&"KEY_NOT_FOUND"), "the key was seen");
    patient.mend_key(&cause).await;
}

#[tokio::test]
async fn permissions_of_the_role_across_accounts() {
    let patient = Patient::across().await;
    let role = patient.tenant.role();
    patient.world.aws().set_identity_policies(role, BTreeMap::new()).unwrap();
    let cause = patient.only("ROLE_PERMISSION_MISSING").await;
    patient.world.aws().set_identity_policies(role, named(written(&cause.mend, "permissions-"))).unwrap();
    assert!(patient.verify(&patient.tenant.binding).await.is_ok());
}

#[tokio::test]
async fn a_deny_in_the_key_policy_or_the_roles_own() {
    let patient = Patient::new().await;
    let (key, role) = (patient.tenant.key.clone(), patient.tenant.role().clone());
    let deny = Edit::KeyDeny {
        key: key.clone(),
        principal: role.to_string(),
        actions: Vec::new(),
        encryption_context: BTreeMap::new(),
    };
    let edit = patient.world.aws().edit(deny).unwrap();
    assert!(patient.only("KEY_POLICY_DENIES").await.mend.contains("LeaseholdRevoked"));
    patient.world.aws().undo(edit).unwrap();
    let deny = Edit::RoleDeny { role, actions: vec!["kms:Decrypt".to_owned()] };
    patient.world.aws().edit(deny).unwrap();
    assert!(
        patient
            .only("ROLE_POLICY_DENIES")
            .await
            .mend
            .contains("delete-role-policy --role-name acme-leasehold")
    );
}

#[tokio::test]
async fn a_boundary_and_an_organisation_over_the_role() {
    let patient = Patient::new().await;
    let role = patient.tenant.role();
    patient.world.aws().set_boundary(role, Some(policy("Allow", "kms:DescribeKey"))).unwrap();
    assert!(patient.only("PERMISSIONS_BOUNDARY").await.mend.contains(&role.to_string()));
    patient.world.aws().set_boundary(role, None).unwrap();
    let deny = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": "kms:Encrypt", "Resource": "*" },
    ]});
    patient.world.aws().set_service_control_policy(&role.account, Some(deny)).unwrap();
    assert!(patient.only("SERVICE_CONTROL_POLICY").await.mend.contains(ACCOUNT));
}

#[tokio::test]
async fn a_condition_on_the_encryption_context_of_the_canary() {
    let patient = Patient::across().await;
    let message = "User: x is not authorized to perform: kms:Decrypt on resource: y because the resource does not exist in this \
                   Region, no resource-based policies allow access, or a resource-based policy explicitly denies access";
    let edge = leasehold_provider::Edge::Key;
    let error = ProviderError::new(leasehold_provider::Fault::Denied { edge }, message);
    let binding = &patient.tenant.binding;
    let failed = FailedStage { binding, own: None, stage: Stage::Canary, error: &error };
    let causes = patient.provider.explain(&failed).await;
    assert_eq!(causes[0].reason, "ENCRYPTION_CONTEXT_FORBIDDEN");
}

#[tokio::test]
async fn keys_in_every_state_that_forbids_their_use() {
    let patient = Patient::new().await;
    let key = &patient.tenant.key;
    for (state, reason, command) in [
        (KeyState::Disabled, "KEY_DISABLED", "aws kms enable-key"),
        (KeyState::PendingDeletion, "KEY_PENDING_DELETION", "aws kms cancel-key-deletion"),
        (KeyState::PendingImport, "KEY_PENDING_IMPORT", "aws kms import-key-material"),
    ] {
        patient.world.aws().set_key_state(key, state).unwrap();
        let cause = patient.only(reason).await;
        assert!(cause.mend.contains(command) && cause.mend.contains(&key.to_string()), "{}", cause.mend);
    }
    patient.world.aws().set_key_state(key, KeyState::Enabled).unwrap();
    patient.world.aws().delete_key(key).unwrap();
    let everything = named(policy("Allow", "kms:*"));
    patient.world.aws().set_identity_policies(patient.tenant.role(), everything).unwrap();
    patient.only("KEY_NOT_FOUND").await;
}

#[tokio::test]
async fn a_key_store_that_is_down() {
    let patient = Patient::new().await;
    let error = ProviderError::new(leasehold_provider::Fault::Unavailable, "the key is unavailable")
        .with_code(Some("KMSInvalidStateException"));
    let binding = &patient.tenant.binding;
    let failed = FailedStage { binding, own: None, stage: Stage::Wrap, error: &error };
    let causes = patient.provider.explain(&failed).await;
    assert_eq!(reasons(&causes), ["KEY_STORE_DOWN"]);
    assert!(causes[0].mend.contains("connect-custom-key-store"));
}

#[tokio::test]
async fn a_key_whose_region_is_mistyped_is_found_where_it_is() {
    let patient = Patient::new().await;
    let regions = ["eu-central-1", "eu-west-1"].map(|region| region.parse().unwrap());
    let mut config = patient.world.config();
    config.allowed_regions = regions.to_vec();
    let provider = AwsProvider::build(config, patient.world.arena.clone()).await.unwrap();
    let everything = named(policy("Allow", "kms:*"));
    patient.world.aws().set_identity_policies(patient.tenant.role(), everything).unwrap();
    let right = patient.tenant.key.to_string();
    let settings = Value::Object(patient.tenant.binding.settings.0.clone());
    let wrong = binding("acme", &right.replace("eu-central-1", "eu-west-1"), &settings);
    let (stage, error) = verify(&provider, &patient.world, &wrong).await.unwrap_err();
    let failed = FailedStage { binding: &wrong, own: None, stage, error: &error };
    let causes = provider.explain(&failed).await;
    assert_eq!(reasons(&causes), ["KEY_IN_OTHER_REGION"]);
    assert!(causes[0].mend.contains(&right));
}

#[tokio::test]
async fn keys_and_regions_that_cannot_serve() {
    let patient = Patient::new().await;
    let everything = named(policy("Allow", "kms:*"));
    patient.world.aws().set_identity_policies(patient.tenant.role(), everything).unwrap();
    let settings = Value::Object(patient.tenant.binding.settings.0.clone());
    for spec in ["RSA_2048", "HMAC_256"] {
        let key = new_key(&patient.world, ACCOUNT, json!({ "spec": spec }));
        let causes = patient.causes_of(&binding("acme", &key.to_string(), &settings)).await;
        assert_eq!(reasons(&causes), ["WRONG_KEY_SPEC_OR_USAGE"]);
    }
    let elsewhere = patient.tenant.key.to_string().replace("eu-central-1", "us-east-1");
    let causes = patient.causes_of(&binding("acme", &elsewhere, &settings)).await;
    assert_eq!(reasons(&causes), ["REGION_NOT_ALLOWED"]);
    let causes = patient.causes_of(&binding("acme", &patient.tenant.key.to_string(), &json!({}))).await;
    assert_eq!(reasons(&causes), ["SETTINGS_CANNOT_WORK"]);
}

// === nobody's no ===

#[tokio::test]
async fn our_own_credentials_deactivated_or_missing() {
    let patient = Patient::new().await;
    let id = &patient.world.scenario.access_key.access_key_id;
    patient.world.aws().set_access_key_active(id, false).unwrap();
    assert!(patient.only("OWN_CREDENTIALS_UNKNOWN").await.mend.starts_with("# Operator"));
    let error = ProviderError::new(leasehold_provider::Fault::OwnIdentity, "none");
    for (code, reason) in [
        (None, "OWN_CREDENTIALS_MISSING"),
        (Some("ExpiredToken"), "OWN_CREDENTIALS_EXPIRED"),
        (Some("SignatureDoesNotMatch"), "OWN_SIGNATURE_REFUSED"),
        (Some("RequestExpired"), "OWN_CLOCK_WRONG"),
        (Some("AccessDenied"), "OWN_IDENTITY_REFUSED"),
    ] {
        let error = error.clone().with_code(code);
        let binding = &patient.tenant.binding;
        let failed = FailedStage { binding, own: None, stage: Stage::OwnIdentity, error: &error };
        assert_eq!(reasons(&patient.provider.explain(&failed).await), [reason]);
    }
}

#[tokio::test]
async fn throttling_and_outages() {
    let patient = Patient::new().await;
    for (effect, reason) in
        [(FaultEffect::Throttle, "THROTTLED_BY_AWS"), (FaultEffect::Reset, "CLOUD_DID_NOT_ANSWER")]
    {
        let matching = CallMatch { operation: Some("DescribeKey".to_owned()), ..CallMatch::default() };
        patient.world.control().inject(FaultSpec { matching, effect, count: None });
        patient.only(reason).await;
        patient.world.control().clear_faults();
    }
}
