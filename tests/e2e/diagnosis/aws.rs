//! On AWS.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold::config::Config;
use leasehold_api::v1;
use leasehold_cloudsim::AwsControl;
use leasehold_cloudsim::aws::arn::{KeyArn, RoleArn};
use leasehold_cloudsim::aws::edits::Edit;
use leasehold_cloudsim::aws::{KeyState, Propagation};
use leasehold_cloudsim::control::{Control, KeyInput, RoleSpec, UserSpec};
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use serde_json::{Value, json};

use super::Mended::{By, ByAnother, ByTheKit, Later, Undone};
use super::shell::Call;
use super::{Case, Patient, each, names};
use crate::cloud::{Aws, of};
use crate::world::World;

/// The policy by which the kit says to revoke at the role.
const REVOKED: &str = "leasehold-revoked";

/// Where a deployment may use keys besides its own region.
const ELSEWHERE: &str = "eu-west-1";

/// The account of roles that are not in the key's.
const OTHER_ACCOUNT: &str = "300000000003";

/// A tenant on AWS, and the platform as far as its own permissions go.
struct Account {
    aws: Arc<Aws>,
    role: RoleArn,
    key: KeyArn,
    faults: Control,
    /// The change that `jq` was asked to make of a key's policy: the statements of this name go, and this one comes.
    change: RefCell<Option<(Value, Option<Value>)>>,
}

impl Account {
    fn control(&self) -> &AwsControl {
        self.aws.control()
    }

    // === What is broken ===

    fn trust(&self, change: impl FnOnce(&mut Value)) {
        let mut policy = self.trust_policy();
        change(&mut policy["Statement"][0]);
        self.control().set_trust_policy(&self.role, policy).unwrap();
    }

    fn trust_policy(&self) -> Value {
        let roles = self.control().world().roles;
        roles.into_iter().find(|known| known.arn == self.role).unwrap().trust_policy
    }

    /// The key's owner writes a policy of these statements.
    fn key_policy(&self, statements: &[Value]) {
        let policy = json!({ "Version": "2012-10-17", "Statement": statements });
        self.control().set_key_policy(&self.key, policy).unwrap();
    }

    /// The statement by which a key's policy leaves decisions to the account's administrators.
    fn administrators(&self) -> Value {
        to(&self.role.account.root_arn(), "Allow", "Owner", &["kms:*"])
    }

    fn allowed(&self, actions: &[&str]) -> Value {
        to(&self.role.to_string(), "Allow", "Leasehold", actions)
    }

    fn role_policy(&self, role: &RoleArn, name: &str, policy: Value) {
        self.control().set_identity_policies(role, BTreeMap::from([(name.to_owned(), policy)])).unwrap();
    }

    fn state(&self, state: KeyState) {
        self.control().set_key_state(&self.key, state).unwrap();
    }

    /// What the organisation leaves to the tenant's account.
    fn organisation(&self, policy: Option<Value>) {
        self.control().set_service_control_policy(&self.role.account, policy).unwrap();
    }

    /// What the platform's organisation leaves to the platform's account.
    fn own_organisation(&self, policy: Option<Value>) {
        let account = &self.aws.scenario.base_role.account;
        self.control().set_service_control_policy(account, policy).unwrap();
    }

    /// What the platform's own user may do.
    fn platform(&self, policies: BTreeMap<String, Value>, boundary: Option<Value>) {
        let scenario = &self.aws.scenario;
        let (_, name) = scenario.base_user.rsplit_once('/').unwrap();
        let access_key = Some(scenario.access_key.clone());
        let spec = UserSpec { identity_policies: policies, boundary, access_key, ..UserSpec::default() };
        self.control().put_user(&scenario.base_role.account, name, spec).unwrap();
    }

    fn platform_may_assume(&self) {
        self.platform(named(allow(&["sts:*"])), None);
    }

    fn access_key(&self, active: bool) {
        let id = &self.aws.scenario.access_key.access_key_id;
        self.control().set_access_key_active(id, active).unwrap();
    }

    fn fault(&self, effect: FaultEffect) {
        self.faults.inject(FaultSpec { matching: of("DescribeKey"), effect, count: None });
    }

    // === What is handed over ===

    /// A role of this name in another account than the key's.
    fn elsewhere(&self, name: &str) -> RoleArn {
        RoleArn { account: OTHER_ACCOUNT.parse().unwrap(), name: name.to_owned() }
    }

    fn binding(&self) -> v1::AwsBinding {
        let (kms_key_arn, role_arn) = (self.key.to_string(), self.role.to_string());
        v1::AwsBinding { kms_key_arn, role_arn, ..Default::default() }
    }

    /// A role in another account than the key.
    fn across(&self) -> v1::binding::Cloud {
        v1::binding::Cloud::Aws(v1::AwsBinding {
            role_arn: self.elsewhere("elsewhere").to_string(),
            ..self.binding()
        })
    }

    /// A role that is reached through another.
    fn chained(&self) -> v1::binding::Cloud {
        let hop =
            v1::AwsHop { role_arn: self.elsewhere("hop").to_string(), external_id: "hop-id".to_owned() };
        v1::binding::Cloud::Aws(v1::AwsBinding { chain: vec![hop], ..self.binding() })
    }

    fn tagged(&self) -> v1::binding::Cloud {
        let session_tags = [("stage".to_owned(), "test".to_owned())].into();
        v1::binding::Cloud::Aws(v1::AwsBinding { session_tags, ..self.binding() })
    }

    /// A key with something special about it.
    fn with_key(&self, special: Value) -> v1::binding::Cloud {
        let mut input = json!({ "account": self.role.account, "region": self.key.region });
        input.as_object_mut().unwrap().extend(special.as_object().unwrap().clone());
        let key = self.control().create_key(serde_json::from_value::<KeyInput>(input).unwrap()).unwrap();
        v1::binding::Cloud::Aws(v1::AwsBinding { kms_key_arn: key.to_string(), ..self.binding() })
    }

    /// The key, as if it were in another region.
    fn in_region(&self, region: &str) -> v1::binding::Cloud {
        let key = KeyArn { region: region.parse().unwrap(), ..self.key.clone() };
        v1::binding::Cloud::Aws(v1::AwsBinding { kms_key_arn: key.to_string(), ..self.binding() })
    }

    // === What is done ===

    /// Makes a role, in place of one of that name.
    fn create(&self, role: &RoleArn, trust_policy: Value) {
        self.control().put_account(&role.account);
        let spec = RoleSpec {
            trust_policy,
            identity_policies: BTreeMap::new(),
            boundary: None,
            tags: BTreeMap::new(),
            max_session_seconds: 3600,
        };
        self.control().put_role(role, spec).unwrap();
    }

    /// Makes the change of the key's policy that `jq` was asked for.
    fn put_key_policy(&self, key: &KeyArn) {
        let (name, statement) = self.change.take().unwrap();
        let known = self.control().world().keys.into_iter().find(|known| known.arn == *key);
        // Of a key that is not there nobody can change the policy, whatever the kit says.
        let Some(mut policy) = known.map(|key| key.policy) else { return };
        let statements = policy["Statement"].as_array_mut().unwrap();
        statements.retain(|statement| statement["Sid"] != name);
        statements.extend(statement);
        self.control().set_key_policy(key, policy).unwrap();
    }
}

impl Patient for Account {
    const PROGRAMS: &'static [&'static str] = &["aws", "jq", "chronyc"];

    fn prepare(&self) {
        self.platform_may_assume();
        self.control().set_propagation(Propagation::default());
    }

    fn run(&self, call: &Call) {
        let control = self.control();
        let document = |option: &str| serde_json::from_str::<Value>(call.option(option)).unwrap();
        let key = || call.option("--key-id").parse::<KeyArn>().unwrap();
        let named =
            |name: &str| if self.role.name == name { self.role.clone() } else { self.elsewhere(name) };
        let role = || named(call.option("--role-name"));
        if call.is("jq --slurpfile") {
            let statement: Value = serde_json::from_str(call.word(3)).unwrap();
            *self.change.borrow_mut() = Some((statement["Sid"].clone(), Some(statement)));
        } else if call.is("jq --arg") {
            *self.change.borrow_mut() = Some((json!(call.word(3)), None));
        } else if call.is("aws kms put-key-policy") {
            self.put_key_policy(&key());
        } else if call.is("aws kms enable-key") {
            control.set_key_state(&key(), KeyState::Enabled).unwrap();
        } else if call.is("aws kms cancel-key-deletion") {
            control.set_key_state(&key(), KeyState::Disabled).unwrap();
        } else if call.is("aws iam create-role") {
            self.create(&role(), document("--assume-role-policy-document"));
        } else if call.is("aws iam update-assume-role-policy") {
            control.set_trust_policy(&role(), document("--policy-document")).unwrap();
        } else if call.is("aws iam put-role-policy") {
            self.role_policy(&role(), call.option("--policy-name"), document("--policy-document"));
        } else if call.is("aws iam delete-role-policy") {
            assert_eq!(call.option("--policy-name"), REVOKED, "no role here has another");
            control.set_identity_policies(&role(), BTreeMap::new()).unwrap();
        } else if call.is("aws iam put-user-policy") {
            assert!(self.aws.scenario.base_user.ends_with(call.option("--user-name")));
            self.platform(self::named(document("--policy-document")), None);
        } else {
            panic!("nobody knows how to do this: {call:?}");
        }
    }
}

// === Policies ===

fn policy(effect: &str, actions: &[&str]) -> Value {
    let statement = json!({ "Effect": effect, "Action": actions, "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

fn allow(actions: &[&str]) -> Value {
    policy("Allow", actions)
}

/// Everything but these.
fn all_but(actions: &[&str]) -> Value {
    let all = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let deny = json!({ "Effect": "Deny", "Action": actions, "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [all, deny] })
}

fn named(policy: Value) -> BTreeMap<String, Value> {
    BTreeMap::from([("own".to_owned(), policy)])
}

/// A statement of a key's policy.
fn to(principal: &str, effect: &str, sid: &str, actions: &[&str]) -> Value {
    json!({ "Sid": sid, "Effect": effect, "Principal": { "AWS": principal }, "Action": actions, "Resource": "*" })
}

// === Cases ===

const DENIED: (&str, &str, &str) = ("ASSUME", "trust", "AccessDenied");

/// What AWS leaves open when it refuses an assume, for it says nothing of other accounts' policies.
const NOT_LET_IN: &[&str] = &[
    "EXTERNAL_ID_DIFFERS",
    "TRUST_PRINCIPAL_DIFFERS",
    "ROLE_MISSING",
    "TRUST_POLICY_DENIES",
    "OWN_PERMISSION_MISSING",
    "NOT_YET_IN_EFFECT",
];

const NOT_LET_IN_ANY_MORE: &[&str] = &[
    "TRUST_WITHDRAWN",
    "EXTERNAL_ID_DIFFERS",
    "TRUST_PRINCIPAL_DIFFERS",
    "ROLE_MISSING",
    "TRUST_POLICY_DENIES",
    "OWN_PERMISSION_MISSING",
    "NOT_YET_IN_EFFECT",
];

const NOT_LET_IN_BY_THE_HOP: &[&str] = &[
    "EXTERNAL_ID_DIFFERS",
    "TRUST_PRINCIPAL_DIFFERS",
    "ROLE_MISSING",
    "TRUST_POLICY_DENIES",
    "HOP_PERMISSION_MISSING",
    "NOT_YET_IN_EFFECT",
];

fn key_denied(check: &'static str) -> (&'static str, &'static str, &'static str) {
    (check, "key", "AccessDeniedException")
}

/// The role does not let us in.
#[expect(clippy::too_many_lines, reason = "a table")]
fn trust_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.trust(|s| s["Condition"]["StringEquals"]["sts:ExternalId"] = json!("another")),
            ..Case::new("another external id", DENIED, NOT_LET_IN, By("EXTERNAL_ID_DIFFERS"))
        },
        Case {
            broken: |a| {
                a.trust(|s| s["Principal"] = json!({ "AWS": format!("{}s", a.aws.scenario.base_user) }))
            },
            ..Case::new("a typo in whom is trusted", DENIED, NOT_LET_IN, By("TRUST_PRINCIPAL_DIFFERS"))
        },
        Case {
            broken: |a| a.control().delete_role(&a.role).unwrap(),
            ..Case::new("no role", DENIED, NOT_LET_IN, By("ROLE_MISSING"))
        },
        Case {
            broken: |a| a.control().delete_role(&a.role).unwrap(),
            ..Case::new("nothing was done yet", DENIED, NOT_LET_IN, ByTheKit)
        },
        Case {
            broken: |a| {
                let right = a.trust_policy();
                a.trust(|s| s["Condition"]["StringEquals"]["sts:ExternalId"] = json!("another"));
                a.control()
                    .set_propagation(Propagation { trust_policy_ms: 60_000, ..Propagation::default() });
                a.control().set_trust_policy(&a.role, right).unwrap();
            },
            ..Case::new("a trust policy of just now", DENIED, NOT_LET_IN, Later(Duration::from_secs(61)))
        },
        Case {
            broken: |a| {
                let (role, principal) = (a.role.clone(), "*".to_owned());
                a.control().edit(Edit::TrustDenyPrincipal { role, principal }).unwrap();
            },
            activated: true,
            ..Case::new("a Deny, to revoke", DENIED, NOT_LET_IN_ANY_MORE, By("TRUST_WITHDRAWN"))
        },
        Case {
            broken: |a| a.trust(|s| s["Action"] = json!("sts:AssumeRole")),
            hands_over: Some(Account::tagged),
            ..Case::new(
                "session tags that are not allowed",
                DENIED,
                &["TAG_SESSION_NOT_ALLOWED", "OWN_PERMISSION_MISSING", "NOT_YET_IN_EFFECT"],
                By("TAG_SESSION_NOT_ALLOWED"),
            )
        },
        Case {
            broken: |a| {
                a.trust(|s| {
                    s["Condition"]["StringEqualsIfExists"] = json!({ "aws:RequestTag/stage": "production" })
                });
            },
            hands_over: Some(Account::tagged),
            ..Case::new("other session tags", DENIED, &["TAGS_DIFFER"], By("TAGS_DIFFER"))
        },
        Case {
            broken: |a| a.trust(|s| s["Condition"] = json!({})),
            ..Case::new(
                "a role that takes any external id and none",
                ("DEPUTY", "", "LETS_ANYBODY_IN"),
                &["EXTERNAL_ID_NOT_REQUIRED"],
                By("EXTERNAL_ID_NOT_REQUIRED"),
            )
        },
        Case {
            broken: |a| a.trust(|s| s["Principal"] = json!({ "AWS": a.elsewhere("hops").to_string() })),
            hands_over: Some(Account::chained),
            ..Case::new(
                "a typo in whom the last hop trusts",
                DENIED,
                NOT_LET_IN_BY_THE_HOP,
                By("TRUST_PRINCIPAL_DIFFERS"),
            )
        },
        Case {
            broken: |a| a.control().set_identity_policies(&a.elsewhere("hop"), BTreeMap::new()).unwrap(),
            hands_over: Some(Account::chained),
            ..Case::new(
                "a hop that may not go on",
                DENIED,
                &["HOP_PERMISSION_MISSING"],
                By("HOP_PERMISSION_MISSING"),
            )
        },
    ]
}

/// We may not, whatever the role says.
fn own_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.platform(BTreeMap::new(), None),
            ..Case::new(
                "no sts:AssumeRole on our side",
                DENIED,
                &["OWN_PERMISSION_MISSING"],
                By("OWN_PERMISSION_MISSING"),
            )
        },
        Case {
            broken: |a| a.platform(named(all_but(&["sts:AssumeRole"])), None),
            ..Case::new(
                "a Deny on our side",
                DENIED,
                &["OWN_POLICY_DENIES"],
                Undone("OWN_POLICY_DENIES", Account::platform_may_assume),
            )
        },
        Case {
            broken: |a| a.platform(named(allow(&["sts:*"])), Some(allow(&["kms:*"]))),
            ..Case::new(
                "a permissions boundary on our side",
                DENIED,
                &["PERMISSIONS_BOUNDARY"],
                Undone("PERMISSIONS_BOUNDARY", Account::platform_may_assume),
            )
        },
        Case {
            broken: |a| a.own_organisation(Some(all_but(&["sts:AssumeRole"]))),
            ..Case::new(
                "our organisation forbids it",
                DENIED,
                &["SERVICE_CONTROL_POLICY"],
                Undone("SERVICE_CONTROL_POLICY", |a| a.own_organisation(None)),
            )
        },
        Case {
            broken: |a| a.access_key(false),
            ..Case::new(
                "our access key was deactivated",
                ("OWN_IDENTITY", "", "InvalidClientTokenId"),
                &["OWN_CREDENTIALS_UNKNOWN"],
                Undone("OWN_CREDENTIALS_UNKNOWN", |a| a.access_key(true)),
            )
        },
    ]
}

/// The role may not use the key.
#[expect(clippy::too_many_lines, reason = "a table")]
fn key_policy_cases() -> Vec<Case<Account>> {
    const ROLE_LACKS: &[&str] = &["ROLE_PERMISSION_MISSING"];
    vec![
        Case {
            broken: |a| a.key_policy(&[a.administrators(), a.allowed(&["kms:DescribeKey", "kms:Encrypt"])]),
            ..Case::new("no kms:Decrypt", key_denied("UNWRAP"), ROLE_LACKS, By("ROLE_PERMISSION_MISSING"))
        },
        Case {
            broken: |a| a.key_policy(&[a.administrators(), a.allowed(&["kms:DescribeKey", "kms:Decrypt"])]),
            ..Case::new("no kms:Encrypt", key_denied("WRAP"), ROLE_LACKS, By("ROLE_PERMISSION_MISSING"))
        },
        Case {
            broken: |a| a.key_policy(&[a.administrators(), a.allowed(&["kms:Encrypt", "kms:Decrypt"])]),
            ..Case::new(
                "no kms:DescribeKey",
                key_denied("DESCRIBE"),
                ROLE_LACKS,
                By("ROLE_PERMISSION_MISSING"),
            )
        },
        Case {
            broken: |a| {
                let administrator = format!("arn:aws:iam::{}:user/administrator", a.role.account);
                a.key_policy(&[to(&administrator, "Allow", "Owner", &["kms:*"])]);
            },
            ..Case::new(
                "a key policy without the role",
                key_denied("DESCRIBE"),
                &["KEY_POLICY_WITHOUT_ROLE"],
                By("KEY_POLICY_WITHOUT_ROLE"),
            )
        },
        Case {
            broken: |a| {
                let deny = to(&a.role.to_string(), "Deny", "LeaseholdRevoked", &["kms:Decrypt"]);
                a.key_policy(&[a.administrators(), a.allowed(&["kms:*"]), deny]);
            },
            ..Case::new(
                "a Deny in the key policy",
                key_denied("UNWRAP"),
                &["KEY_POLICY_DENIES"],
                By("KEY_POLICY_DENIES"),
            )
        },
        Case {
            broken: |a| a.role_policy(&a.role, REVOKED, policy("Deny", &["kms:Encrypt"])),
            ..Case::new(
                "a Deny in a policy of the role",
                key_denied("WRAP"),
                &["ROLE_POLICY_DENIES"],
                By("ROLE_POLICY_DENIES"),
            )
        },
        Case {
            broken: |a| a.control().set_boundary(&a.role, Some(allow(&["kms:DescribeKey"]))).unwrap(),
            ..Case::new(
                "a permissions boundary",
                key_denied("WRAP"),
                &["PERMISSIONS_BOUNDARY"],
                Undone("PERMISSIONS_BOUNDARY", |a| a.control().set_boundary(&a.role, None).unwrap()),
            )
        },
        Case {
            broken: |a| a.organisation(Some(all_but(&["kms:Decrypt"]))),
            ..Case::new(
                "the organisation forbids it",
                key_denied("UNWRAP"),
                &["SERVICE_CONTROL_POLICY"],
                Undone("SERVICE_CONTROL_POLICY", |a| a.organisation(None)),
            )
        },
        Case {
            broken: |a| a.key_policy(&[a.administrators()]),
            hands_over: Some(Account::across),
            ..Case::new(
                "a key policy without the role of another account",
                key_denied("DESCRIBE"),
                &["KEY_POLICY_WITHOUT_ROLE", "KEY_NOT_FOUND", "KEY_POLICY_DENIES", "NOT_YET_IN_EFFECT"],
                By("KEY_POLICY_WITHOUT_ROLE"),
            )
        },
        Case {
            broken: |a| {
                a.control().set_identity_policies(&a.elsewhere("elsewhere"), BTreeMap::new()).unwrap()
            },
            hands_over: Some(Account::across),
            ..Case::new(
                "a role of another account without permissions",
                key_denied("DESCRIBE"),
                ROLE_LACKS,
                By("ROLE_PERMISSION_MISSING"),
            )
        },
    ]
}

/// Nobody may use the key, or it is the wrong one.
fn key_cases() -> Vec<Case<Account>> {
    const WRONG_KIND: (&str, &str, &str) = ("DESCRIBE", "", "KEY_IS_OF_ANOTHER_KIND");
    vec![
        Case {
            broken: |a| a.state(KeyState::Disabled),
            ..Case::new(
                "a disabled key",
                ("DESCRIBE", "key", "Disabled"),
                &["KEY_DISABLED"],
                By("KEY_DISABLED"),
            )
        },
        Case {
            broken: |a| a.state(KeyState::PendingDeletion),
            ..Case::new(
                "a key that is being deleted",
                ("DESCRIBE", "key", "PendingDeletion"),
                &["KEY_PENDING_DELETION"],
                By("KEY_PENDING_DELETION"),
            )
        },
        Case {
            broken: |a| a.state(KeyState::PendingImport),
            ..Case::new(
                "a key without material",
                ("DESCRIBE", "key", "PendingImport"),
                &["KEY_PENDING_IMPORT"],
                Undone("KEY_PENDING_IMPORT", |a| a.state(KeyState::Enabled)),
            )
        },
        Case {
            hands_over: Some(|a| a.with_key(json!({ "spec": "RSA_2048" }))),
            ..Case::new("a key of another spec", WRONG_KIND, &["WRONG_KEY_SPEC_OR_USAGE"], ByAnother)
        },
        Case {
            hands_over: Some(|a| a.with_key(json!({ "spec": "HMAC_256" }))),
            ..Case::new("a key of another usage", WRONG_KIND, &["WRONG_KEY_SPEC_OR_USAGE"], ByAnother)
        },
        Case {
            broken: |a| a.role_policy(&a.role, "everything", allow(&["kms:*"])),
            hands_over: Some(|a| a.in_region(ELSEWHERE)),
            ..Case::new(
                "another region than the key's",
                ("DESCRIBE", "key", "NotFoundException"),
                &["KEY_IN_OTHER_REGION"],
                ByAnother,
            )
        },
    ]
}

/// AWS says neither yes nor no.
fn unanswered_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.fault(FaultEffect::Throttle),
            ..Case::new(
                "throttling",
                ("DESCRIBE", "", "ThrottlingException"),
                &["THROTTLED_BY_AWS"],
                Undone("THROTTLED_BY_AWS", |a| a.faults.clear_faults()),
            )
        },
        Case {
            broken: |a| a.fault(FaultEffect::Reset),
            ..Case::new(
                "an outage",
                ("DESCRIBE", "", ""),
                &["CLOUD_DID_NOT_ANSWER"],
                Undone("CLOUD_DID_NOT_ANSWER", |a| a.faults.clear_faults()),
            )
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_set_up_on_aws_is_diagnosed_and_mended_by_what_is_said() {
    let cases: Vec<_> = [trust_cases(), own_cases(), key_policy_cases(), key_cases(), unanswered_cases()]
        .into_iter()
        .flatten()
        .collect();
    let tenants = names(cases.len());
    let tenants: Vec<_> = tenants.iter().map(String::as_str).collect();
    let (world, aws) = World::on_aws(&tenants, allow_elsewhere).await;
    each(&world, &cases, |name| {
        let tenant = aws.tenant(name);
        Account {
            aws: Arc::clone(&aws),
            role: tenant.role.clone(),
            key: tenant.key.clone(),
            faults: world.cloud.control().clone(),
            change: RefCell::new(None),
        }
    })
    .await;
}

fn allow_elsewhere(config: &mut Config) {
    let aws = config.providers.aws.as_mut().unwrap();
    aws.allowed_regions = vec![aws.region.clone().unwrap(), ELSEWHERE.parse().unwrap()];
}
