//! The owners' edits, as their own logs have them.

use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::azure::rbac::KEY_VAULT_ADMINISTRATOR;
use leasehold_cloudsim::log::CallQuery;
use serde_json::{Value, json};

use super::client::{World, send};

/// The service and operation of each management event, and what it is about.
fn events(world: &World, after: u64) -> Vec<(String, String, Option<String>)> {
    let query = CallQuery { management: true, after, ..CallQuery::default() };
    let records = world.simulator.control().calls(&query);
    let about = |r: &leasehold_cloudsim::log::CallRecord| r.facts.key.clone().or(r.facts.role.clone());
    records.iter().map(|r| (r.facts.service.clone(), r.facts.operation.clone(), about(r))).collect()
}

fn newest(world: &World) -> u64 {
    let query = CallQuery { management: true, ..CallQuery::default() };
    world.simulator.control().calls(&query).last().map_or(0, |record| record.sequence)
}

#[tokio::test]
async fn every_edit_leaves_the_event_that_azure_would_log() {
    let world = World::start().await;
    let (azure, tenant) = (world.azure(), world.scenario.tenants[0].clone());
    let (directory, app, key) = (tenant.directory, tenant.app, tenant.key);
    let principal = |e: fn(_, _) -> Edit| e(directory.clone(), app.clone());
    let (of_app, of_key) = (Some(app.to_string()), Some(key.to_string()));
    for (edit, service, made, undone, about) in [
        (
            principal(|directory, app| Edit::DisableServicePrincipal { directory, app }),
            "entra",
            "Disable service principal",
            "Enable service principal",
            &of_app,
        ),
        (
            principal(|directory, app| Edit::RemoveConsent { directory, app }),
            "entra",
            "Remove service principal",
            "Add service principal",
            &of_app,
        ),
        (
            principal(|directory, app| Edit::RemoveRoleAssignments { directory, app }),
            "resource_manager",
            "Microsoft.Authorization/roleAssignments/delete",
            "Microsoft.Authorization/roleAssignments/write",
            &of_app,
        ),
        (Edit::KeyDisabled { key: key.clone() }, "key_vault", "KeyUpdate", "KeyUpdate", &of_key),
        (Edit::KeyDeleted { key: key.clone() }, "key_vault", "KeyDelete", "KeyRecover", &of_key),
    ] {
        let start = newest(&world);
        let calls = world.simulator.control().count_calls(&CallQuery::default());
        let id = azure.edit(edit.clone()).unwrap();
        azure.undo(id).unwrap();
        let event = |operation: &str| (service.to_owned(), operation.to_owned(), about.clone());
        assert_eq!(events(&world, start), [event(made), event(undone)], "{edit:?}");
        assert_eq!(world.simulator.control().count_calls(&CallQuery::default()), calls, "nobody called");
    }
    let start = newest(&world);
    azure.set_key_enabled(&key, None, false).unwrap();
    azure.delete_key(&key).unwrap();
    azure.recover_key(&key).unwrap();
    azure.set_service_principal_enabled(&directory, &app, false).unwrap();
    azure.delete_service_principal(&directory, &app).unwrap();
    azure.edit(Edit::ExpireSecret { app: app.clone() }).unwrap();
    let operations: Vec<_> = events(&world, start).into_iter().map(|(_, operation, _)| operation).collect();
    let expected =
        ["KeyUpdate", "KeyDelete", "KeyRecover", "Disable service principal", "Remove service principal"];
    assert_eq!(operations, expected);
}

#[tokio::test]
async fn event_grid_hears_of_role_assignments_and_the_workspace_of_the_rest() {
    let world = World::start().await;
    let (azure, tenant) = (world.azure(), world.scenario.tenants[0].clone());
    let (directory, app) = (tenant.directory.clone(), tenant.app.clone());
    let start = newest(&world);
    azure.edit(Edit::RemoveRoleAssignments { directory: directory.clone(), app: app.clone() }).unwrap();
    azure.set_service_principal_enabled(&directory, &app, false).unwrap();
    azure.set_key_enabled(&tenant.key, None, false).unwrap();

    let url = format!("{}/azure/events?after={start}", world.simulator.endpoints().control);
    let listed: Value = world.http.get(url).send().await.unwrap().json().await.unwrap();
    let [(_, removed)] = azure.grid_events(start).try_into().unwrap();
    assert_eq!(listed[0]["event"], removed);
    let assignments = format!("{}/providers/Microsoft.Authorization/roleAssignments/", tenant.key_scope);
    assert!(removed["subject"].as_str().unwrap().starts_with(&assignments), "{removed}");
    assert_eq!(removed["topic"], format!("/subscriptions/{}", tenant.subscription));
    assert_eq!(removed["eventType"], "Microsoft.Resources.ResourceDeleteSuccess");
    assert_eq!(removed["data"]["operationName"], "Microsoft.Authorization/roleAssignments/delete");

    let [(_, (audit, disabled)), (_, (diagnostics, updated))] = azure.log_rows(start).try_into().unwrap();
    let principal = &azure.world().directories.into_iter().find(|known| known.id == directory).unwrap();
    let object_id = principal.principals[&app].object_id.to_string();
    assert_eq!((audit, diagnostics), ("AuditLogs", "AzureDiagnostics"));
    assert_eq!(disabled["OperationName"], "Disable service principal");
    assert!(disabled["TargetResources"].as_str().unwrap().contains(&object_id), "{disabled}");
    assert_eq!((&updated["OperationName"], &updated["id_s"]), (&json!("KeyUpdate"), &json!(tenant.key)));
    let vault = tenant.key_scope.strip_suffix("/keys/main").unwrap();
    assert!(updated["ResourceId"].as_str().unwrap().eq_ignore_ascii_case(vault));
}

#[tokio::test]
async fn what_is_assigned_and_taken_away_by_name_is_an_event_too() {
    let world = World::start().await;
    let (azure, tenant) = (world.azure(), world.tenant(0).clone());
    let object_id = azure.consent(&tenant.directory, &tenant.app).unwrap();
    let start = newest(&world);
    let vault = tenant.key_scope.strip_suffix("/keys/main").unwrap();
    let name = world.assign(KEY_VAULT_ADMINISTRATOR, object_id.as_str(), vault);
    azure.delete_role_assignment(&name).unwrap();
    let operations: Vec<_> = events(&world, start).into_iter().map(|(_, operation, _)| operation).collect();
    let expected = ["write", "delete"].map(|verb| format!("Microsoft.Authorization/roleAssignments/{verb}"));
    assert_eq!(operations, expected);
    assert_eq!(azure.grid_events(start).len(), 2);
}

#[tokio::test]
async fn what_an_owner_does_by_calling_the_vault_leaves_an_event_if_it_changed_something() {
    let world = World::start().await;
    let (admin, ours, key) = (world.admin(0).await, world.token(0).await, world.tenant(0).key.to_string());
    let start = newest(&world);
    let update = |token: &str| {
        let body = json!({"attributes": {"enabled": false}}).to_string();
        send(world.vault_request(reqwest::Method::PATCH, token, &key).body(body))
    };
    assert_eq!(update(&ours).await.status, 403);
    assert_eq!(update(&admin).await.status, 200);
    assert_eq!(world.get(&admin, &key).await.status, 200);
    let [(service, operation, about)] = events(&world, start).try_into().unwrap();
    assert_eq!((service.as_str(), operation.as_str(), about), ("key_vault", "KeyUpdate", Some(key)));
}
