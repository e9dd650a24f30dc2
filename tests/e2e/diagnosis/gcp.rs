//! On Google Cloud.

use std::sync::Arc;
use std::time::Duration;

use leasehold_api::v1;
use leasehold_cloudsim::GcpControl;
use leasehold_cloudsim::control::Control;
use leasehold_cloudsim::control::gcp::{KeyInput, PolicyPlace};
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_cloudsim::gcp::edits::Edit;
use leasehold_cloudsim::gcp::name::{KeyName, ProjectId, RoleName, ServiceAccountEmail};
use leasehold_cloudsim::gcp::{ExternalAnswer, Propagation, ProtectionLevel, Purpose, VersionState};
use serde_json::{Value, json};

use super::Mended::{By, ByAnother, ByTheKit, Later, Undone};
use super::shell::Call;
use super::{Case, Patient, each, names};
use crate::cloud::{Gcp, of};
use crate::world::World;

/// The project of a service account that a chain goes through.
const HOP_PROJECT: &str = "leasehold-hop";

/// A tenant on Google Cloud, and the platform's own service account.
struct Account {
    gcp: Arc<Gcp>,
    account: ServiceAccountEmail,
    key: KeyName,
    faults: Control,
}

impl Account {
    fn control(&self) -> &GcpControl {
        self.gcp.control()
    }

    /// The platform's own service account.
    fn own(&self) -> &ServiceAccountEmail {
        &self.gcp.scenario.base
    }

    // === What is broken ===

    fn edit(&self, edit: Edit) {
        self.control().edit(edit).unwrap();
    }

    fn undo_edits(&self) {
        self.control().edits().iter().for_each(|made| self.control().undo(made.id).unwrap());
    }

    /// Takes away every grant at this place.
    fn no_grant(&self, place: PolicyPlace) {
        self.control().set_policy(&place, &json!({ "bindings": [] })).unwrap();
    }

    /// The role of this name allows this alone.
    fn role(&self, id: &str, permissions: &[&str]) {
        let name = RoleName { project: self.account.project.clone(), id: id.to_owned() };
        let role = json!({ "title": id, "includedPermissions": permissions });
        self.control().put_custom_role(&name, role).unwrap();
    }

    fn version(&self, state: VersionState) {
        self.control().set_version_state(&self.key, 1, state).unwrap();
    }

    fn own_disabled(&self, disabled: bool) {
        self.control().set_service_account_disabled(self.own(), disabled).unwrap();
    }

    /// Whose credentials the machine that we run on gives.
    fn own_machine(&self, account: Option<ServiceAccountEmail>) {
        self.control().set_instance_service_account(account);
    }

    fn fault(&self, effect: FaultEffect) {
        self.faults.inject(FaultSpec { matching: of("GetCryptoKey"), effect, count: None });
    }

    // === What is handed over ===

    fn binding(&self) -> v1::GcpBinding {
        v1::GcpBinding {
            kms_key_name: self.key.to_string(),
            service_account: self.account.to_string(),
            ..Default::default()
        }
    }

    fn hop(&self) -> ServiceAccountEmail {
        format!("gateway@{HOP_PROJECT}.iam.gserviceaccount.com").parse().unwrap()
    }

    /// A service account that is reached through another.
    fn chained(&self) -> v1::binding::Cloud {
        v1::binding::Cloud::Gcp(v1::GcpBinding { delegates: vec![self.hop().to_string()], ..self.binding() })
    }

    /// A key that signs.
    fn signing(&self) -> v1::binding::Cloud {
        let name = KeyName { id: "signing".to_owned(), ..self.key.clone() };
        let input = KeyInput { purpose: Purpose::AsymmetricSign, ..KeyInput::new(name.clone()) };
        self.control().create_key(input).unwrap();
        v1::binding::Cloud::Gcp(v1::GcpBinding { kms_key_name: name.to_string(), ..self.binding() })
    }

    /// A key that an external key manager holds, which says no.
    fn external(&self) -> v1::binding::Cloud {
        let name = KeyName { id: "external".to_owned(), ..self.key.clone() };
        let input = KeyInput { protection_level: ProtectionLevel::External, ..KeyInput::new(name.clone()) };
        self.control().create_key(input).unwrap();
        self.control().set_external(&name, ExternalAnswer::PermissionDenied).unwrap();
        v1::binding::Cloud::Gcp(v1::GcpBinding { kms_key_name: name.to_string(), ..self.binding() })
    }

    /// The key, as if it were in another location.
    fn elsewhere(&self) -> v1::binding::Cloud {
        let mut name = self.key.clone();
        name.ring.location = "us-east1".to_owned();
        v1::binding::Cloud::Gcp(v1::GcpBinding { kms_key_name: name.to_string(), ..self.binding() })
    }

    // === What is done ===

    fn is_there(&self, account: &ServiceAccountEmail) -> bool {
        self.control().policy(&PolicyPlace::ServiceAccount(account.clone())).is_ok()
    }

    /// The key that a command's options name.
    fn key_of(&self, call: &Call, id: &str) -> Option<KeyName> {
        let (project, location) = (call.option("--project"), call.option("--location"));
        let ring = call.option("--keyring");
        let name = format!("projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{id}");
        let name: KeyName = name.parse().unwrap();
        // Of a key that is not there nobody can change anything, whatever the kit says.
        self.control().policy(&PolicyPlace::Key(name.clone())).ok().map(|_| name)
    }

    fn grant(&self, place: &PolicyPlace, call: &Call) {
        self.control().grant(place, call.option("--role"), call.option("--member")).unwrap();
    }

    fn iam(&self, call: &Call) {
        let control = self.control();
        if call.is("gcloud iam roles create") {
            let project: ProjectId = call.option("--project").parse().unwrap();
            let role: Value = serde_json::from_str(call.option("--file")).unwrap();
            control.put_project(&project);
            control.put_custom_role(&RoleName { project, id: call.word(4).to_owned() }, role).unwrap();
        } else if call.is("gcloud iam service-accounts enable") {
            control.set_service_account_disabled(&call.word(4).parse().unwrap(), false).unwrap();
        } else if call.is("gcloud iam service-accounts add-iam-policy-binding") {
            let account: ServiceAccountEmail = call.word(4).parse().unwrap();
            // What a command before it looked for, and would have made.
            if !self.is_there(&account) {
                control.put_service_account(&account).unwrap();
            }
            self.grant(&PolicyPlace::ServiceAccount(account), call);
        } else {
            panic!("nobody knows how to do this: {call:?}");
        }
    }

    fn kms(&self, call: &Call) {
        let control = self.control();
        let key = |id: &str| self.key_of(call, id);
        if call.is("gcloud kms keys add-iam-policy-binding") {
            let Some(key) = key(call.word(4)) else { return };
            self.grant(&PolicyPlace::Key(key), call);
        } else if call.is("gcloud kms keys update") {
            let Some(key) = key(call.word(4)) else { return };
            let (label, value) = call.option("--update-labels").split_once('=').unwrap();
            control.set_label(&key, label, value).unwrap();
        } else if call.is("gcloud kms keys versions enable") {
            let key = key(call.option("--key")).unwrap();
            control.set_version_state(&key, 1, VersionState::Enabled).unwrap();
            // Whoever comes that far has had the external key manager, if there is one, mended.
            control.set_external(&key, ExternalAnswer::Done).unwrap();
        } else if call.is("gcloud kms keys versions restore") {
            control
                .set_version_state(&key(call.option("--key")).unwrap(), 1, VersionState::Disabled)
                .unwrap();
        } else if call.is("gcloud kms keys versions import") {
            assert_eq!(call.option("--target-key-file"), "FILE");
            control.rotate_key(&key(call.option("--key")).unwrap()).unwrap();
        } else if call.is("gcloud kms keys set-primary-version") {
            // That came of the command before it.
            assert_eq!(call.option("--version"), "NUMBER");
        } else if call.is("gcloud kms keys versions create") {
            assert!(call.says("--primary"));
            control.rotate_key(&key(call.option("--key")).unwrap()).unwrap();
        } else {
            panic!("nobody knows how to do this: {call:?}");
        }
    }
}

impl Patient for Account {
    const PROGRAMS: &'static [&'static str] = &["gcloud"];

    fn prepare(&self) {
        self.control().set_propagation(Propagation::default());
        self.own_disabled(false);
        self.own_machine(Some(self.own().clone()));
        self.faults.clear_faults();
    }

    fn run(&self, call: &Call) {
        if call.is("gcloud kms") {
            self.kms(call);
        } else if call.is("gcloud services enable cloudkms.googleapis.com") {
            assert_eq!(call.option("--project"), self.key.ring.project.to_string());
            // It being off is a fault here.
            self.faults.clear_faults();
        } else {
            self.iam(call);
        }
    }
}

// === Cases ===

const NOT_LET_IN: &[&str] = &[
    "NO_TOKEN_CREATOR",
    "NOT_PROPAGATED",
    "SERVICE_ACCOUNT_MISSING",
    "SERVICE_ACCOUNT_DISABLED",
    "DENY_POLICY",
];
const NOT_LET_THROUGH: &[&str] = &[
    "NO_TOKEN_CREATOR",
    "NO_DELEGATION",
    "NOT_PROPAGATED",
    "SERVICE_ACCOUNT_MISSING",
    "SERVICE_ACCOUNT_DISABLED",
    "DENY_POLICY",
];
const NO_KEY_GRANT: &[&str] = &["NO_KEY_GRANT", "KEY_MISSING", "NOT_PROPAGATED", "DENY_POLICY"];

const ENCRYPT: &str = "cloudkms.cryptoKeyVersions.useToEncrypt";
const DECRYPT: &str = "cloudkms.cryptoKeyVersions.useToDecrypt";
const GET: &str = "cloudkms.cryptoKeys.get";

const DENIED: (&str, &str, &str) = ("ASSUME", "trust", "PERMISSION_DENIED/IAM_PERMISSION_DENIED");

fn key_denied(check: &'static str) -> (&'static str, &'static str, &'static str) {
    (check, "key", "PERMISSION_DENIED/IAM_PERMISSION_DENIED")
}

/// The service account does not let us in.
fn trust_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.no_grant(PolicyPlace::ServiceAccount(a.account.clone())),
            activated: true,
            ..Case::new("no token creator", DENIED, NOT_LET_IN, By("NO_TOKEN_CREATOR"))
        },
        Case {
            broken: |a| a.no_grant(PolicyPlace::ServiceAccount(a.account.clone())),
            ..Case::new("nothing was done yet", DENIED, NOT_LET_IN, ByTheKit)
        },
        Case {
            broken: |a| a.role("leaseholdTokenCreator", &["iam.serviceAccounts.getOpenIdToken"]),
            ..Case::new("a role that allows something else", DENIED, NOT_LET_IN, By("NO_TOKEN_CREATOR"))
        },
        Case {
            broken: |a| {
                a.no_grant(PolicyPlace::ServiceAccount(a.account.clone()));
                a.control().set_propagation(Propagation { iam_policy_ms: 120_000, ..Propagation::default() });
                let role = format!("projects/{}/roles/leaseholdTokenCreator", a.account.project);
                let (place, member) =
                    (PolicyPlace::ServiceAccount(a.account.clone()), format!("serviceAccount:{}", a.own()));
                a.control().grant(&place, &role, &member).unwrap();
            },
            ..Case::new("a grant of just now", DENIED, NOT_LET_IN, Later(Duration::from_secs(121)))
        },
        Case {
            broken: |a| a.control().set_service_account_disabled(&a.account, true).unwrap(),
            ..Case::new(
                "a disabled service account",
                ("ASSUME", "trust", "FAILED_PRECONDITION"),
                &["SERVICE_ACCOUNT_DISABLED"],
                By("SERVICE_ACCOUNT_DISABLED"),
            )
        },
        Case {
            broken: |a| a.control().delete_service_account(&a.account).unwrap(),
            ..Case::new(
                "no service account",
                ("ASSUME", "trust", "NOT_FOUND"),
                &["SERVICE_ACCOUNT_MISSING"],
                By("SERVICE_ACCOUNT_MISSING"),
            )
        },
        Case {
            broken: |a| a.no_grant(PolicyPlace::ServiceAccount(a.hop())),
            hands_over: Some(Account::chained),
            ..Case::new(
                "a chain that does not let us through",
                DENIED,
                NOT_LET_THROUGH,
                By("NO_TOKEN_CREATOR"),
            )
        },
        Case {
            broken: |a| a.no_grant(PolicyPlace::ServiceAccount(a.account.clone())),
            hands_over: Some(Account::chained),
            ..Case::new("a chain whose end does not trust it", DENIED, NOT_LET_THROUGH, By("NO_DELEGATION"))
        },
    ]
}

/// We are nobody, whatever the service account says.
fn own_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.own_disabled(true),
            ..Case::new(
                "our own service account is disabled",
                ("OWN_IDENTITY", "", "PERMISSION_DENIED"),
                &["OWN_ACCOUNT_DISABLED", "NO_OWN_CREDENTIALS"],
                Undone("OWN_ACCOUNT_DISABLED", |a| a.own_disabled(false)),
            )
        },
        Case {
            broken: |a| a.own_machine(None),
            ..Case::new(
                "our machine has no service account",
                ("OWN_IDENTITY", "", "NOT_FOUND"),
                &["NO_OWN_CREDENTIALS", "OWN_ACCOUNT_DISABLED"],
                Undone("NO_OWN_CREDENTIALS", |a| a.own_machine(Some(a.own().clone()))),
            )
        },
    ]
}

/// The service account may not use the key.
#[expect(clippy::too_many_lines, reason = "a table")]
fn grant_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.no_grant(PolicyPlace::Key(a.key.clone())),
            ..Case::new("no grant on the key", key_denied("DESCRIBE"), NO_KEY_GRANT, By("NO_KEY_GRANT"))
        },
        Case {
            broken: |a| a.role("leaseholdKeyUser", &[DECRYPT, GET]),
            ..Case::new(
                "no useToEncrypt",
                key_denied("WRAP"),
                &["NO_USE_TO_ENCRYPT", "NOT_PROPAGATED", "DENY_POLICY"],
                By("NO_USE_TO_ENCRYPT"),
            )
        },
        Case {
            broken: |a| a.role("leaseholdKeyUser", &[ENCRYPT, GET]),
            ..Case::new(
                "no useToDecrypt",
                key_denied("UNWRAP"),
                &["NO_USE_TO_DECRYPT", "NOT_PROPAGATED", "DENY_POLICY"],
                By("NO_USE_TO_DECRYPT"),
            )
        },
        Case {
            broken: |a| a.role("leaseholdKeyUser", &[ENCRYPT, DECRYPT]),
            activated: true,
            ..Case::new(
                "no get",
                key_denied("DESCRIBE"),
                &["NO_KEY_GET", "NOT_PROPAGATED", "DENY_POLICY"],
                By("NO_KEY_GET"),
            )
        },
        Case {
            broken: |a| {
                let (project, permissions) = (a.key.ring.project.clone(), Vec::new());
                a.edit(Edit::Deny { project, principals: Vec::new(), permissions });
            },
            ..Case::new(
                "a deny policy",
                key_denied("WRAP"),
                &["NO_KEY_GRANT", "NOT_PROPAGATED", "DENY_POLICY"],
                Undone("DENY_POLICY", Account::undo_edits),
            )
        },
        Case {
            hands_over: Some(Account::elsewhere),
            ..Case::new("another location than the key's", key_denied("DESCRIBE"), NO_KEY_GRANT, ByAnother)
        },
        Case {
            broken: |a| a.control().set_labels(&a.key, Default::default()).unwrap(),
            ..Case::new("no label", ("DEPUTY", "", "LABEL_MISSING"), &["LABEL_MISSING"], By("LABEL_MISSING"))
        },
        Case {
            broken: |a| a.control().set_label(&a.key, "leasehold-challenge", "lh-anothers").unwrap(),
            ..Case::new(
                "another binding's label",
                ("DEPUTY", "", "LABEL_DIFFERS"),
                &["LABEL_DIFFERS"],
                By("LABEL_DIFFERS"),
            )
        },
        Case {
            broken: |a| {
                a.fault(FaultEffect::Error {
                    status: 403,
                    code: "PERMISSION_DENIED".to_owned(),
                    message: "Cloud KMS API has not been used in project 1 before or it is disabled."
                        .to_owned(),
                });
            },
            ..Case::new(
                "the API is off",
                ("DESCRIBE", "key", "PERMISSION_DENIED"),
                &["KMS_API_OFF"],
                By("KMS_API_OFF"),
            )
        },
    ]
}

/// Nobody may use the key, or it is the wrong one.
fn key_cases() -> Vec<Case<Account>> {
    fn unusable(code: &'static str) -> (&'static str, &'static str, &'static str) {
        ("DESCRIBE", "key", code)
    }
    vec![
        Case {
            broken: |a| a.version(VersionState::Disabled),
            activated: true,
            ..Case::new(
                "a disabled version",
                unusable("DISABLED"),
                &["KEY_VERSION_DISABLED"],
                By("KEY_VERSION_DISABLED"),
            )
        },
        Case {
            broken: |a| a.version(VersionState::DestroyScheduled),
            ..Case::new(
                "a version that is being destroyed",
                unusable("DESTROY_SCHEDULED"),
                &["KEY_VERSION_DESTROY_SCHEDULED"],
                By("KEY_VERSION_DESTROY_SCHEDULED"),
            )
        },
        Case {
            broken: |a| a.version(VersionState::Destroyed),
            ..Case::new(
                "a destroyed version",
                unusable("DESTROYED"),
                &["KEY_VERSION_DESTROYED"],
                By("KEY_VERSION_DESTROYED"),
            )
        },
        Case {
            broken: |a| a.version(VersionState::PendingImport),
            ..Case::new(
                "a version without material",
                unusable("PENDING_IMPORT"),
                &["KEY_MATERIAL_MISSING"],
                By("KEY_MATERIAL_MISSING"),
            )
        },
        Case {
            hands_over: Some(Account::external),
            ..Case::new(
                "an external key manager that says no",
                ("WRAP", "key", "FAILED_PRECONDITION/EXTERNAL_PERMISSION_DENIED"),
                &["EXTERNAL_KEY_DENIED"],
                By("EXTERNAL_KEY_DENIED"),
            )
        },
        Case {
            hands_over: Some(Account::signing),
            ..Case::new(
                "a key of another purpose",
                ("DESCRIBE", "", "WRONG_PURPOSE"),
                &["WRONG_PURPOSE"],
                ByAnother,
            )
        },
    ]
}

/// Google says neither yes nor no.
fn unanswered_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.fault(FaultEffect::Throttle),
            ..Case::new(
                "throttling",
                ("DEPUTY", "", "RESOURCE_EXHAUSTED/RATE_LIMIT_EXCEEDED"),
                &["CLOUD_THROTTLES"],
                Undone("CLOUD_THROTTLES", |a| a.faults.clear_faults()),
            )
        },
        Case {
            broken: |a| a.fault(FaultEffect::Reset),
            ..Case::new(
                "an outage",
                ("DEPUTY", "", ""),
                &["CLOUD_UNAVAILABLE"],
                Undone("CLOUD_UNAVAILABLE", |a| a.faults.clear_faults()),
            )
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_set_up_on_gcp_is_diagnosed_and_mended_by_what_is_said() {
    let cases: Vec<_> = [trust_cases(), own_cases(), grant_cases(), key_cases(), unanswered_cases()]
        .into_iter()
        .flatten()
        .collect();
    let tenants = names(cases.len());
    let tenants: Vec<_> = tenants.iter().map(String::as_str).collect();
    let (world, gcp) = World::on_gcp(&tenants, |_| {}).await;
    each(&world, &cases, |name| {
        let tenant = gcp.tenant(name);
        Account {
            gcp: Arc::clone(&gcp),
            account: tenant.service_account.clone(),
            key: tenant.key.clone(),
            faults: world.cloud.control().clone(),
        }
    })
    .await;
}
