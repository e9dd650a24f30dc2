//! The owners' edits, as their own logs have them.

use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::log::CallQuery;

use super::client::World;

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
