//! Edits, how they propagate, and how they are undone.

use std::time::Duration;

use leasehold_cloudsim::gcp::Propagation;
use leasehold_cloudsim::gcp::edits::Edit;
use serde_json::{Value, json};

use super::client::World;

/// What the platform can do for a tenant: become its account, encrypt, decrypt, and see the challenge.
async fn can(world: &World, session: &str, sealed: &Value) -> [bool; 4] {
    let base = world.base().await;
    let shown = world.get(session, &format!("/v1/{}", world.key(0))).await;
    let challenge = shown.status == 200 && shown.json()["labels"]["leasehold-challenge"] == "lh-challenge-1";
    [
        world.generate(&base, &world.tenant(0).service_account, json!({})).await.status == 200,
        world.encrypt(session, 0).await.status == 200,
        world.decrypt(session, 0, &sealed["ciphertext"]).await.status == 200,
        challenge,
    ]
}

fn levers(world: &World) -> Vec<(Edit, [bool; 4])> {
    let (service_account, key) = (world.tenant(0).service_account.clone(), world.key(0).clone());
    let project = world.tenant(0).project.clone();
    let member = format!("serviceAccount:{}", world.scenario.base);
    let user = format!("serviceAccount:{service_account}");
    let unusable = [true, false, false, true];
    vec![
        (
            Edit::RemoveTokenCreator { service_account: service_account.clone(), member },
            [false, true, true, true],
        ),
        (Edit::DisableServiceAccount { service_account }, [false; 4]),
        (Edit::RemoveKeyGrants { key: key.clone(), member: None }, [true, false, false, false]),
        (Edit::RemoveKeyGrants { key: key.clone(), member: Some(user) }, [true, false, false, false]),
        (
            Edit::RemoveKeyGrants { key: key.clone(), member: Some("user:other@example.com".to_owned()) },
            [true; 4],
        ),
        (Edit::Deny { project: project.clone(), principals: vec![], permissions: vec![] }, unusable),
        (
            Edit::Deny {
                project,
                principals: vec![],
                permissions: vec!["iam.googleapis.com/serviceAccounts.getAccessToken".to_owned()],
            },
            [false, true, true, true],
        ),
        (Edit::VersionDisabled { key: key.clone(), version: 1 }, unusable),
        (Edit::KeyVersionsDisabled { key: key.clone() }, unusable),
        (Edit::VersionDestroyScheduled { key: key.clone(), version: 1 }, unusable),
        (Edit::VersionDestroyed { key: key.clone(), version: 1 }, unusable),
        (Edit::RemoveLabel { key, label: "leasehold-challenge".to_owned() }, [true, true, true, false]),
    ]
}

#[tokio::test]
async fn every_lever_cuts_what_it_says_and_gives_it_back() {
    let world = World::start().await;
    let session = world.session(0).await;
    let sealed = world.encrypt(&session, 0).await.ok();
    for (edit, expected) in levers(&world) {
        let id = world.gcp().edit(edit.clone()).unwrap();
        assert_eq!(can(&world, &session, &sealed).await, expected, "{edit:?}");
        assert_eq!(world.gcp().edits().len(), 1);
        world.gcp().undo(id).unwrap();
        assert_eq!(can(&world, &session, &sealed).await, [true; 4], "{edit:?}");
        assert!(world.gcp().undo(id).is_err());
    }
}

#[tokio::test]
async fn edits_over_each_other_are_undone_in_any_order() {
    let world = World::start().await;
    let session = world.session(0).await;
    let sealed = world.encrypt(&session, 0).await.ok();
    for backwards in [false, true] {
        let mut made: Vec<_> =
            levers(&world).into_iter().map(|(edit, _)| world.gcp().edit(edit).unwrap()).collect();
        assert_eq!(can(&world, &session, &sealed).await, [false; 4]);
        if backwards {
            made.reverse();
        }
        made.into_iter().for_each(|id| world.gcp().undo(id).unwrap());
        assert_eq!(can(&world, &session, &sealed).await, [true; 4], "{backwards}");
    }
}

#[tokio::test]
async fn a_scheduled_destruction_comes_true_and_a_version_made_since_is_not_disabled() {
    let world = World::start().await;
    let session = world.session(0).await;
    let key = world.key(0).clone();
    let all = world.gcp().edit(Edit::KeyVersionsDisabled { key: key.clone() }).unwrap();
    world.gcp().rotate_key(&key).unwrap();
    world.encrypt(&session, 0).await.ok();
    world.gcp().undo(all).unwrap();
    let edit = world.gcp().edit(Edit::VersionDestroyScheduled { key: key.clone(), version: 2 }).unwrap();
    assert_eq!(world.encrypt(&session, 0).await.error().2, "KEY_DESTROY_SCHEDULED");
    world.control().advance(Duration::from_secs(30 * 24 * 3600));
    let session = world.session(0).await;
    assert_eq!(world.encrypt(&session, 0).await.error().2, "KEY_DESTROYED");
    world.gcp().undo(edit).unwrap();
    world.encrypt(&session, 0).await.ok();
    assert!(world.gcp().edit(Edit::VersionDisabled { key, version: 9 }).is_err());
}

#[tokio::test]
async fn an_edit_takes_effect_after_the_delay_of_its_kind_and_so_does_its_undoing() {
    let world = World::start().await;
    let (service_account, key) = (world.tenant(0).service_account.clone(), world.key(0).clone());
    let member = format!("serviceAccount:{}", world.scenario.base);
    for (propagation, edit, kind) in [
        (
            Propagation { iam_policy_ms: 60_000, ..Propagation::default() },
            Edit::RemoveTokenCreator { service_account: service_account.clone(), member },
            0,
        ),
        (
            Propagation { service_account_ms: 60_000, ..Propagation::default() },
            Edit::DisableServiceAccount { service_account },
            0,
        ),
        (
            Propagation { key_state_ms: 60_000, ..Propagation::default() },
            Edit::VersionDisabled { key: key.clone(), version: 1 },
            1,
        ),
        (
            Propagation { iam_policy_ms: 60_000, ..Propagation::default() },
            Edit::RemoveKeyGrants { key, member: None },
            1,
        ),
    ] {
        world.gcp().set_propagation(propagation);
        let session = world.session(0).await;
        let sealed = world.encrypt(&session, 0).await.ok();
        let works = || async { can(&world, &session, &sealed).await[kind] };
        let id = world.gcp().edit(edit.clone()).unwrap();
        assert!(works().await, "{edit:?}");
        world.control().advance(Duration::from_secs(60));
        assert!(!works().await, "{edit:?}");
        world.gcp().undo(id).unwrap();
        assert!(!works().await, "{edit:?}");
        world.control().advance(Duration::from_secs(60));
        assert!(works().await, "{edit:?}");
    }
}
