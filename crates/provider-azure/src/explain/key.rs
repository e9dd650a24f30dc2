//! Why the vault refused, or what is wrong with the key.

use leasehold_provider::{Cause, Fault, KeyState, ProviderError, Stage};

use super::{Known, cause, wrong_directory};
use crate::commands::{Commands, show_tags, tag};
use crate::key::OPERATIONS_MISSING;

/// Why the vault refused, or what is wrong with the key.
pub(super) fn causes(
    commands: &Commands<'_>,
    stage: Stage,
    error: &ProviderError,
    known: Known<'_>,
) -> Vec<Cause> {
    let (key, vault) = (&commands.plan.key, commands.plan.key.vault());
    match (error.code().unwrap_or_default(), error.fault()) {
        ("ForbiddenByRbac", _) | ("Forbidden", Fault::Denied { .. }) => role(commands, stage, known),
        ("ForbiddenByPolicy" | "AccessDenied", _) => access_policy(commands, known.object_id),
        ("ForbiddenByFirewall", _) => vec![cause(
            "FIREWALL",
            "The vault's firewall does not let our address in.",
            format!(
                "# For {key}, with each of the egress addresses that the operator names in place of ADDRESS:\naz keyvault \
                 network-rule add --name {vault} --ip-address ADDRESS"
            ),
        )],
        ("ForbiddenByConnection", _) => vec![cause(
            "PUBLIC_ACCESS_OFF",
            "The vault takes no connections from the public network, and we have no private link to it.",
            format!(
                "# For {key}, with each of the egress addresses that the operator names in place of ADDRESS; or agree with the \
                 operator on a private endpoint:\naz keyvault update --name {vault} --public-network-access Enabled \
                 --default-action Deny\naz keyvault network-rule add --name {vault} --ip-address ADDRESS"
            ),
        )],
        ("KeyOperationForbidden" | OPERATIONS_MISSING, _) => vec![operations(commands)],
        ("KeyNotYetValid", _) | (_, Fault::KeyUnusable(KeyState::NotYetValid)) => {
            vec![validity(
                commands,
                "NOT_YET_VALID",
                "may not be used yet",
                "--not-before 2020-01-01T00:00:00Z",
            )]
        }
        ("KeyExpired", _) | (_, Fault::KeyUnusable(KeyState::Expired)) => {
            vec![validity(
                commands,
                "KEY_EXPIRED",
                "is past its expiry, so nothing can be wrapped with it",
                "--expires 2030-01-01T00:00:00Z",
            )]
        }
        (_, Fault::KeyUnusable(KeyState::Disabled)) => vec![cause(
            "KEY_DISABLED",
            "The key, or the version that is needed, is disabled.",
            format!(
                "# The newest version of {key}, with which keys are wrapped:\naz keyvault key set-attributes --id {key} \
                 --enabled true\n# This shows which are still disabled. Enable each that is needed, with its id in place of \
                 {key}.\n{}",
                commands.list_disabled_versions()
            ),
        )],
        (_, Fault::KeyUnusable(KeyState::PendingDeletion)) => vec![deleted(commands)],
        (_, Fault::KeyUnusable(KeyState::NotFound)) if known.worked => vec![deleted(commands)],
        (_, Fault::KeyUnusable(KeyState::NotFound)) => vec![misnamed(commands), deleted(commands)],
        ("CHALLENGE_MISSING" | "CHALLENGE_DIFFERS", _) => vec![challenge(commands, error)],
        ("HOME_DIRECTORY", _) => vec![wrong_directory(commands)],
        ("Unauthorized", Fault::Denied { .. }) => vec![wrong_directory(commands)],
        (_, Fault::SessionExpired) => vec![cause(
            "TOKEN_REFUSED",
            "The vault does not accept the token that Entra ID has just given us.",
            format!(
                "# Try again in a minute. If it lasts, the vault of {key} may be moving to another directory."
            ),
        )],
        (_, Fault::Misconfigured) if stage == Stage::Describe => vec![unfit(commands)],
        (_, Fault::Unavailable) => vec![vault_away(commands)],
        _ => Vec::new(),
    }
}

/// The principal lacks a role, by the vault's word.
fn role(commands: &Commands<'_>, stage: Stage, Known { object_id, worked }: Known<'_>) -> Vec<Cause> {
    let principal = principal_id(commands, object_id);
    let assign = commands.assign_role(&principal);
    let name = commands.principal();
    let incomplete = cause(
        "ROLE_INCOMPLETE",
        "Our service principal may read the key but not wrap and unwrap with it: its role is a lesser one, such as Key Vault Reader.",
        format!("# Give the {name} the whole role:\n{assign}"),
    );
    let missing = cause(
        "ROLE_MISSING",
        "Our service principal has no role at the key; a role at another key, or given to the application's object id in our own \
         directory, does not count.",
        format!("# Give the {name} the role:\n{assign}"),
    );
    let fresh = cause(
        "ROLE_NOT_PROPAGATED",
        "The role was given only just now: it takes up to 10 minutes.",
        format!("# Wait, if this lists it:\n{}", commands.list_roles(&principal)),
    );
    match stage {
        Stage::Wrap | Stage::Unwrap => vec![incomplete, fresh],
        // It worked once.
        Stage::Canary => vec![missing],
        _ if worked => vec![missing, fresh],
        // Roles are looked at first, so of a key that there is not the vault says the same.
        _ => vec![missing, fresh, misnamed(commands)],
    }
}

fn access_policy(commands: &Commands<'_>, object_id: Option<&str>) -> Vec<Cause> {
    let (vault, principal) = (commands.plan.key.vault(), principal_id(commands, object_id));
    vec![cause(
        "ACCESS_POLICY",
        "The vault has access policies in place of roles, and none lets our service principal get, wrapKey and unwrapKey.",
        format!(
            "# These permissions reach every key of the vault:\n{}\n# Or have the vault go by roles, which can be for one key \
             alone, and which takes all access policies away:\n# az keyvault update --name {vault} \
             --enable-rbac-authorization true\n# {}",
            commands.set_policy(&principal),
            commands.assign_role(&principal)
        ),
    )]
}

fn principal_id(commands: &Commands<'_>, object_id: Option<&str>) -> String {
    object_id.map_or_else(|| format!("\"{}\"", commands.principal_id()), str::to_owned)
}

fn operations(commands: &Commands<'_>) -> Cause {
    cause(
        "OPERATION_NOT_ALLOWED",
        "The key's own list of operations leaves out wrapKey or unwrapKey.",
        format!(
            "# It replaces the whole list, so repeat the others that the key has:\naz keyvault key set-attributes --id {} --ops \
             wrapKey unwrapKey",
            commands.plan.key
        ),
    )
}

fn validity(commands: &Commands<'_>, reason: &'static str, what: &str, option: &str) -> Cause {
    let key = &commands.plan.key;
    cause(
        reason,
        format!("The newest version of the key {what}."),
        format!(
            "# Change its dates; or make a new version, which then must be tagged like this one: az keyvault key rotate --id \
             {key}\naz keyvault key set-attributes --id {key} {option}"
        ),
    )
}

fn deleted(commands: &Commands<'_>) -> Cause {
    let key = &commands.plan.key;
    cause(
        "KEY_DELETED",
        "The key was deleted. It can be recovered while the vault retains it; once it is purged, what it wrapped is lost.",
        format!(
            "# Bring back {key}:\naz keyvault key recover {} --name {}",
            commands.store_option(),
            key.name()
        ),
    )
}

fn misnamed(commands: &Commands<'_>) -> Cause {
    cause(
        "KEY_NAME_WRONG",
        "There never was a key of this name in the vault.",
        format!(
            "# Make another binding with the right one of these, in place of {}:\naz keyvault key list {} --query '[].kid'",
            commands.plan.key,
            commands.store_option(),
        ),
    )
}

fn challenge(commands: &Commands<'_>, error: &ProviderError) -> Cause {
    let key = &commands.plan.key;
    let tag = commands.plan.challenge.as_deref().map(|challenge| tag(key, challenge)).unwrap_or_default();
    let (reason, text) = if error.code() == Some("CHALLENGE_DIFFERS") {
        (
            "CHALLENGE_DIFFERS",
            "The key carries what we issued for another binding. If that is another tenant's, this tenant has no business with the key.",
        )
    } else {
        (
            "CHALLENGE_MISSING",
            "Nobody tagged the key with what we issued for this binding, or a new version was made without the tag.",
        )
    };
    cause(
        reason,
        text,
        format!(
            "# As the key's owner. See which tags the key has, and repeat them in the second, because it replaces them all:\n\
             {}\n{tag}",
            show_tags(key)
        ),
    )
}

fn unfit(commands: &Commands<'_>) -> Cause {
    cause(
        "KEY_UNFIT",
        "The key is not one that can wrap for us: that takes RSA with 2,048, 3,072 or 4,096 bits.",
        format!(
            "# Make another key, and another binding with it in place of {}:\n{}",
            commands.plan.key,
            commands.create_key("NAME")
        ),
    )
}

fn vault_away(commands: &Commands<'_>) -> Cause {
    let host = commands.plan.key.host();
    let show = format!("az keyvault show {}", commands.vault_option());
    cause(
        "VAULT_AWAY",
        format!(
            "{host} cannot be reached or is broken: the name of the vault is wrong, the vault was deleted, or there is an outage."
        ),
        format!(
            "{show}\n# If it is not there, these may bring it back:\n# az keyvault list-deleted\n# az keyvault recover {}",
            commands.vault_option()
        ),
    )
}
