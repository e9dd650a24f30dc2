//! What a tenant's administrator does through Cloud KMS itself.

use leasehold_cloudsim::control::gcp::PolicyPlace;
use leasehold_cloudsim::log::CallQuery;
use serde_json::{Value, json};

use super::client::{World, denied, refused};

/// A token of a user who has a role on the first tenant's project.
pub(super) async fn user(world: &World, email: &str, role: &str) -> String {
    let file = world.gcp().put_user(email).unwrap();
    let file: Value = serde_json::from_str(file.expose()).unwrap();
    let place = PolicyPlace::Project(world.tenant(0).project.clone());
    world.gcp().grant(&place, role, &format!("user:{email}")).unwrap();
    let form =
        ["client_id", "client_secret", "refresh_token"].map(|name| (name, file[name].as_str().unwrap()));
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .extend_pairs(form)
        .finish();
    let url = format!("{}/token", world.simulator.endpoints().gcp);
    let request = world.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
    let answer = super::client::answer(request).await.ok();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn versions_are_disabled_destroyed_restored_and_made_primary_by_administrators_alone() {
    let world = World::start().await;
    let (admin, acme) =
        (user(&world, "a@acme.example", "roles/cloudkms.admin").await, world.session(0).await);
    let key = format!("/v1/{}", world.key(0));
    let version = format!("{key}/cryptoKeyVersions/1");
    let state = |wanted: &str| json!({"state": wanted});
    let update = format!("{version}?updateMask=state");
    assert_eq!(world.patch(&acme, &update, state("DISABLED")).await.error(), denied());
    assert_eq!(world.patch(&admin, &update, state("DISABLED")).await.ok()["state"], "DISABLED");
    assert_eq!(world.encrypt(&acme, 0).await.error().2, "KEY_DISABLED");
    assert_eq!(world.patch(&admin, &update, state("DESTROYED")).await.error().1, "INVALID_ARGUMENT");
    world.patch(&admin, &update, json!({"state": 1})).await.ok();
    let destroy = format!("{version}:destroy");
    assert_eq!(world.post(&acme, &destroy, json!({})).await.error(), denied());
    let scheduled = world.post(&admin, &destroy, json!({})).await.ok();
    assert_eq!(scheduled["state"], "DESTROY_SCHEDULED");
    assert!(scheduled["destroyTime"].as_str().is_some());
    let again = world.post(&admin, &destroy, json!({})).await;
    assert_eq!(again.error(), refused(400, "FAILED_PRECONDITION", "KEY_DESTROY_SCHEDULED"));
    let restore = format!("{version}:restore");
    assert_eq!(world.post(&acme, &restore, json!({})).await.error(), denied());
    assert_eq!(world.post(&admin, &restore, json!({})).await.ok()["state"], "DISABLED");
    let made = world.post(&admin, &format!("{key}/cryptoKeyVersions"), json!({})).await.ok();
    assert_eq!(made["state"], "ENABLED");
    assert_eq!(world.encrypt(&acme, 0).await.error().2, "KEY_DISABLED", "a new version is not primary yet");
    let primary = format!("{key}:updatePrimaryVersion");
    assert_eq!(world.post(&acme, &primary, json!({"cryptoKeyVersionId": "2"})).await.error(), denied());
    assert_eq!(world.post(&admin, &primary, json!({"cryptoKeyVersionId": "3"})).await.error().1, "NOT_FOUND");
    world.post(&admin, &primary, json!({"cryptoKeyVersionId": "2"})).await.ok();
    world.encrypt(&acme, 0).await.ok();
    let query = CallQuery { management: true, ..CallQuery::default() };
    let last = world.control().calls(&query).pop().unwrap();
    assert_eq!(last.facts.operation, "UpdateCryptoKeyPrimaryVersion");
    assert_eq!(last.facts.principal.as_deref(), Some("a@acme.example"));
}

#[tokio::test]
async fn labels_and_policies_are_written_by_administrators_alone() {
    let world = World::start().await;
    let (admin, acme) =
        (user(&world, "a@acme.example", "roles/cloudkms.admin").await, world.session(0).await);
    let key = format!("/v1/{}", world.key(0));
    let labels = json!({"labels": {"leasehold-challenge": "other"}});
    assert_eq!(
        world.patch(&acme, &format!("{key}?updateMask=labels"), labels.clone()).await.error(),
        denied()
    );
    let shown = world.patch(&admin, &format!("{key}?updateMask=labels"), labels).await.ok();
    assert_eq!(shown["labels"]["leasehold-challenge"], "other");
    assert_eq!(world.get(&acme, &format!("{key}:getIamPolicy")).await.error(), denied());
    let mut policy = world.get(&admin, &format!("{key}:getIamPolicy")).await.ok();
    let set = |policy: Value| {
        let (world, admin, path) = (&world, &admin, format!("{key}:setIamPolicy"));
        async move { world.post(admin, &path, json!({"policy": policy})).await }
    };
    let body = json!({"policy": policy});
    assert_eq!(world.post(&acme, &format!("{key}:setIamPolicy"), body).await.error(), denied());
    let old = policy.clone();
    policy["bindings"] = json!([]);
    let written = set(policy).await.ok();
    assert!(written.get("bindings").is_none());
    assert_eq!(world.encrypt(&acme, 0).await.error(), denied());
    assert_eq!(
        set(old.clone()).await.error(),
        refused(409, "ABORTED", ""),
        "it was read before another write"
    );
    let mut fresh = old;
    fresh["etag"] = written["etag"].clone();
    set(fresh).await.ok();
    world.encrypt(&acme, 0).await.ok();
    let unknown = json!({"bindings": [{"role": "roles/nothing", "members": []}]});
    assert_eq!(set(unknown).await.error(), refused(400, "INVALID_ARGUMENT", ""));
    let ring = format!("/v1/{}", world.key(0).ring);
    assert_eq!(world.get(&admin, &ring).await.ok()["name"], ring[4..]);
    assert_eq!(world.get(&acme, &ring).await.error(), denied());
    let location = ring.split("/keyRings").next().unwrap().to_owned();
    assert_eq!(world.get(&admin, &location).await.ok()["locationId"], "europe-west3");
    assert_eq!(world.get(&acme, &location).await.error(), denied());
}
