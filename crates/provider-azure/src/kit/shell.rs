//! The kit as commands.

use super::own_role_name;
use crate::cloud::Store;
use crate::commands::{Commands, show_tags, tag};

pub(super) fn set_up(commands: &Commands<'_>, challenge: &str) -> String {
    let principal = "\"$PRINCIPAL_ID\"";
    let key = &commands.plan.key;
    let otherwise = match commands.plan.store {
        Store::Vault => otherwise(commands, principal),
        Store::ManagedHsm => String::new(),
    };
    format!(
        "{sign_in}\n\n# If the key is yet to be made:\n# {create_key}\n\n# 1. Let our application into the directory. If \
         another binding did so already, this says that it is in use, and all is well.\n{create_principal}\nPRINCIPAL_ID=\
         \"{principal_id}\"\n\n# 2. Let it read, wrap and unwrap with this key.\n{assign}\n{otherwise}\n# 3. Tag the key with \
         what we issued for this binding. The last command replaces all tags that the key has, so look\n#    first, and repeat \
         them in it: --tags NAME=VALUE NAME=VALUE. The version that is current when the binding is\n#    activated needs the \
         tag; later ones do not.\n{show_tags}\n{tag}\n",
        sign_in = commands.sign_in(),
        create_key = commands.create_key(key.name()),
        create_principal = commands.create_principal(),
        principal_id = commands.principal_id(),
        assign = commands.assign_role(principal),
        show_tags = show_tags(key),
        tag = tag(key, challenge),
    )
}

/// Other ways to let our service principal use a key of a vault.
fn otherwise(commands: &Commands<'_>, principal: &str) -> String {
    format!(
        "#    That is Microsoft's role for services like ours. Besides, it may manage Event Grid subscriptions, of which a key \
         has none.\n#    If you would rather give the three actions alone, write the role of your own, from this kit, to \
         role.json with the\n#    id of the vault's resource group in it, and give that one:\n# az role definition create \
         --role-definition @role.json\n# az role assignment create --role '{name}' --assignee-object-id {principal} \
         --assignee-principal-type ServicePrincipal --scope {vault_id}/keys/{key}\n#    If the vault has access policies in \
         place of roles, they cannot be given for one key alone:\n# {policy}\n",
        name = own_role_name(commands),
        vault_id = commands.vault_id(),
        key = commands.plan.key.name(),
        policy = commands.set_policy(principal),
    )
}
