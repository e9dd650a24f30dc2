//! The kit as Terraform.

use std::fmt::Write;

use crate::policy::{Documents, KMS_API, Role, kms_projects};
use crate::state::LABEL;

/// A configuration of the provider `hashicorp/google`. The service accounts and the key are the tenant's already; the key is
/// imported, because its label is part of it.
pub(crate) fn configuration(documents: &Documents<'_>) -> String {
    let mut out = String::new();
    for (index, project) in kms_projects(documents.plan).into_iter().enumerate() {
        let _ = writeln!(
            out,
            "resource \"google_project_service\" \"leasehold_{index}\" {{\n  project            = \"{project}\"\n  service            \
             = \"{KMS_API}\"\n  disable_on_destroy = false\n}}\n"
        );
    }
    for (index, role) in documents.roles().into_iter().enumerate() {
        let permissions: Vec<_> =
            role.permissions.iter().map(|permission| format!("\"{permission}\"")).collect();
        let _ = writeln!(
            out,
            "resource \"google_project_iam_custom_role\" \"leasehold_{index}\" {{\n  project     = \"{}\"\n  role_id     = \
             \"{}\"\n  title       = \"{}\"\n  permissions = [{}]\n}}\n",
            role.project,
            role.id,
            role.definition()["title"].as_str().unwrap_or_default(),
            permissions.join(", ")
        );
    }
    let reference = |role: &Role| {
        let index = documents.roles().iter().position(|other| *other == role).unwrap_or_default();
        format!("google_project_iam_custom_role.leasehold_{index}.name")
    };
    for (index, (account, grant)) in documents.accounts.iter().enumerate() {
        let _ = writeln!(
            out,
            "resource \"google_service_account_iam_member\" \"leasehold_{index}\" {{\n  service_account_id = \
             \"projects/{}/serviceAccounts/{account}\"\n  role               = {}\n  member             = \"{}\"\n}}\n",
            account.project(),
            reference(&grant.role),
            grant.member
        );
    }
    let key = &documents.plan.key;
    let _ = writeln!(
        out,
        "resource \"google_kms_crypto_key_iam_member\" \"leasehold\" {{\n  crypto_key_id = \"{key}\"\n  role          = {}\n  \
         member        = \"{}\"\n}}\n",
        reference(&documents.key.role),
        documents.key.member
    );
    let _ = writeln!(
        out,
        "# The key's label. If the key is in your configuration already, add the label there instead.\nimport {{\n  to = \
         google_kms_crypto_key.leasehold\n  id = \"{key}\"\n}}\n\nresource \"google_kms_crypto_key\" \"leasehold\" {{\n  name     \
         = \"{}\"\n  key_ring = \"projects/{}/locations/{}/keyRings/{}\"\n  labels   = {{ {LABEL} = \"{}\" }}\n\n  lifecycle \
         {{\n    prevent_destroy = true\n    ignore_changes  = [rotation_period, version_template, \
         destroy_scheduled_duration, import_only]\n  }}\n}}",
        key.key(),
        key.project(),
        key.location(),
        key.ring(),
        documents.challenge
    );
    out
}
