//! What a tenant must paste, and how they take it back.

use std::fmt::Write;

use leasehold_provider::{KitFormat, KitSection, OnboardingKit, OwnIdentity};
use serde_json::Value;

use crate::arn::RoleArn;
use crate::policy;
use crate::settings::Plan;

/// The name of the inline policy that the kit puts on a role.
const POLICY_NAME: &str = "leasehold";

/// Everything for `plan`, given who we are: for each role of the chain its trust policy and permissions, the statement
/// for the key, the commands that put them there, and those that revoke.
pub(crate) fn kit(plan: &Plan, own: &OwnIdentity) -> OnboardingKit {
    let source_identity = plan.hops.first().and_then(|hop| hop.source_identity.as_deref());
    let mut sections = Vec::new();
    let mut commands = String::new();
    let mut trusted = own.principal.as_str();
    for (index, hop) in plan.hops.iter().enumerate() {
        let trust = policy::trust(trusted, hop.external_id.as_deref(), source_identity);
        let permissions = match plan.hops.get(index + 1) {
            Some(next) => policy::become_next(&next.role, source_identity.is_some()),
            None => policy::use_key(&plan.key),
        };
        role_commands(&mut commands, &hop.role, &trust, &permissions);
        sections.push(section(format!("Trust policy of the role {}", hop.role), &trust));
        sections.push(section(format!("Permissions of the role {}", hop.role), &permissions));
        trusted = hop.role.as_str();
    }
    if let Some(role) = plan.principal() {
        let statement = policy::key_statement(role);
        sections.push(section(format!("Statement to add to the policy of the key {}", plan.key), &statement));
        key_commands(&mut commands, plan, &statement);
        sections.push(shell("Commands that set it all up", commands));
        sections.push(shell("How to revoke", revocation(plan, role)));
    }
    OnboardingKit { sections, ..OnboardingKit::default() }
}

// Everything written into a command below is an ARN, a region or a role's name; their parsers admit no character that
// means anything to a shell, nor a line that would end a quoted document early.

fn role_commands(out: &mut String, role: &RoleArn, trust: &Value, permissions: &Value) {
    let (name, path) = (role.name(), role.path());
    let (trust_file, permissions_file) = (file_of("trust", role), file_of("permissions", role));
    document(out, &trust_file, trust);
    document(out, &permissions_file, permissions);
    let _ = writeln!(
        out,
        "# With credentials of account {}. If the role exists: aws iam update-assume-role-policy --role-name {name} \
         --policy-document file://{trust_file}\n\
         aws iam create-role --role-name {name} --path {path} --assume-role-policy-document file://{trust_file}\n\
         aws iam put-role-policy --role-name {name} --policy-name {POLICY_NAME} --policy-document \
         file://{permissions_file}\n",
        role.account(),
    );
}

fn key_commands(out: &mut String, plan: &Plan, statement: &Value) {
    document(out, "key-statement.json", statement);
    let _ = writeln!(out, "# With credentials of account {}:", plan.key.account());
    add_to_key_policy(out, plan, "key-statement.json");
}

fn revocation(plan: &Plan, role: &RoleArn) -> String {
    let (key, region, name) = (&plan.key, plan.key.region(), role.name());
    let mut out = String::from(
        "# Any one of these is enough. Leasehold notices within the tenant's revocation bound, plus the time that AWS takes\n\
         # to apply the edit, and stops serving every key under this binding.\n\n",
    );
    let trust_file = file_of("trust", role);
    let _ = writeln!(out, "# 1. Let nobody become the role (undo: the same command with {trust_file}):");
    document(&mut out, "trust-nobody.json", &policy::trust_nobody());
    let _ = writeln!(
        out,
        "aws iam update-assume-role-policy --role-name {name} --policy-document file://trust-nobody.json\n\n\
         # 2. Forbid the role the use of the key (undo: put-key-policy with key-policy.json, the policy before):"
    );
    document(&mut out, "key-denial.json", &policy::key_denial(role));
    add_to_key_policy(&mut out, plan, "key-denial.json");
    let _ = writeln!(
        out,
        "\n# 3. Disable the key for everybody (undo: aws kms enable-key):\n\
         aws kms disable-key --region {region} --key-id {key}"
    );
    out
}

/// Adds the statement in `file` to the key's policy, in place of one with the same Sid, and leaves the rest as it is.
fn add_to_key_policy(out: &mut String, plan: &Plan, file: &str) {
    let (key, region) = (&plan.key, plan.key.region());
    let _ = writeln!(
        out,
        "aws kms get-key-policy --region {region} --key-id {key} --policy-name default --query Policy --output text \
         > key-policy.json\n\
         jq --slurpfile s {file} '.Statement = ([.Statement] | flatten | map(select(.Sid != $s[0].Sid))) + $s' \
         key-policy.json > key-policy-new.json\n\
         aws kms put-key-policy --region {region} --key-id {key} --policy-name default --policy \
         file://key-policy-new.json"
    );
}

/// A file of its own for each role: two of a chain may have one name in two accounts.
fn file_of(what: &str, role: &RoleArn) -> String {
    format!("{what}-{}-{}.json", role.account(), role.name())
}

/// A here-document that writes `value` to `file`.
fn document(out: &mut String, file: &str, value: &Value) {
    let _ = writeln!(out, "cat > {file} <<'EOF'\n{value:#}\nEOF");
}

fn section(title: String, value: &Value) -> KitSection {
    KitSection { title, format: KitFormat::Json, body: format!("{value:#}") }
}

fn shell(title: &str, body: String) -> KitSection {
    KitSection { title: title.to_owned(), format: KitFormat::Shell, body }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use leasehold_envelope::{EncryptionContext, Hierarchy};
    use leasehold_ids::BindingName;
    use leasehold_tenant::{Binding, CloudSettings, ExternalId, NewBinding};
    use serde_json::json;

    use super::*;

    fn kit_of(settings: Value) -> (OnboardingKit, String) {
        let name = BindingName::new("acme".parse().unwrap(), "main".parse().unwrap());
        let external_id = ExternalId::derive(&"test".parse().unwrap(), &name);
        let new = NewBinding {
            provider: "aws".parse().unwrap(),
            key: "arn:aws:kms:eu-central-1:111122223333:key/k".parse().unwrap(),
            settings: CloudSettings(settings.as_object().unwrap().clone()),
            canary_context: EncryptionContext::empty(),
            hierarchy: Hierarchy::Direct,
        };
        let binding = Binding::pending(name, new, external_id.clone(), SystemTime::UNIX_EPOCH);
        let plan = Plan::of(&binding, |_| true).unwrap();
        let own = OwnIdentity {
            principal: "arn:aws:iam::999988887777:role/leasehold".into(),
            account: "999988887777".into(),
        };
        (kit(&plan, &own), external_id.to_string())
    }

    fn json_of(kit: &OnboardingKit, index: usize) -> Value {
        assert_eq!(kit.sections[index].format, KitFormat::Json);
        serde_json::from_str(&kit.sections[index].body).unwrap()
    }

    #[test]
    fn the_trust_policy_names_us_requires_the_external_id_and_always_allows_tags() {
        let (kit, external_id) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/path/tenant" }));
        let trust = json_of(&kit, 0);
        let [assume, tag] = trust["Statement"].as_array().unwrap().as_slice() else {
            panic!("two statements")
        };
        assert_eq!(assume["Principal"]["AWS"], "arn:aws:iam::999988887777:role/leasehold");
        assert_eq!(assume["Condition"]["StringEquals"]["sts:ExternalId"], external_id.as_str());
        assert_eq!((&assume["Action"], &tag["Action"]), (&json!("sts:AssumeRole"), &json!("sts:TagSession")));
    }

    #[test]
    fn a_declared_source_identity_is_allowed_and_no_other() {
        let (kit, _) =
            kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/t", "source_identity": "leasehold" }));
        let statement = json_of(&kit, 0)["Statement"][2].clone();
        assert_eq!(statement["Action"], "sts:SetSourceIdentity");
        assert_eq!(statement["Condition"]["StringEquals"]["sts:SourceIdentity"], "leasehold");
    }

    #[test]
    fn each_role_of_a_chain_trusts_the_one_before_it() {
        let hop = json!({ "role_arn": "arn:aws:iam::444455556666:role/hop", "external_id": "hop-id" });
        let (kit, _) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/t", "chain": [hop] }));
        assert_eq!(json_of(&kit, 0)["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"], "hop-id");
        assert_eq!(json_of(&kit, 1)["Statement"][0]["Resource"], "arn:aws:iam::111122223333:role/t");
        assert_eq!(
            json_of(&kit, 2)["Statement"][0]["Principal"]["AWS"],
            "arn:aws:iam::444455556666:role/hop"
        );
        assert_eq!(
            json_of(&kit, 3)["Statement"][0]["Resource"],
            "arn:aws:kms:eu-central-1:111122223333:key/k"
        );
        assert_eq!(json_of(&kit, 4)["Principal"]["AWS"], "arn:aws:iam::111122223333:role/t");
    }

    #[test]
    fn the_commands_name_path_region_and_key() {
        let (kit, _) = kit_of(json!({ "role_arn": "arn:aws:iam::111122223333:role/path/tenant" }));
        let [.., setup, revoke] = kit.sections.as_slice() else { panic!("sections") };
        for part in ["--role-name tenant --path /path/", "--region eu-central-1", "key/k", "put-key-policy"] {
            assert!(setup.body.contains(part), "{part}");
        }
        for part in ["update-assume-role-policy", "disable-key", "key-denial.json"] {
            assert!(revoke.body.contains(part), "{part}");
        }
    }
}
