//! What exists.

use std::collections::BTreeMap;

use serde_json::Value;

use super::AwsControl;
use crate::aws::arn::{AccountId, RoleArn};
use crate::aws::world::identity::Role;
use crate::aws::world::key::Key;
use crate::control::model::{KeyInfo, RoleInfo, WorldInfo};

impl AwsControl {
    /// What exists.
    pub fn world(&self) -> WorldInfo {
        let state = self.shared.aws.read();
        let now = self.shared.clock.now();
        let mut info =
            WorldInfo { accounts: Vec::new(), users: BTreeMap::new(), roles: Vec::new(), keys: Vec::new() };
        for (id, account) in &state.accounts {
            info.accounts.push(id.clone());
            info.users.extend(account.users.iter().map(|(name, user)| {
                (format!("arn:aws:iam::{id}:user/{name}"), user.access_keys.keys().cloned().collect())
            }));
            info.roles.extend(account.roles.iter().map(|(name, role)| role_info(id, name, role)));
            info.keys.extend(account.keys.values().filter(|key| !key.is_deleted(now)).map(key_info));
        }
        info
    }
}

fn role_info(account: &AccountId, name: &str, role: &Role) -> RoleInfo {
    RoleInfo {
        arn: RoleArn { account: account.clone(), name: name.to_owned() },
        trust_policy: role.trust.newest().into_iter().next().unwrap_or(Value::Null),
        identity_policies: role.policies.newest(),
    }
}

fn key_info(key: &Key) -> KeyInfo {
    KeyInfo {
        arn: key.arn.clone(),
        state: *key.state.newest(),
        spec: key.spec,
        policy: key.policy.newest().into_iter().next().unwrap_or(Value::Null),
        generations: key.backings.len(),
    }
}
