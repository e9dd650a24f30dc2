//! The ways to revoke.

use leasehold_provider::Lever;

use crate::cloud::Store;
use crate::commands::Commands;

/// The fastest first. What each takes is Microsoft's word or what was seen; our own bound comes on top.
pub(super) fn levers(commands: &Commands<'_>) -> Vec<Lever> {
    let mut levers = vec![disable_key(commands), disable_principal(commands), remove_role(commands)];
    if commands.plan.store == Store::Vault {
        levers.push(delete_policy(commands));
    }
    levers.push(delete_principal(commands));
    levers
}

fn disable_key(commands: &Commands<'_>) -> Lever {
    Lever {
        title: "Disable every version of the key".to_owned(),
        revoke: commands.disable_versions(),
        restore: commands.enable_versions(),
        propagation: "Seconds: the next use of the key is refused.".to_owned(),
        reach: "Every user of the key. One version alone can be disabled too: then what that version wrapped is revoked. \
                What was disabled before stays disabled when you restore, because the command goes by the file that revoking \
                wrote. Letting the key expire does not revoke: Key Vault goes on unwrapping with it."
            .to_owned(),
    }
}

fn disable_principal(commands: &Commands<'_>) -> Lever {
    Lever {
        title: "Disable our service principal".to_owned(),
        revoke: commands.enable_principal(false),
        restore: commands.enable_principal(true),
        propagation: "Usually within a minute or two for new tokens; Microsoft states no bound. Tokens given out before last \
                      for 60 to 90 minutes, but every proof of ours takes a new one."
            .to_owned(),
        reach: "All bindings of this directory to us; nobody else.".to_owned(),
    }
}

fn remove_role(commands: &Commands<'_>) -> Lever {
    let principal = principal(commands);
    let above = match commands.plan.store {
        Store::Vault => "the vault, its resource group or its subscription",
        Store::ManagedHsm => "all keys of the pool",
    };
    Lever {
        title: "Take the role at the key away".to_owned(),
        revoke: commands.remove_role(&principal),
        restore: commands.assign_role(&principal),
        propagation: "Up to 10 minutes, as Microsoft says of role assignments, \
                      https://learn.microsoft.com/azure/role-based-access-control/troubleshooting; as long to restore."
            .to_owned(),
        reach: format!(
            "Our use of this key; nobody else's. A role that was given at {above} reaches the key too and goes on doing so: see what is \
             left with {}",
            commands.list_roles(&principal)
        ),
    }
}

fn delete_policy(commands: &Commands<'_>) -> Lever {
    let principal = principal(commands);
    Lever {
        title: "Take our access policy away, if the vault has those in place of roles".to_owned(),
        revoke: commands.delete_policy(&principal),
        restore: commands.set_policy(&principal),
        propagation: "Usually seconds, at most a few minutes; Microsoft states no bound.".to_owned(),
        reach: "All bindings to keys of this vault; nobody else.".to_owned(),
    }
}

fn delete_principal(commands: &Commands<'_>) -> Lever {
    Lever {
        title: "Delete our service principal".to_owned(),
        revoke: commands.delete_principal(),
        restore: format!(
            "{}\n{}",
            commands.create_principal(),
            commands.assign_role(&principal(commands))
        ),
        propagation: "As disabling it; a new one has another object id, so its roles or access policies must be given anew, \
                      which takes up to 10 minutes."
            .to_owned(),
        reach: "All bindings of this directory to us; nobody else.".to_owned(),
    }
}

/// Its object id, looked up.
fn principal(commands: &Commands<'_>) -> String {
    format!("\"{}\"", commands.principal_id())
}
