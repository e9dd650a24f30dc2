//! What no step of a proof shows: rotation, where the material is, how far away the key is, and, if asked for, whether the
//! role may do more than it needs.
//!
//! Only reads and dry runs. A dry run of KMS checks permissions and does nothing
//! (<https://docs.aws.amazon.com/kms/latest/developerguide/testing-permissions.html>).

use aws_credential_types::Credentials;
use aws_sdk_kms::operation::create_grant::CreateGrantError;
use aws_sdk_kms::operation::re_encrypt::ReEncryptError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::GrantOperation;
use leasehold_provider::{Cause, Depth, Fault, Finding, ProviderError, Verdict, Warning};

use crate::assume::{self, Less};
use crate::clients::Clients;
use crate::error::{Call, failure};
use crate::key::{self, SessionKey};
use crate::kit::{Documents, POLICY_NAME, shell};
use crate::policy;
use crate::settings::Plan;

/// A binding whose session works.
pub(crate) struct Inspection<'a> {
    pub(crate) clients: &'a Clients,
    pub(crate) plan: &'a Plan,
    /// Who we are, as trust policies name us.
    pub(crate) own: Option<&'a str>,
    pub(crate) key: SessionKey<'a>,
}

/// Whether something that the role does not need is allowed to it.
type Probed = Result<bool, ProviderError>;

pub(crate) async fn inspect(inspection: &Inspection<'_>, depth: Depth) -> Vec<Finding> {
    let mut findings = inspection.key_findings().await;
    findings.push(inspection.region());
    if depth == Depth::ExcessPermissions {
        findings.extend(inspection.excess_permissions().await);
    }
    findings
}

impl Inspection<'_> {
    /// What the key's metadata and rotation say.
    async fn key_findings(&self) -> Vec<Finding> {
        let metadata = match self.key.metadata().await {
            Ok((metadata, _)) => metadata,
            Err(error) => return vec![skipped("KEY", "look at the key", &error)],
        };
        let rotates = self.key.rotates().await;
        let warnings = key::warnings(&metadata, &rotates);
        let checks: [(&'static str, &str, &str, &[&str]); 3] = [
            (
                "ROTATION",
                "rotation of the key",
                "KMS rotates the key, or its kind is rotated by its owner",
                &["ROTATION_OFF", "ROTATION_UNKNOWN"],
            ),
            (
                "KEY_MATERIAL",
                "where the key's material is",
                "in KMS, without an expiry",
                &["MATERIAL_EXPIRES", "CUSTOM_KEY_STORE"],
            ),
            (
                "REPLICAS",
                "replicas of the key",
                "there are none: disabling the key disables all of it",
                &["MULTI_REGION"],
            ),
        ];
        let finding = |(check, title, passed, reasons): (&'static str, &str, &str, &[&str])| {
            let of_check: Vec<_> = warnings.iter().filter(|w| reasons.contains(&w.reason)).collect();
            let Some(first) = of_check.first() else {
                return Finding::new(check, title, Verdict::Passed, passed);
            };
            let finding = match &rotates {
                Err(error) if first.reason == "ROTATION_UNKNOWN" => Finding {
                    code: error.code().map(Into::into),
                    request_id: error.request_id().map(Into::into),
                    ..Finding::new(check, title, Verdict::Warning, error.detail())
                },
                _ => Finding::new(check, title, Verdict::Warning, seen(first.reason)),
            };
            of_check.into_iter().fold(finding, |finding, warning| finding.because(self.advise(warning)))
        };
        checks.into_iter().map(finding).collect()
    }

    fn advise(&self, warning: &Warning) -> Cause {
        let key = &self.plan.key;
        let (account, region) = (shell::with_credentials_of(key.account()), key.region());
        let mend = match warning.reason {
            "ROTATION_OFF" => {
                format!("{account}\naws kms enable-key-rotation --region {region} --key-id {key}")
            }
            "ROTATION_UNKNOWN" => {
                let statement =
                    &self.documents().map(|documents| documents.key_statement).unwrap_or_default();
                format!("{account}\n{}", shell::add_to_key_policy(key, "key-statement.json", statement))
            }
            "MULTI_REGION" => format!(
                "{account}\naws kms describe-key --region {region} --key-id {key} --query \
                 KeyMetadata.MultiRegionConfiguration\n# To revoke, disable the replicas that it lists as well."
            ),
            _ => format!("# There is nothing to change about {key}; keep it in mind."),
        };
        Cause { reason: warning.reason, text: warning.text.clone(), mend }
    }

    /// Each proof asks STS near us and KMS where the key is.
    fn region(&self) -> Finding {
        let (ours, theirs) = (&self.clients.sts_region, self.plan.key.region());
        let title = "distance to the key";
        if ours == theirs {
            let detail = format!("the key is in our own region, {ours}");
            return Finding::new("REGION", title, Verdict::Passed, detail);
        }
        let detail = format!(
            "the key is in {theirs} and Leasehold in {ours}: each key that is not cached crosses between them"
        );
        Finding::new("REGION", title, Verdict::Warning, detail).because(Cause {
            reason: "KEY_IN_ANOTHER_REGION",
            text: format!("Calls to KMS cross from {ours} to {theirs}, and depend on both regions."),
            mend: format!(
                "# Make another binding with a key in {ours} in place of {}, or have Leasehold run in {theirs}.",
                self.plan.key
            ),
        })
    }

    /// Asks, with a session that our own policy does not cut down, for things that we never need.
    async fn excess_permissions(&self) -> Vec<Finding> {
        let title = "permissions that are not needed";
        let last = self.plan.hops.len().saturating_sub(1);
        let credentials = match assume::reach(self.clients, self.plan, last, Less::SessionPolicy).await {
            Ok(credentials) => credentials,
            Err(error) => return vec![skipped("EXCESS_PERMISSIONS", title, &error)],
        };
        let (mut excess, mut unknown) = (Vec::new(), Vec::new());
        for (action, probed) in self.probe(&credentials).await {
            match probed {
                Ok(true) => excess.push(action),
                Ok(false) => {}
                Err(error) => unknown.push((action, error)),
            }
        }
        let mut findings: Vec<_> = unknown
            .iter()
            .map(|(action, error)| {
                skipped("EXCESS_PERMISSIONS", &format!("whether the role may {action}"), error)
            })
            .collect();
        if excess.is_empty() {
            let detail = "none of those that were tried";
            findings.push(Finding::new("EXCESS_PERMISSIONS", title, Verdict::Passed, detail));
        } else {
            findings.push(self.excess(title, &excess.join(", ")));
        }
        findings
    }

    fn excess(&self, title: &str, actions: &str) -> Finding {
        let (key, role) = (&self.plan.key, self.plan.principal());
        let role_text = role.map_or("the role", |role| role.as_str());
        let mut mend = String::new();
        if let (Some(role), Some(documents)) = (role, self.documents()) {
            mend.push_str(&format!("{}\n", shell::with_credentials_of(key.account())));
            mend.push_str(&shell::add_to_key_policy(key, "key-statement.json", &documents.key_statement));
            mend.push_str(&format!(
                "{}\naws iam list-attached-role-policies --role-name {name}\naws iam list-role-policies --role-name {name}\n# Take off \
                 all but this one:\n",
                shell::with_credentials_of(role.account()),
                name = role.name()
            ));
            let file = shell::file_of("permissions", role);
            mend.push_str(&shell::put_role_policy(role, POLICY_NAME, &file, &policy::use_key(key)));
        }
        let detail = format!("{role_text} is allowed {actions} on {key}, or in its account");
        Finding::new("EXCESS_PERMISSIONS", title, Verdict::Warning, detail).because(Cause {
            reason: "ROLE_MAY_DO_MORE_THAN_NEEDED",
            text: format!(
                "Leasehold cuts its sessions down to the six operations that it needs, so this is of no use to it; but whoever else \
                 becomes {role_text} is allowed {actions}."
            ),
            mend,
        })
    }

    async fn probe(&self, credentials: &Credentials) -> Vec<(&'static str, Probed)> {
        let (client, key) = (self.key.client, self.key.arn());
        let signed = || self.clients.signed(credentials.clone());
        let policy = client.get_key_policy().key_id(key).customize().config_override(signed()).send();
        let keys = client.list_keys().limit(1).customize().config_override(signed()).send();
        let aliases = client.list_aliases().limit(1).customize().config_override(signed()).send();
        let grant = client
            .create_grant()
            .key_id(key)
            .grantee_principal(self.plan.principal().map_or("", |role| role.as_str()))
            .operations(GrantOperation::Decrypt)
            .dry_run(true)
            .customize()
            .config_override(signed())
            .send();
        let (policy, keys, aliases, grant) = tokio::join!(policy, keys, aliases, grant);
        let dry_run = |error: &CreateGrantError| error.is_dry_run_operation_exception();
        let grant = match grant {
            Err(error) if error.as_service_error().is_some_and(dry_run) => Ok(true),
            other => allowed(other.map(drop).map_err(|e| failure(Call::Key, &e))),
        };
        vec![
            ("kms:GetKeyPolicy", allowed(policy.map(drop).map_err(|e| failure(Call::Key, &e)))),
            ("kms:ListKeys", allowed(keys.map(drop).map_err(|e| failure(Call::Key, &e)))),
            ("kms:ListAliases", allowed(aliases.map(drop).map_err(|e| failure(Call::Key, &e)))),
            ("kms:CreateGrant", grant),
            ("kms:ReEncrypt", self.re_encrypts(credentials).await),
        ]
    }

    /// Needs a ciphertext to try it with: one of a key that nobody sees and that is thrown away.
    async fn re_encrypts(&self, credentials: &Credentials) -> Probed {
        let (client, key) = (self.key.client, self.key.arn());
        let signed = || self.clients.signed(credentials.clone());
        let made = client.generate_data_key_without_plaintext().key_id(key).number_of_bytes(32);
        let made = made.customize().config_override(signed()).send().await;
        let made = made.map_err(|e| failure(Call::Key, &e))?;
        let ciphertext = made.ciphertext_blob.unwrap_or_else(|| Blob::new(Vec::new()));
        let asked =
            client.re_encrypt().ciphertext_blob(ciphertext).source_key_id(key).destination_key_id(key);
        let asked = asked.dry_run(true).customize().config_override(signed()).send().await;
        let dry_run = |error: &ReEncryptError| error.is_dry_run_operation_exception();
        match asked {
            Err(error) if error.as_service_error().is_some_and(dry_run) => Ok(true),
            other => allowed(other.map(drop).map_err(|e| failure(Call::Key, &e))),
        }
    }

    fn documents(&self) -> Option<Documents<'_>> {
        Documents::of(self.plan, self.own.unwrap_or_default())
    }
}

/// What was seen of a key that leads to the warning.
fn seen(reason: &str) -> &'static str {
    match reason {
        "ROTATION_OFF" => "it is off",
        "MATERIAL_EXPIRES" => "imported, with an expiry",
        "CUSTOM_KEY_STORE" => "in a custom key store",
        _ => "the key has some, or can have",
    }
}

/// A refusal is what we hope for.
fn allowed(outcome: Result<(), ProviderError>) -> Probed {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.fault(), Fault::Denied { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn skipped(check: &'static str, title: &str, error: &ProviderError) -> Finding {
    Finding { verdict: Verdict::Skipped, ..Finding::failed(check, title, error, Vec::new()) }
}
