//! The owners' edits, as their own audit logs have them.

use leasehold_cloudsim::control::gcp::PolicyPlace;
use leasehold_cloudsim::gcp::VersionState;
use leasehold_cloudsim::gcp::edits::Edit;
use leasehold_cloudsim::gcp::name::RoleName;
use leasehold_cloudsim::log::CallQuery;
use serde_json::{Value, json};

use super::admin::user;
use super::client::World;

/// What happened after `start`: the service, the method and the resource of each entry.
fn entries(world: &World, start: u64) -> Vec<[String; 3]> {
    let fields = ["serviceName", "methodName", "resourceName"];
    let text = |entry: &Value, field| entry["protoPayload"][field].as_str().unwrap().to_owned();
    let entries = world.gcp().log_entries(start);
    entries.iter().map(|(_, entry)| fields.map(|field| text(entry, field))).collect()
}

fn newest(world: &World) -> u64 {
    world.gcp().log_entries(0).last().map_or(0, |(sequence, _)| *sequence)
}

const KMS: &str = "cloudkms.googleapis.com";
const IAM: &str = "iam.googleapis.com";
const PROJECTS: &str = "cloudresourcemanager.googleapis.com";

#[tokio::test]
async fn every_edit_leaves_the_entry_of_the_call_that_would_have_made_it() {
    let world = World::start().await;
    let (service_account, key) = (world.tenant(0).service_account.clone(), world.key(0).clone());
    let project = world.tenant(0).project.clone();
    let member = format!("serviceAccount:{}", world.scenario.base);
    let (of_key, of_version) = (key.to_string(), format!("{key}/cryptoKeyVersions/1"));
    let of_account = format!("projects/-/serviceAccounts/{service_account}");
    let version = |edit: fn(_, _) -> Edit| edit(key.clone(), 1);
    let [disable, enable] =
        ["Disable", "Enable"].map(|verb| format!("google.iam.admin.v1.{verb}ServiceAccount"));
    for (edit, service, made, undone, resource) in [
        (
            Edit::RemoveTokenCreator { service_account: service_account.clone(), member },
            IAM,
            "google.iam.admin.v1.SetIAMPolicy",
            "google.iam.admin.v1.SetIAMPolicy",
            &of_account,
        ),
        (Edit::DisableServiceAccount { service_account }, IAM, &disable, &enable, &of_account),
        (
            Edit::RemoveKeyGrants { key: key.clone(), member: None },
            KMS,
            "SetIamPolicy",
            "SetIamPolicy",
            &of_key,
        ),
        (
            version(|key, version| Edit::VersionDisabled { key, version }),
            KMS,
            "UpdateCryptoKeyVersion",
            "UpdateCryptoKeyVersion",
            &of_version,
        ),
        (
            Edit::KeyVersionsDisabled { key: key.clone() },
            KMS,
            "UpdateCryptoKeyVersion",
            "UpdateCryptoKeyVersion",
            &of_version,
        ),
        (
            version(|key, version| Edit::VersionDestroyScheduled { key, version }),
            KMS,
            "DestroyCryptoKeyVersion",
            "RestoreCryptoKeyVersion",
            &of_version,
        ),
        (
            Edit::RemoveLabel { key: key.clone(), label: "leasehold-challenge".to_owned() },
            KMS,
            "UpdateCryptoKey",
            "UpdateCryptoKey",
            &of_key,
        ),
    ] {
        let start = newest(&world);
        let id = world.gcp().edit(edit.clone()).unwrap();
        world.gcp().undo(id).unwrap();
        let entry = |method: &str| [service.to_owned(), method.to_owned(), resource.clone()];
        assert_eq!(entries(&world, start), [entry(made), entry(undone)], "{edit:?}");
    }
    let start = newest(&world);
    let id = world.gcp().edit(Edit::Deny { project, principals: vec![], permissions: vec![] }).unwrap();
    world.gcp().undo(id).unwrap();
    let [made, undone] = entries(&world, start).try_into().unwrap();
    assert_eq!((made[0].as_str(), made[1].as_str()), (IAM, "google.iam.v2.Policies.CreatePolicy"));
    assert_eq!((undone[1].as_str(), &undone[2]), ("google.iam.v2.Policies.DeletePolicy", &made[2]));
    let start = newest(&world);
    world.gcp().edit(version(|key, version| Edit::VersionDestroyed { key, version })).unwrap();
    assert_eq!(entries(&world, start), [[""; 3]; 0], "nobody can destroy a version at once");
}

#[tokio::test]
async fn what_is_set_by_name_leaves_its_entry_too() {
    let world = World::start().await;
    let (gcp, tenant) = (world.gcp(), world.tenant(0).clone());
    let (project, key, email) = (tenant.project, tenant.key, tenant.service_account);
    let deny = json!({"rules": [{"denyRule": {
        "deniedPrincipals": ["principalSet://goog/public:all"],
        "deniedPermissions": ["cloudkms.googleapis.com/cryptoKeys.get"],
    }}]});
    let role = RoleName { project: project.clone(), id: "leaseholdKeyUser".to_owned() };
    let start = newest(&world);
    for place in [PolicyPlace::Project(project.clone()), PolicyPlace::KeyRing(key.ring.clone())] {
        gcp.set_policy(&place, &json!({})).unwrap();
    }
    gcp.put_deny_policy(&project, "d", deny.clone()).unwrap();
    gcp.put_deny_policy(&project, "d", deny).unwrap();
    gcp.delete_deny_policy(&project, "d").unwrap();
    gcp.put_custom_role(&role, json!({"includedPermissions": []})).unwrap();
    gcp.delete_custom_role(&role).unwrap();
    gcp.rotate_key(&key).unwrap();
    gcp.set_version_state(&key, 1, VersionState::Disabled).unwrap();
    gcp.delete_service_account(&email).unwrap();
    assert!(gcp.delete_service_account(&email).is_err());
    gcp.delete_project(&project).unwrap();
    assert!(gcp.delete_project(&project).is_err());
    let policies =
        format!("policies/cloudresourcemanager.googleapis.com%2Fprojects%2F{project}/denypolicies/d");
    let expected = [
        (PROJECTS, "SetIamPolicy", format!("projects/{project}")),
        (KMS, "SetIamPolicy", key.ring.to_string()),
        (IAM, "google.iam.v2.Policies.CreatePolicy", policies.clone()),
        (IAM, "google.iam.v2.Policies.UpdatePolicy", policies.clone()),
        (IAM, "google.iam.v2.Policies.DeletePolicy", policies),
        (IAM, "google.iam.admin.v1.UpdateRole", role.to_string()),
        (IAM, "google.iam.admin.v1.DeleteRole", role.to_string()),
        (KMS, "CreateCryptoKeyVersion", format!("{key}/cryptoKeyVersions/2")),
        (KMS, "UpdateCryptoKeyPrimaryVersion", format!("{key}/cryptoKeyVersions/2")),
        (KMS, "UpdateCryptoKeyVersion", format!("{key}/cryptoKeyVersions/1")),
        (IAM, "google.iam.admin.v1.DeleteServiceAccount", format!("projects/-/serviceAccounts/{email}")),
        (PROJECTS, "DeleteProject", format!("projects/{project}")),
    ];
    assert_eq!(
        entries(&world, start),
        expected.map(|(service, method, resource)| [service.to_owned(), method.to_owned(), resource])
    );
}

#[tokio::test]
async fn an_entry_names_its_resource_and_is_no_call() {
    let world = World::start().await;
    let (tenant, calls) = (world.tenant(0).clone(), CallQuery::default());
    let (start, before) = (newest(&world), world.control().count_calls(&calls));
    let key = tenant.key.clone();
    world.gcp().edit(Edit::VersionDisabled { key: key.clone(), version: 1 }).unwrap();
    world
        .gcp()
        .edit(Edit::DisableServiceAccount { service_account: tenant.service_account.clone() })
        .unwrap();
    assert_eq!(world.control().count_calls(&calls), before, "nobody called");
    let entries = world.gcp().log_entries(start);
    let (disabled, closed) = (&entries[0].1, &entries[1].1);
    let resource = json!({
        "type": "cloudkms_cryptokeyversion",
        "labels": {
            "project_id": tenant.project,
            "location": key.ring.location,
            "key_ring_id": key.ring.id,
            "crypto_key_id": key.id,
            "crypto_key_version_id": "1",
        },
    });
    assert_eq!(disabled["resource"], resource);
    let log = format!("projects/{}/logs/cloudaudit.googleapis.com%2Factivity", tenant.project);
    assert_eq!(disabled["logName"], log);
    assert_eq!(closed["resource"]["labels"]["email_id"], json!(tenant.service_account));
    let url = format!("{}/gcp/events?after={start}", world.simulator.endpoints().control);
    let listed: Value = world.http.get(url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&listed[0]["event"], listed.as_array().unwrap().len()), (disabled, 2));
}

#[tokio::test]
async fn what_an_owner_does_by_calling_cloud_kms_leaves_an_entry_if_it_changed_something() {
    let world = World::start().await;
    let admin = user(&world, "a@acme.example", "roles/cloudkms.admin").await;
    let acme = world.session(0).await;
    let (ring, key) = (world.key(0).ring.to_string(), world.key(0).to_string());
    let start = newest(&world);
    let disabled = json!({"state": "DISABLED"});
    let update = format!("/v1/{key}/cryptoKeyVersions/1?updateMask=state");
    assert_eq!(world.patch(&acme, &update, disabled.clone()).await.status, 403);
    world.patch(&admin, &update, disabled).await.ok();
    world.get(&admin, &format!("/v1/{key}")).await.ok();
    world.post(&admin, &format!("/v1/{ring}:setIamPolicy"), json!({"policy": {}})).await.ok();
    let expected = [
        ["UpdateCryptoKeyVersion".to_owned(), format!("{key}/cryptoKeyVersions/1")],
        ["SetIamPolicy".to_owned(), ring],
    ];
    let found = entries(&world, start).into_iter().map(|[_, method, resource]| [method, resource]);
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let by = world.gcp().log_entries(start)[0].1["protoPayload"]["authenticationInfo"].clone();
    assert_eq!(by, json!({"principalEmail": "a@acme.example"}));
}

#[tokio::test]
async fn the_log_has_no_other_clouds_edits() {
    use leasehold_cloudsim::azure::edits::Edit as AzureEdit;
    use leasehold_cloudsim::azure::scenario::ScenarioSpec;

    let world = World::start().await;
    let azure = world.control().azure();
    let scenario = azure.build(&ScenarioSpec::with_tenants(&["initech"]).unwrap()).unwrap();
    let start = newest(&world);
    azure.edit(AzureEdit::KeyDeleted { key: scenario.tenants[0].key.clone() }).unwrap();
    assert_eq!(entries(&world, start), [[""; 3]; 0]);
}
