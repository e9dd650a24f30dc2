//! The owners' edits, as their own audit log and their event bus have them.

use leasehold_cloudsim::aws::KeyState;
use leasehold_cloudsim::aws::edits::Edit;
use leasehold_cloudsim::log::CallQuery;
use serde_json::{Value, json};

use crate::client::World;

/// What happened after `start`: the source and the name of each event.
fn events(world: &World, start: u64) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let events = world.simulator.control().aws().bus_events(start);
    events.iter().map(|(_, e)| (text(&e["detail"]["eventSource"]), text(&e["detail"]["eventName"]))).collect()
}

fn newest(world: &World) -> u64 {
    world.simulator.control().aws().bus_events(0).last().map_or(0, |(sequence, _)| *sequence)
}

#[tokio::test]
async fn every_edit_leaves_the_event_of_the_call_that_would_have_made_it() {
    let world = World::start().await;
    let aws = world.simulator.control().aws();
    let tenant = world.scenario.tenants[0].clone();
    let (role, key) = (tenant.role, tenant.key);
    let principal = world.scenario.base_user.clone();
    let deny = Edit::KeyDeny {
        key: key.clone(),
        principal: "*".into(),
        actions: vec![],
        encryption_context: std::collections::BTreeMap::new(),
    };
    for (edit, source, made, undone) in [
        (
            Edit::TrustRemovePrincipal { role: role.clone(), principal: principal.clone() },
            "iam",
            "UpdateAssumeRolePolicy",
            "UpdateAssumeRolePolicy",
        ),
        (
            Edit::TrustDenyPrincipal { role: role.clone(), principal },
            "iam",
            "UpdateAssumeRolePolicy",
            "UpdateAssumeRolePolicy",
        ),
        (deny, "kms", "PutKeyPolicy", "PutKeyPolicy"),
        (Edit::RoleDetachPolicies { role: role.clone() }, "iam", "DeleteRolePolicy", "PutRolePolicy"),
        (
            Edit::RoleDeny { role: role.clone(), actions: vec!["kms:Decrypt".into()] },
            "iam",
            "PutRolePolicy",
            "DeleteRolePolicy",
        ),
        (Edit::RevokeOlderSessions { role: role.clone() }, "iam", "PutRolePolicy", "DeleteRolePolicy"),
        (Edit::KeyState { key: key.clone(), state: KeyState::Disabled }, "kms", "DisableKey", "EnableKey"),
        (
            Edit::KeyState { key: key.clone(), state: KeyState::PendingDeletion },
            "kms",
            "ScheduleKeyDeletion",
            "CancelKeyDeletion",
        ),
    ] {
        let start = newest(&world);
        let id = aws.edit(edit.clone()).unwrap();
        aws.undo(id).unwrap();
        let source = format!("{source}.amazonaws.com");
        let expected = [(source.clone(), made.to_owned()), (source, undone.to_owned())];
        assert_eq!(events(&world, start), expected, "{edit:?}");
    }
    let start = newest(&world);
    aws.edit(Edit::KeyState { key: key.clone(), state: KeyState::Unavailable }).unwrap();
    assert_eq!(events(&world, start), [], "a key store that goes away is nobody's call");
    aws.set_key_state(&key, KeyState::Enabled).unwrap();
    aws.set_boundary(&role, None).unwrap();
    aws.delete_role(&role).unwrap();
    assert!(aws.delete_role(&role).is_err());
    let names: Vec<_> = events(&world, start).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["DeleteRolePermissionsBoundary", "DeleteRole"]);
}

#[tokio::test]
async fn an_event_names_its_resource_and_is_no_call() {
    let world = World::start().await;
    let aws = world.simulator.control().aws();
    let tenant = &world.scenario.tenants[0];
    let (start, calls) = (newest(&world), CallQuery::default());
    let before = world.simulator.control().count_calls(&calls);
    aws.set_key_state(&tenant.key, KeyState::Disabled).unwrap();
    aws.edit(Edit::RoleDetachPolicies { role: tenant.role.clone() }).unwrap();
    assert_eq!(world.simulator.control().count_calls(&calls), before, "nobody called");
    let events = aws.bus_events(start);
    let (disabled, detached) = (&events[0].1, &events[1].1);
    assert_eq!(disabled["detail"]["resources"][0]["ARN"], json!(tenant.key.to_string()));
    assert_eq!(disabled["region"], "eu-central-1");
    assert_eq!(detached["detail"]["requestParameters"]["roleName"], json!(tenant.role.name));
    assert_eq!(
        (&detached["region"], &detached["account"]),
        (&json!("us-east-1"), &json!(tenant.account.to_string()))
    );
    let url = format!("{}/aws/events?after={start}", world.simulator.endpoints().control);
    let listed: Value = world.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!(listed[0]["event"], *disabled);
    let url = format!("{}/calls?management=true&after={start}", world.simulator.endpoints().control);
    let listed: Value = world.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&listed[0]["operation"], &listed[1]["service"]), (&json!("DisableKey"), &json!("iam")));
}

#[tokio::test]
async fn the_bus_hears_of_no_other_clouds_edits() {
    use leasehold_cloudsim::gcp::edits::Edit as GcpEdit;
    use leasehold_cloudsim::gcp::scenario::ScenarioSpec;

    let world = World::start().await;
    let gcp = world.simulator.control().gcp();
    let scenario = gcp.build(&ScenarioSpec::with_tenants(&["acme"]).unwrap()).unwrap();
    let start = newest(&world);
    let service_account = scenario.tenants[0].service_account.clone();
    gcp.edit(GcpEdit::DisableServiceAccount { service_account }).unwrap();
    assert_eq!(events(&world, start), []);
}

#[tokio::test]
async fn what_an_owner_does_by_calling_kms_leaves_an_event_if_it_changed_something() {
    let world = World::start().await;
    let (admin, key) = (world.admin(0), json!({"KeyId": world.scenario.tenants[0].key.id}));
    let start = newest(&world);
    for operation in ["DisableKey", "DescribeKey", "EnableKey"] {
        assert_eq!(world.kms(&admin, operation, key.clone()).await.status, 200);
    }
    assert_eq!(world.kms(&admin, "DisableKey", json!({"KeyId": "no-such-key"})).await.status, 400);
    let names: Vec<_> = events(&world, start).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["DisableKey", "EnableKey"]);
}
