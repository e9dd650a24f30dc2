//! The kit as Terraform.
//!
//! Policies are JSON inside `jsonencode`, which is valid HCL: what they hold has no `$` or `%` that would begin a template,
//! because ARNs, external ids and source identities admit neither.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{Documents, POLICY_NAME, RoleDocuments};
use crate::policy::KEY_ACTIONS;

/// Roles, their permissions, and the statement merged into the key's policy.
pub(super) fn configuration(documents: &Documents<'_>) -> String {
    let (key, roles) = (&documents.plan.key, &documents.roles);
    let accounts: BTreeSet<_> =
        roles.iter().map(|role| role.role.account().as_str()).chain([key.account().as_str()]).collect();
    // One account needs no alias: its provider is whatever the tenant's configuration has.
    let provider = |account: &str| {
        if accounts.len() == 1 { String::new() } else { format!("  provider = aws.account_{account}\n") }
    };
    let mut out = String::new();
    if accounts.len() > 1 {
        for account in &accounts {
            let _ = writeln!(
                out,
                "# Give it credentials of account {account}.\nprovider \"aws\" {{\n  alias  = \"account_{account}\"\n  \
                 region = \"{}\"\n}}\n",
                key.region(),
            );
        }
    }
    for (index, role) in roles.iter().enumerate() {
        let name = if index + 1 == roles.len() {
            "leasehold".to_owned()
        } else {
            format!("leasehold_hop_{}", index + 1)
        };
        role_resources(&mut out, &name, role, &provider(role.role.account().as_str()));
    }
    key_resources(&mut out, documents, &provider(key.account().as_str()));
    out
}

fn role_resources(out: &mut String, name: &str, documents: &RoleDocuments<'_>, provider: &str) {
    let RoleDocuments { role, trust, permissions } = documents;
    let _ = writeln!(
        out,
        "resource \"aws_iam_role\" \"{name}\" {{\n{provider}  name               = \"{}\"\n  path               = \"{}\"\n  \
         assume_role_policy = jsonencode({trust:#})\n}}\n",
        role.name(),
        role.path(),
    );
    if let Some(permissions) = permissions {
        let _ = writeln!(
            out,
            "resource \"aws_iam_role_policy\" \"{name}\" {{\n{provider}  name   = \"{POLICY_NAME}\"\n  role   = \
             aws_iam_role.{name}.id\n  policy = jsonencode({permissions:#})\n}}\n",
        );
    }
}

fn key_resources(out: &mut String, documents: &Documents<'_>, provider: &str) {
    let key = &documents.plan.key;
    let actions: Vec<_> = KEY_ACTIONS.iter().map(|action| format!("      \"{action}\",\n")).collect();
    let _ = write!(
        out,
        "# Terraform replaces a key's policy as a whole, so it needs the rest of it. As it is now:\n\
         #   aws kms get-key-policy --region {region} --key-id {key} --policy-name default --query Policy --output text\n\
         # If the key is one of your own Terraform's, add the statement there instead.\n\
         variable \"leasehold_key_policy\" {{\n  type        = string\n  description = \"The policy of {key} without the \
         statement for Leasehold, as JSON\"\n}}\n\n\
         data \"aws_iam_policy_document\" \"leasehold_key\" {{\n{provider}  source_policy_documents = \
         [var.leasehold_key_policy]\n\n  statement {{\n    sid       = \"Leasehold\"\n    effect    = \"Allow\"\n    \
         resources = [\"*\"]\n    actions = [\n{actions}    ]\n\n    principals {{\n      type        = \"AWS\"\n      \
         identifiers = [aws_iam_role.leasehold.arn]\n    }}\n  }}\n}}\n\n\
         resource \"aws_kms_key_policy\" \"leasehold\" {{\n{provider}  key_id = \"{key}\"\n  policy = \
         data.aws_iam_policy_document.leasehold_key.json\n}}\n",
        region = key.region(),
        actions = actions.concat(),
    );
}
