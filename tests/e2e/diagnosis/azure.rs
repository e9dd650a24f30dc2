//! On Azure.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leasehold_api::v1::{self, Verdict};
use leasehold_cloudsim::AzureControl;
use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::azure::ids::{AppId, DirectoryId, KeyUrl, VaultName};
use leasehold_cloudsim::azure::{Cloud, Firewall, FirewallAction, KeyKind, Propagation};
use leasehold_cloudsim::control::Control;
use leasehold_cloudsim::control::azure::model::{DirectorySpec, KeySpec, KeyValidity, VaultSpec};
use leasehold_cloudsim::faults::{FaultEffect, FaultSpec};
use leasehold_provider_azure::Identity;
use serde_json::json;

use super::Mended::{By, ByAnother, ByTheKit, Later, Undone};
use super::shell::{self, Call, SUBSCRIPTION};
use super::{Case, Patient, each, finding, names, verify};
use crate::cloud::{Azure, of};
use crate::world::{BINDING, World};

/// "Key Vault Reader", which may look at keys and not use them.
const READER: &str = "21090545-7ca7-4776-b22c-e363652d74d2";

/// A directory that our application was let into, and that no vault belongs to.
const ANOTHER_DIRECTORY: &str = "20000000-0000-4000-8000-00000000aaaa";

/// A tenant on Azure, and our own application.
struct Account {
    azure: Arc<Azure>,
    directory: DirectoryId,
    key: KeyUrl,
    faults: Control,
    /// Where the service reads the secret of our application.
    secret: PathBuf,
    /// Whether who runs commands signed in to another directory than the tenant's own.
    elsewhere: Cell<bool>,
}

impl Account {
    fn control(&self) -> &AzureControl {
        self.azure.control()
    }

    fn app(&self) -> AppId {
        self.azure.scenario.client_id.clone()
    }

    // === What is broken ===

    fn edit(&self, edit: Edit) {
        self.control().edit(edit).unwrap();
    }

    fn undo_edits(&self) {
        self.control().edits().iter().for_each(|made| self.control().undo(made.id).unwrap());
    }

    /// Takes away every role of our service principal.
    fn no_role(&self) {
        for assignment in self.control().world().role_assignments {
            if Some(assignment.principal.to_string()) == self.principal() {
                self.control().delete_role_assignment(&assignment.name).unwrap();
            }
        }
    }

    fn assign(&self, role: &str) {
        let (principal, scope) = (self.principal().unwrap(), self.control().key_scope(&self.key).unwrap());
        self.assign_at(role, &principal, &scope);
    }

    fn tag(&self, challenge: Option<&str>) {
        let tags = challenge.map(|challenge| ("leasehold-challenge".to_owned(), challenge.to_owned()));
        self.control().set_tags(&self.key, tags.into_iter().collect()).unwrap();
    }

    fn validity(&self, not_before: Option<i64>, expires: Option<i64>) {
        let validity = KeyValidity { not_before_in_seconds: not_before, expires_in_seconds: expires };
        self.control().set_key_validity(&self.key, None, validity).unwrap();
    }

    fn fault(&self, effect: FaultEffect) {
        self.faults.inject(FaultSpec { matching: of("GetKey"), effect, count: None });
    }

    // === What is handed over ===

    fn in_directory(&self, directory: &str) -> v1::binding::Cloud {
        let (key_url, directory_id) = (self.key.to_string(), directory.to_owned());
        v1::binding::Cloud::Azure(v1::AzureBinding { key_url, directory_id })
    }

    fn with_key(&self, key: &str) -> v1::binding::Cloud {
        let (key_url, directory_id) = (key.to_owned(), self.directory.to_string());
        v1::binding::Cloud::Azure(v1::AzureBinding { key_url, directory_id })
    }

    /// A key of another kind.
    fn elliptic(&self) -> v1::binding::Cloud {
        let spec = KeySpec {
            vault: self.key.vault().clone(),
            name: "elliptic".to_owned(),
            kind: KeyKind::Ec,
            key_size: 2048,
            key_ops: None,
            tags: Default::default(),
        };
        self.with_key(&self.control().create_key(spec).unwrap().to_string())
    }

    /// A key of a vault that goes by access policies, as vaults do that were made before there were roles for keys.
    fn in_old_vault(&self) -> v1::binding::Cloud {
        let vault: VaultName = format!("{}-old", self.key.vault()).parse().unwrap();
        let spec = VaultSpec { access_policies: true, ..VaultSpec::in_directory(self.directory.clone()) };
        self.control().put_vault(&vault, spec).unwrap();
        let spec = serde_json::from_value(json!({ "vault": vault, "name": "main" })).unwrap();
        self.with_key(&self.control().create_key(spec).unwrap().to_string())
    }

    // === What is done ===

    /// The object id of our service principal in the tenant's directory.
    fn principal(&self) -> Option<String> {
        let directories = self.control().world().directories;
        let directory = directories.into_iter().find(|known| known.id == self.directory)?;
        let principal = directory.principals.get(&self.app()).filter(|principal| principal.present)?;
        Some(principal.object_id.to_string())
    }

    fn assign_at(&self, role: &str, principal: &str, scope: &str) {
        let role = format!("/providers/Microsoft.Authorization/roleDefinitions/{role}");
        let properties = json!({ "roleDefinitionId": role, "principalId": principal, "principalType": "ServicePrincipal" });
        self.control().put_role_assignment(&json!({ "properties": properties, "scope": scope })).unwrap();
    }

    /// What is asked for in a command: the object id of a principal or the resource id of a vault.
    fn answered(&self, text: &str) -> String {
        let Some((question, rest)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else {
            return text.to_owned();
        };
        let words: Vec<_> = question.split('+').collect();
        let answer = match words[..] {
            ["az", "ad", "sp", "show", "--id", app, ..] if app == self.app().as_str() => {
                self.principal().unwrap()
            }
            ["az", "keyvault", "show", "--name", vault, ..] => {
                let vaults = self.control().world().vaults;
                vaults.into_iter().find(|known| known.name.as_str() == vault).unwrap().resource_id
            }
            _ => panic!("nobody knows the answer: {question}"),
        };
        format!("{answer}{rest}")
    }

    fn set_attributes(&self, call: &Call) {
        let control = self.control();
        let key: KeyUrl = call.option("--id").parse().unwrap();
        // Of a key that is not there nobody can change anything, whatever the kit says.
        if control.world().keys.iter().all(|known| known.url != key) {
            return;
        }
        if let Some(enabled) = call.find("--enabled") {
            control.set_key_enabled(&key, None, enabled.parse().unwrap()).unwrap();
        } else if let Some((name, value)) = call.find("--tags").and_then(|tag| tag.split_once('=')) {
            control.set_tags(&key, [(name.to_owned(), value.to_owned())].into()).unwrap();
        } else if call.find("--ops").is_some() {
            control.set_key_ops(&key, &["wrapKey".to_owned(), "unwrapKey".to_owned()]).unwrap();
        } else if call.find("--expires").is_some_and(|end| end.ends_with("00:00:00Z")) {
            self.validity(None, Some(365 * 24 * 3600));
        } else if call.find("--not-before").is_some_and(|start| start.ends_with("00:00:00Z")) {
            self.validity(Some(-365 * 24 * 3600), None);
        } else {
            panic!("nobody knows how to do this: {call:?}");
        }
    }
}

impl Patient for Account {
    const PROGRAMS: &'static [&'static str] = &["az"];

    fn prepare(&self) {
        self.control().set_propagation(Propagation::default());
        if self.control().world().directories.iter().all(|known| known.id.as_str() != ANOTHER_DIRECTORY) {
            let directory = ANOTHER_DIRECTORY.parse().unwrap();
            let (name, domains) = ("another".to_owned(), Vec::new());
            let spec = DirectorySpec { name, domains, cloud: Cloud::Public, subscription: None };
            self.control().put_directory(&directory, spec).unwrap();
            self.control().consent(&directory, &self.app()).unwrap();
        }
    }

    fn run(&self, call: &Call) {
        let control = self.control();
        if call.is("az login") {
            self.elsewhere.set(call.option("--tenant") != self.directory.as_str());
        } else if self.elsewhere.get() {
            // Whoever cannot sign in there, or has nothing there, changes nothing.
        } else if call.is("az account set") {
            assert_eq!(call.option("--subscription"), SUBSCRIPTION);
        } else if call.is("az ad sp create") {
            control.consent(&self.directory, &call.option("--id").parse().unwrap()).unwrap();
        } else if call.is("az ad sp update") {
            assert_eq!(call.option("--set"), "accountEnabled=true");
            let app = call.option("--id").parse().unwrap();
            control.set_service_principal_enabled(&self.directory, &app, true).unwrap();
        } else if call.is("az role assignment create") {
            let principal = self.answered(call.option("--assignee-object-id"));
            self.assign_at(call.option("--role"), &principal, &self.answered(call.option("--scope")));
        } else if call.is("az keyvault key set-attributes") {
            self.set_attributes(call);
        } else if call.is("az keyvault key recover") {
            assert_eq!(call.option("--vault-name"), self.key.vault().as_str());
            control.recover_key(&self.key).unwrap();
        } else if call.is("az keyvault set-policy") {
            let permissions = ["get", "wrapKey", "unwrapKey"].map(str::to_owned);
            assert!(permissions.iter().all(|permission| call.says(permission)));
            let principal = self.answered(call.option("--object-id")).parse().unwrap();
            let vault = call.option("--name").parse().unwrap();
            control.set_access_policy(&vault, &principal, &permissions).unwrap();
        } else if call.is("az keyvault network-rule add") {
            assert_eq!(call.option("--ip-address"), "ADDRESS");
            let ours = vec!["127.0.0.1".parse().unwrap()];
            let firewall = Firewall { default_action: FirewallAction::Deny, ip_rules: ours };
            control.set_firewall(&call.option("--name").parse().unwrap(), firewall).unwrap();
        } else if call.is("az ad app credential reset") {
            let made = control.add_secret(&call.option("--id").parse().unwrap(), None).unwrap();
            std::fs::write(&self.secret, made.value.expose()).unwrap();
        } else {
            panic!("nobody knows how to do this: {call:?}");
        }
    }
}

// === Cases ===

fn denied(code: &'static str) -> (&'static str, &'static str, &'static str) {
    ("ASSUME", "trust", code)
}

/// The tenant's directory does not let us in.
fn trust_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.control().delete_service_principal(&a.directory, &a.app()).unwrap(),
            ..Case::new(
                "no consent",
                denied("AADSTS700016"),
                &["NO_CONSENT", "DIRECTORY_DIFFERS"],
                By("NO_CONSENT"),
            )
        },
        Case {
            broken: |a| a.control().set_service_principal_enabled(&a.directory, &a.app(), false).unwrap(),
            activated: true,
            ..Case::new(
                "a disabled service principal",
                denied("AADSTS7000112"),
                &["PRINCIPAL_DISABLED"],
                By("PRINCIPAL_DISABLED"),
            )
        },
        Case {
            broken: |a| a.edit(Edit::ConditionalAccessBlock { directory: a.directory.clone(), app: a.app() }),
            ..Case::new(
                "conditional access",
                denied("AADSTS53003"),
                &["CONDITIONAL_ACCESS"],
                Undone("CONDITIONAL_ACCESS", Account::undo_edits),
            )
        },
        Case {
            hands_over: Some(|a| a.in_directory("20000000-0000-4000-8000-00000000ffff")),
            ..Case::new(
                "a directory that there is not",
                denied("AADSTS90002"),
                &["DIRECTORY_DIFFERS"],
                ByAnother,
            )
        },
        Case {
            hands_over: Some(|a| a.in_directory(ANOTHER_DIRECTORY)),
            ..Case::new(
                "another directory than the vault's",
                ("DESCRIBE", "key", "Unauthorized"),
                &["DIRECTORY_DIFFERS"],
                ByAnother,
            )
        },
        Case {
            hands_over: Some(|a| a.in_directory(a.azure.scenario.directory.as_str())),
            ..Case::new(
                "the platform's own directory",
                ("DEPUTY", "", "HOME_DIRECTORY"),
                &["DIRECTORY_DIFFERS"],
                ByAnother,
            )
        },
    ]
}

/// Our own application cannot prove itself.
fn own_cases() -> Vec<Case<Account>> {
    fn own(code: &'static str) -> (&'static str, &'static str, &'static str) {
        ("OWN_IDENTITY", "", code)
    }
    vec![
        Case {
            broken: |a| a.edit(Edit::ExpireSecret { app: a.app() }),
            ..Case::new("an expired secret", own("AADSTS7000222"), &["SECRET_EXPIRED"], By("SECRET_EXPIRED"))
        },
        Case {
            broken: |a| std::fs::write(&a.secret, "an-id-taken-for-a-secret").unwrap(),
            ..Case::new("a wrong secret", own("AADSTS7000215"), &["SECRET_WRONG"], By("SECRET_WRONG"))
        },
        Case {
            broken: |a| a.control().set_app_enabled(&a.app(), false).unwrap(),
            ..Case::new(
                "our application was deactivated",
                own("AADSTS7000112"),
                &["OWN_APPLICATION"],
                Undone("OWN_APPLICATION", |a| a.control().set_app_enabled(&a.app(), true).unwrap()),
            )
        },
    ]
}

/// The vault does not let the principal use the key.
#[expect(clippy::too_many_lines, reason = "a table")]
fn vault_cases() -> Vec<Case<Account>> {
    const NO_ROLE: &[&str] = &["ROLE_MISSING", "ROLE_NOT_PROPAGATED", "KEY_NAME_WRONG"];
    const BY_ROLES: (&str, &str, &str) = ("DESCRIBE", "key", "ForbiddenByRbac");
    vec![
        Case { broken: Account::no_role, ..Case::new("no role", BY_ROLES, NO_ROLE, By("ROLE_MISSING")) },
        Case {
            broken: |a| a.control().delete_service_principal(&a.directory, &a.app()).unwrap(),
            ..Case::new(
                "nothing was done yet",
                denied("AADSTS700016"),
                &["NO_CONSENT", "DIRECTORY_DIFFERS"],
                ByTheKit,
            )
        },
        Case {
            broken: |a| {
                a.no_role();
                a.control().set_propagation(Propagation { rbac_ms: 600_000, ..Propagation::default() });
                a.assign("e147488a-f6f5-4113-8e2d-b22465e65bf6");
            },
            ..Case::new("a role of just now", BY_ROLES, NO_ROLE, Later(Duration::from_secs(601)))
        },
        Case {
            broken: |a| {
                a.no_role();
                a.assign(READER);
            },
            ..Case::new(
                "a lesser role",
                ("WRAP", "key", "ForbiddenByRbac"),
                &["ROLE_INCOMPLETE", "ROLE_NOT_PROPAGATED"],
                By("ROLE_INCOMPLETE"),
            )
        },
        Case {
            hands_over: Some(|a| a.with_key(&a.key.to_string().replace("/keys/main", "/keys/mian"))),
            ..Case::new(
                "a typo in the key's name",
                ("DESCRIBE", "key", "KeyNotFound"),
                &["KEY_NAME_WRONG", "KEY_DELETED"],
                ByAnother,
            )
        },
        Case {
            hands_over: Some(Account::in_old_vault),
            ..Case::new(
                "a vault that goes by access policies",
                ("DESCRIBE", "key", "ForbiddenByPolicy"),
                &["ACCESS_POLICY"],
                By("ACCESS_POLICY"),
            )
        },
        Case {
            broken: |a| a.control().set_firewall(a.key.vault(), Firewall::new(FirewallAction::Deny)).unwrap(),
            ..Case::new(
                "a firewall",
                ("DESCRIBE", "key", "ForbiddenByFirewall"),
                &["FIREWALL"],
                By("FIREWALL"),
            )
        },
        Case {
            broken: |a| a.tag(None),
            ..Case::new(
                "no tag",
                ("DEPUTY", "", "CHALLENGE_MISSING"),
                &["CHALLENGE_MISSING"],
                By("CHALLENGE_MISSING"),
            )
        },
        Case {
            broken: |a| a.tag(Some("lh-anothers")),
            ..Case::new(
                "another binding's tag",
                ("DEPUTY", "", "CHALLENGE_DIFFERS"),
                &["CHALLENGE_DIFFERS"],
                By("CHALLENGE_DIFFERS"),
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
            broken: |a| a.control().set_key_enabled(&a.key, None, false).unwrap(),
            activated: true,
            ..Case::new("a disabled key", unusable("KeyDisabled"), &["KEY_DISABLED"], By("KEY_DISABLED"))
        },
        Case {
            broken: |a| a.control().delete_key(&a.key).unwrap(),
            activated: true,
            ..Case::new("a deleted key", unusable("KeyNotFound"), &["KEY_DELETED"], By("KEY_DELETED"))
        },
        Case {
            broken: |a| a.validity(None, Some(-24 * 3600)),
            ..Case::new("an expired key", unusable("KeyExpired"), &["KEY_EXPIRED"], By("KEY_EXPIRED"))
        },
        Case {
            broken: |a| a.validity(Some(24 * 3600), None),
            ..Case::new(
                "a key of tomorrow",
                unusable("KeyNotYetValid"),
                &["NOT_YET_VALID"],
                By("NOT_YET_VALID"),
            )
        },
        Case {
            broken: |a| {
                a.control().set_key_ops(&a.key, &["encrypt".to_owned(), "wrapKey".to_owned()]).unwrap()
            },
            ..Case::new(
                "operations without unwrapKey",
                ("DESCRIBE", "", "OPERATIONS_MISSING"),
                &["OPERATION_NOT_ALLOWED"],
                By("OPERATION_NOT_ALLOWED"),
            )
        },
        Case {
            hands_over: Some(Account::elliptic),
            ..Case::new("a key of another kind", ("DESCRIBE", "", ""), &["KEY_UNFIT"], ByAnother)
        },
    ]
}

/// Azure says neither yes nor no.
fn unanswered_cases() -> Vec<Case<Account>> {
    vec![
        Case {
            broken: |a| a.fault(FaultEffect::Throttle),
            ..Case::new(
                "throttling",
                ("DEPUTY", "", "Throttled"),
                &["THROTTLED"],
                Undone("THROTTLED", |a| a.faults.clear_faults()),
            )
        },
        Case {
            broken: |a| a.fault(FaultEffect::Reset),
            ..Case::new(
                "an outage",
                ("DEPUTY", "", ""),
                &["VAULT_AWAY"],
                Undone("VAULT_AWAY", |a| a.faults.clear_faults()),
            )
        },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_broken_set_up_on_azure_is_diagnosed_and_mended_by_what_is_said() {
    let cases: Vec<_> = [trust_cases(), own_cases(), vault_cases(), key_cases(), unanswered_cases()]
        .into_iter()
        .flatten()
        .collect();
    let tenants = names(cases.len());
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    let tenants: Vec<_> = tenants.iter().map(String::as_str).collect();
    std::fs::write(&secret, "known-once-the-directory-is-built").unwrap();
    let (world, azure) = World::on_azure(&tenants, |config| {
        let azure = config.providers.azure.as_mut().unwrap();
        azure.identity = Identity::Secret { file: secret.clone() };
    })
    .await;
    std::fs::write(&secret, azure.scenario.client_secret.expose()).unwrap();
    each(&world, &cases, |name| {
        let tenant = azure.tenant(name);
        Account {
            azure: Arc::clone(&azure),
            directory: tenant.directory.clone(),
            key: tenant.key.clone(),
            faults: world.cloud.control().clone(),
            secret: secret.clone(),
            elsewhere: Cell::new(false),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_without_purge_protection_is_warned_of_and_what_is_said_turns_it_on() {
    let (world, azure) = World::on_azure(&["acme"], |_| {}).await;
    let vault = azure.tenant("acme").vault.clone();
    azure.control().set_purge_protection(&vault, false).unwrap();
    world.onboard("acme").await;
    let binding = format!("tenants/acme/bindings/{BINDING}");

    let warned = verify(&world, &binding).await;
    let purge = finding(&warned, "PURGE_PROTECTION");
    assert_eq!((warned.verdict(), purge.verdict()), (Verdict::Warning, Verdict::Warning));
    assert_eq!(purge.causes[0].reason, "PURGE_PROTECTION_OFF");
    let calls = shell::run(&purge.causes[0].mend, Account::PROGRAMS);
    assert!(
        calls.len() == 1 && calls[0].is("az keyvault update") && calls[0].option("--name") == vault.as_str()
    );
    azure
        .control()
        .set_purge_protection(&vault, calls[0].option("--enable-purge-protection") == "true")
        .unwrap();
    assert_eq!(finding(&verify(&world, &binding).await, "PURGE_PROTECTION").verdict(), Verdict::Passed);
}
