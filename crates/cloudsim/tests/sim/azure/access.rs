//! Who is let through to a key: tokens, firewalls, limits and role assignments.

use std::time::Duration;

use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::azure::ids::VaultName;
use leasehold_cloudsim::azure::rbac::CRYPTO_SERVICE_ENCRYPTION_USER;
use leasehold_cloudsim::azure::{Firewall, FirewallAction};
use leasehold_cloudsim::control::azure::model::VaultSpec;
use serde_json::json;

use super::client::{ADMINISTRATOR, World, assignment, send};

const READER: &str = "21090545-7ca7-4776-b22c-e363652d74d2";
const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";

#[tokio::test]
async fn without_a_token_a_vault_challenges_and_names_its_own_directory() {
    let world = World::start().await;
    let url = format!("{}?api-version=7.6", world.tenant(0).key);
    let refused = send(world.http.get(url)).await;
    assert_eq!((refused.status, refused.code().0), (401, "Unauthorized"));
    let directory = &world.tenant(0).directory;
    let challenge = format!(
        "Bearer authorization=\"https://login.microsoftonline.com/{directory}\", resource=\"https://vault.azure.net\""
    );
    assert_eq!(refused.challenge, Some(challenge));
    assert!(refused.message().starts_with("AKV10000"), "{}", refused.json);
    assert!(refused.request_id.is_some());
}

#[tokio::test]
async fn tokens_that_are_forged_or_for_others_are_refused() {
    let world = World::start().await;
    let good = world.token(0).await;
    let graph = world.token_with(0, &[("scope", "https://graph.microsoft.com/.default")]).await;
    let other = world.token(1).await;
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (_, others_signature) = other.rsplit_once('.').unwrap();
    let unsigned = format!("{}.{}.", "eyJhbGciOiJub25lIn0", signed.split('.').nth(1).unwrap());
    for (token, code) in [
        (graph, "AKV10022"),
        (other.clone(), "AKV10032"),
        (format!("{signed}.{others_signature}"), "AKV10046"),
        (format!("{}.{signature}", other.rsplit_once('.').unwrap().0), "AKV10046"),
        (unsigned, "AKV1000"),
        ("rubbish".to_owned(), "AKV10001"),
    ] {
        let refused = world.get_key(&token, 0).await;
        assert_eq!(refused.status, 401);
        assert!(refused.message().starts_with(code), "{code}: {}", refused.json);
        assert!(refused.challenge.is_some());
    }
    assert_eq!(world.get_key(&good, 0).await.status, 200);
}

#[tokio::test]
async fn tokens_end_with_their_time_or_when_they_are_ended() {
    let world = World::start().await;
    let token = world.token(0).await;
    world.control().advance(Duration::from_secs(3570));
    assert_eq!(world.get_key(&token, 0).await.status, 200);
    world.control().advance(Duration::from_secs(30));
    let refused = world.get_key(&token, 0).await;
    assert_eq!(refused.status, 401);
    assert!(refused.message().contains("TokenExpired"));
    let second = world.token(0).await;
    world.azure().expire_tokens();
    assert_eq!(world.get_key(&second, 0).await.status, 401);
    world.azure().set_token_lifetime(60);
    let brief = world.token(0).await;
    world.control().advance(Duration::from_secs(61));
    assert_eq!(world.get_key(&brief, 0).await.status, 401);
}

#[tokio::test]
async fn consent_alone_opens_no_key() {
    let world = World::unknown_to_tenants().await;
    let tenant = world.tenant(0).clone();
    let principal = world.azure().consent(&tenant.directory, &tenant.app).unwrap();
    let token = world.token(0).await;
    let refused = world.get_key(&token, 0).await;
    assert_eq!((refused.status, refused.code()), (403, ("Forbidden", "ForbiddenByRbac")));
    let message = refused.message();
    assert!(message.contains(&format!("appid={};oid={principal};", tenant.app)), "{message}");
    assert!(message.contains("Action: 'Microsoft.KeyVault/vaults/keys/read'"), "{message}");
    assert!(message.contains("Assignment: (not found)"), "{message}");
}

#[tokio::test]
async fn each_role_allows_what_it_lists_and_no_more() {
    let world = World::unknown_to_tenants().await;
    let tenant = world.tenant(0).clone();
    let principal = world.azure().consent(&tenant.directory, &tenant.app).unwrap();
    let (token, admin) = (world.token(0).await, world.admin(0).await);
    let wrapped = world.wrap(&admin, 0).await.json;
    let custom = world
        .azure()
        .put_role_definition(&json!({
            "Name": "Unwrapper",
            "DataActions": ["Microsoft.KeyVault/vaults/keys/*"],
            "NotDataActions": ["Microsoft.KeyVault/vaults/keys/wrap/action", "Microsoft.KeyVault/vaults/keys/read"],
            "AssignableScopes": [format!("/subscriptions/{}", tenant.subscription)],
        }))
        .unwrap();
    for (role, expected) in [
        (CRYPTO_SERVICE_ENCRYPTION_USER, [200, 200, 200]),
        ("12338af0-0e69-4776-bea7-57ae8d297424", [200, 200, 200]),
        ("14b46e9e-c2b7-41b4-b07b-48a6ebf60603", [200, 200, 200]),
        (ADMINISTRATOR, [200, 200, 200]),
        (READER, [200, 403, 403]),
        (OWNER, [403, 403, 403]),
        ("4633458b-17de-408a-b874-0445c86b69e6", [403, 403, 403]),
        (custom.as_str(), [403, 403, 200]),
    ] {
        let name = world.assign(role, principal.as_str(), &tenant.key_scope);
        let found = [
            world.get_key(&token, 0).await.status,
            world.wrap(&token, 0).await.status,
            world.unwrap(&token, &wrapped).await.status,
        ];
        assert_eq!(found, expected, "{role}");
        world.azure().delete_role_assignment(&name).unwrap();
        assert_eq!(world.get_key(&token, 0).await.status, 403, "taken away");
    }
}

#[tokio::test]
async fn a_role_that_was_taken_away_can_be_given_again() {
    let world = World::unknown_to_tenants().await;
    let tenant = world.tenant(0).clone();
    let principal = world.azure().consent(&tenant.directory, &tenant.app).unwrap();
    let role = assignment(CRYPTO_SERVICE_ENCRYPTION_USER, principal.as_str(), &tenant.key_scope);
    let token = world.token(0).await;
    let first = world.azure().put_role_assignment(&role).unwrap();
    assert!(world.azure().put_role_assignment(&role).is_err(), "it is there");
    world.azure().delete_role_assignment(&first).unwrap();
    assert!(world.azure().delete_role_assignment(&first).is_err(), "it is gone");
    assert_eq!(world.get_key(&token, 0).await.status, 403);
    world.azure().put_role_assignment(&role).unwrap();
    assert_eq!(world.get_key(&token, 0).await.status, 200);
}

#[tokio::test]
async fn a_role_counts_at_its_scope_and_below_for_its_principal_alone() {
    let world = World::start().await;
    let token = world.token(0).await;
    let third = world.third_vault(0);
    assert_eq!(world.get(&token, &format!("{third}/keys/main")).await.code().1, "ForbiddenByRbac");
    assert_eq!(
        world.get(&token, "https://acme-vault.vault.azure.net/keys/other").await.code().1,
        "ForbiddenByRbac",
        "a role at one key says nothing of another"
    );
    assert_eq!(world.get(&token, "https://acme-vault.vault.azure.net/keys").await.status, 403);
    let tenant = world.tenant(0).clone();
    let principal = world.azure().consent(&tenant.directory, &tenant.app).unwrap();
    let group = tenant.key_scope.split("/providers/").next().unwrap();
    world.assign(READER, principal.as_str(), &group.to_ascii_uppercase());
    assert_eq!(world.get(&token, "https://acme-vault.vault.azure.net/keys").await.status, 200);
    assert_eq!(
        world.get(&token, &format!("{third}/keys/main")).await.status,
        404,
        "the vault has no such key"
    );
    // Let in again, it is another object, and what the first was given does not count.
    world.azure().delete_service_principal(&tenant.directory, &tenant.app).unwrap();
    assert_ne!(world.azure().consent(&tenant.directory, &tenant.app).unwrap(), principal);
    let token = world.token(0).await;
    assert_eq!(world.get_key(&token, 0).await.code().1, "ForbiddenByRbac");
}

#[tokio::test]
async fn assignments_that_azure_would_refuse_are_refused() {
    let world = World::start().await;
    let tenant = world.tenant(0).clone();
    let principal = world.azure().consent(&tenant.directory, &tenant.app).unwrap();
    let elsewhere = world.azure().consent(&world.tenant(1).directory, &tenant.app).unwrap();
    let good = assignment(READER, principal.as_str(), &tenant.key_scope);
    let mut no_scope = good.clone();
    no_scope.as_object_mut().unwrap().remove("scope");
    for (refused, why) in [
        (assignment(READER, elsewhere.as_str(), &tenant.key_scope), "a principal of another directory"),
        (assignment(principal.as_str(), principal.as_str(), &tenant.key_scope), "no such role"),
        (assignment(READER, principal.as_str(), "/subscriptions/nobody"), "no such subscription"),
        (assignment(READER, principal.as_str(), "/providers/x"), "a scope outside subscriptions"),
        (no_scope, "no scope"),
    ] {
        assert!(world.azure().put_role_assignment(&refused).is_err(), "{why}");
    }
    world.azure().put_role_assignment(&good).unwrap();
    assert!(world.azure().put_role_assignment(&good).is_err(), "RoleAssignmentExists");
    let narrow = json!({"Name": "Narrow", "DataActions": ["*"], "AssignableScopes": [tenant.key_scope]});
    let narrow = world.azure().put_role_definition(&narrow).unwrap();
    let subscription = format!("/subscriptions/{}", tenant.subscription);
    let wide = assignment(&narrow, principal.as_str(), &subscription);
    assert!(world.azure().put_role_assignment(&wide).is_err(), "outside its assignable scopes");
}

#[tokio::test]
async fn taking_roles_away_and_giving_them_takes_effect_after_its_delay() {
    let world = World::unknown_to_tenants().await;
    let tenant = world.tenant(0).clone();
    world.azure().set_propagation(serde_json::from_value(json!({"rbac_ms": 600_000})).unwrap());
    world.azure().onboard(&tenant, "challenge").unwrap();
    let token = world.token(0).await;
    assert_eq!(world.get_key(&token, 0).await.code().1, "ForbiddenByRbac");
    world.control().advance(Duration::from_secs(600));
    assert_eq!(world.get_key(&token, 0).await.status, 200);
    let edit = Edit::RemoveRoleAssignments { directory: tenant.directory, app: tenant.app };
    let edit = world.azure().edit(edit).unwrap();
    assert_eq!(world.get_key(&token, 0).await.status, 200);
    world.control().advance(Duration::from_secs(600));
    assert_eq!(world.get_key(&token, 0).await.code().1, "ForbiddenByRbac");
    world.azure().undo(edit).unwrap();
    world.control().advance(Duration::from_secs(600));
    assert_eq!(world.get_key(&token, 0).await.status, 200);
}

#[tokio::test]
async fn a_closed_firewall_lets_nobody_through_but_whom_it_names() {
    let world = World::start().await;
    let token = world.token(0).await;
    let vault = world.tenant(0).vault.clone();
    let edit = world.azure().edit(Edit::Firewall { vault: vault.clone() }).unwrap();
    let refused = world.get_key(&token, 0).await;
    assert_eq!((refused.status, refused.code()), (403, ("Forbidden", "ForbiddenByFirewall")));
    assert!(refused.message().contains("Client address: 127.0.0.1"), "{}", refused.json);
    let other = world.token(1).await;
    assert_eq!(world.get_key(&other, 1).await.status, 200, "the other vault is open");
    world.azure().undo(edit).unwrap();
    assert_eq!(world.get_key(&token, 0).await.status, 200);
    let mut firewall = Firewall::new(FirewallAction::Deny);
    world.azure().set_firewall(&vault, firewall.clone()).unwrap();
    assert_eq!(world.get_key(&token, 0).await.status, 403);
    firewall.ip_rules.push("127.0.0.1".parse().unwrap());
    world.azure().set_firewall(&vault, firewall).unwrap();
    assert_eq!(world.get_key(&token, 0).await.status, 200);
}

#[tokio::test]
async fn a_vault_above_its_limit_says_when_to_come_back() {
    let world = World::start().await;
    let token = world.token(0).await;
    world.azure().set_vault_limit(&world.tenant(0).vault, Some(0)).unwrap();
    let refused = world.get_key(&token, 0).await;
    assert_eq!((refused.status, refused.code().0), (429, "Throttled"));
    assert_eq!(refused.retry_after.as_deref(), Some("10"));
    let other = world.token(1).await;
    assert_eq!(world.get_key(&other, 1).await.status, 200, "limits are a vault's own");
    world.azure().set_vault_limit(&world.tenant(0).vault, Some(100)).unwrap();
    assert_eq!(world.get_key(&token, 0).await.status, 200);
}

#[tokio::test]
async fn a_vault_with_access_policies_goes_by_them_and_not_by_roles() {
    let world = World::start().await;
    let tenant = world.tenant(0).clone();
    let vault: VaultName = "third-vault".parse().unwrap();
    let spec = VaultSpec { access_policies: true, ..VaultSpec::in_directory(tenant.directory.clone()) };
    world.azure().put_vault(&vault, spec).unwrap();
    let spec = json!({ "vault": vault, "name": "main" });
    let key = world.azure().create_key(serde_json::from_value(spec).unwrap()).unwrap();
    let directories = world.azure().world().directories;
    let directory = directories.iter().find(|known| known.id == tenant.directory).unwrap();
    let principal = directory.principals[&tenant.app].object_id.clone();
    let scope = world.azure().key_scope(&key).unwrap();
    let role = assignment(CRYPTO_SERVICE_ENCRYPTION_USER, principal.as_str(), &scope);
    world.azure().put_role_assignment(&role).unwrap();
    let token = world.token(0).await;
    let url = key.to_string();
    let get = || world.get(&token, &url);
    let refused = get().await;
    assert_eq!((refused.status, refused.code()), (403, ("Forbidden", "ForbiddenByPolicy")));
    assert!(refused.message().contains("does not have keys get permission on key vault 'third-vault;"));
    let give = |permissions: &[&str]| {
        let permissions: Vec<_> = permissions.iter().map(|name| (*name).to_owned()).collect();
        world.azure().set_access_policy(&vault, &principal, &permissions).unwrap();
    };
    give(&["wrapKey", "unwrapKey"]);
    assert_eq!(get().await.status, 403);
    give(&["Get"]);
    assert_eq!(get().await.status, 200);
    give(&[]);
    assert_eq!(get().await.status, 403);
    assert!(world.azure().set_access_policy(&tenant.vault, &principal, &[]).is_err(), "it goes by roles");
}
