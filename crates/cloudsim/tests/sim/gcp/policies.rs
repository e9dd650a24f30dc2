//! Allow and deny policies: each rule is seen to allow and to refuse.

use leasehold_cloudsim::control::gcp::PolicyPlace;
use leasehold_cloudsim::gcp::name::RoleName;
use serde_json::{Value, json};

use super::client::{Answer, World, denied};

const USE: &str = "roles/cloudkms.cryptoKeyEncrypterDecrypter";

fn account(world: &World) -> String {
    format!("serviceAccount:{}", world.tenant(0).service_account)
}

fn key(world: &World) -> PolicyPlace {
    PolicyPlace::Key(world.key(0).clone())
}

fn set(world: &World, place: &PolicyPlace, bindings: Value) {
    world.gcp().set_policy(place, &json!({"bindings": bindings})).unwrap();
}

/// Statuses of Encrypt, Decrypt and GetCryptoKey.
async fn may(world: &World, by: &str, sealed: &Value) -> [u16; 3] {
    [
        world.encrypt(by, 0).await.status,
        world.decrypt(by, 0, &sealed["ciphertext"]).await.status,
        world.get(by, &format!("/v1/{}", world.key(0))).await.status,
    ]
}

#[tokio::test]
async fn predefined_roles_give_what_the_real_ones_give() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let sealed = world.encrypt(&acme, 0).await.ok();
    for (role, expected) in [
        (USE, [200, 200, 403]),
        ("roles/cloudkms.cryptoKeyEncrypter", [200, 403, 403]),
        ("roles/cloudkms.cryptoKeyDecrypter", [403, 200, 403]),
        ("roles/cloudkms.viewer", [403, 403, 200]),
        ("roles/cloudkms.admin", [403, 403, 200]),
        ("roles/viewer", [403, 403, 200]),
        ("roles/editor", [403, 403, 200]),
        ("roles/owner", [200, 200, 200]),
        ("roles/iam.serviceAccountTokenCreator", [403, 403, 403]),
    ] {
        set(&world, &key(&world), json!([{"role": role, "members": [account(&world)]}]));
        assert_eq!(may(&world, &acme, &sealed).await, expected, "{role}");
    }
}

#[tokio::test]
async fn roles_on_a_service_account_decide_who_may_become_it() {
    let world = World::start().await;
    let base = world.base().await;
    let tenant = world.tenant(0).service_account.clone();
    let member = format!("serviceAccount:{}", world.scenario.base);
    for (role, status) in [
        ("roles/iam.serviceAccountTokenCreator", 200),
        ("roles/iam.workloadIdentityUser", 200),
        ("roles/iam.serviceAccountUser", 403),
        ("roles/iam.serviceAccountOpenIdTokenCreator", 403),
        ("roles/iam.serviceAccountAdmin", 403),
        ("roles/owner", 403),
        ("roles/editor", 403),
    ] {
        for place in
            [PolicyPlace::ServiceAccount(tenant.clone()), PolicyPlace::Project(tenant.project.clone())]
        {
            set(&world, &PolicyPlace::ServiceAccount(tenant.clone()), json!([]));
            set(&world, &PolicyPlace::Project(tenant.project.clone()), json!([]));
            set(&world, &place, json!([{"role": role, "members": [member]}]));
            assert_eq!(world.generate(&base, &tenant, json!({})).await.status, status, "{role} {place:?}");
        }
    }
}

#[tokio::test]
async fn bindings_on_the_key_its_ring_and_its_project_add_up_and_others_do_not_count() {
    let world = World::start().await;
    let acme = world.session(0).await;
    set(&world, &key(&world), json!([]));
    assert_eq!(world.encrypt(&acme, 0).await.error(), denied());
    let member = account(&world);
    let ring = world.key(0).ring.clone();
    let places = [key(&world), PolicyPlace::KeyRing(ring.clone()), PolicyPlace::Project(ring.project)];
    for place in places {
        set(&world, &place, json!([{"role": USE, "members": [member]}]));
        assert_eq!(world.encrypt(&acme, 0).await.status, 200, "{place:?}");
        set(&world, &place, json!([]));
        assert_eq!(world.encrypt(&acme, 0).await.status, 403, "{place:?}");
    }
    let elsewhere = PolicyPlace::Project(world.tenant(1).project.clone());
    set(&world, &elsewhere, json!([{"role": USE, "members": [member]}]));
    assert_eq!(world.encrypt(&acme, 0).await.status, 403);
}

#[tokio::test]
async fn members_are_who_they_say_and_nobody_else() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let email = world.tenant(0).service_account.to_string();
    let unique_id =
        world.gcp().world().projects[&world.tenant(0).project].service_accounts[0].unique_id.clone();
    for (member, status) in [
        (format!("serviceAccount:{email}"), 200),
        (format!("serviceAccount:{}", email.to_uppercase()), 200),
        (format!("principal://iam.googleapis.com/projects/-/serviceAccounts/{unique_id}"), 200),
        ("allUsers".to_owned(), 200),
        ("allAuthenticatedUsers".to_owned(), 200),
        (format!("user:{email}"), 403),
        (format!("serviceAccount:{}", world.scenario.base), 403),
        (format!("deleted:serviceAccount:{email}?uid={unique_id}"), 403),
        ("group:everyone@example.com".to_owned(), 403),
        ("domain:iam.gserviceaccount.com".to_owned(), 403),
        (
            "principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/*"
                .to_owned(),
            403,
        ),
    ] {
        set(&world, &key(&world), json!([{"role": USE, "members": [member]}]));
        assert_eq!(world.encrypt(&acme, 0).await.status, status, "{member}");
    }
}

#[tokio::test]
async fn a_custom_role_counts_in_its_own_project_while_it_exists_and_is_not_disabled() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let own: RoleName = format!("projects/{}/roles/sealer", world.tenant(0).project).parse().unwrap();
    let foreign: RoleName = format!("projects/{}/roles/sealer", world.tenant(1).project).parse().unwrap();
    let role = |stage: &str| json!({"stage": stage, "includedPermissions": ["cloudkms.cryptoKeyVersions.useToEncrypt"]});
    for name in [&own, &foreign] {
        world.gcp().put_custom_role(name, role("GA")).unwrap();
    }
    let bind = |name: &RoleName| {
        set(&world, &key(&world), json!([{"role": name, "members": [account(&world)]}]));
    };
    bind(&foreign);
    assert_eq!(world.encrypt(&acme, 0).await.status, 403);
    bind(&own);
    assert_eq!(world.encrypt(&acme, 0).await.status, 200);
    world.gcp().put_custom_role(&own, role("DISABLED")).unwrap();
    assert_eq!(world.encrypt(&acme, 0).await.status, 403);
    world.gcp().put_custom_role(&own, role("GA")).unwrap();
    assert_eq!(world.encrypt(&acme, 0).await.status, 200);
    world.gcp().delete_custom_role(&own).unwrap();
    assert_eq!(world.encrypt(&acme, 0).await.status, 403);
}

#[tokio::test]
async fn a_binding_with_a_condition_counts_only_while_it_is_true() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let until = |seconds: i64| {
        let now = world.control().clock().now().unix_seconds();
        leasehold_cloudsim::clock::Timestamp::from_unix_seconds(now + seconds).iso()
    };
    let name = world.key(0).to_string();
    for (expression, status) in [
        (format!("resource.name == '{name}'"), 200),
        (format!("resource.name.startsWith('{}')", world.key(0).ring), 200),
        ("resource.name == 'another'".to_owned(), 403),
        ("resource.service == 'cloudkms.googleapis.com' && resource.type == 'cloudkms.googleapis.com/CryptoKey'".to_owned(), 200),
        ("resource.type == 'cloudkms.googleapis.com/KeyRing'".to_owned(), 403),
        (format!("request.time < timestamp('{}')", until(600)), 200),
        (format!("request.time < timestamp('{}')", until(-600)), 403),
    ] {
        let condition = json!({"title": "t", "expression": expression});
        let binding = json!([{"role": USE, "members": [account(&world)], "condition": condition}]);
        set(&world, &key(&world), binding);
        assert_eq!(world.encrypt(&acme, 0).await.status, status, "{expression}");
    }
    let expires = json!({"title": "t", "expression": format!("request.time < timestamp('{}')", until(600))});
    set(&world, &key(&world), json!([{"role": USE, "members": [account(&world)], "condition": expires}]));
    assert_eq!(world.encrypt(&acme, 0).await.status, 200);
    world.control().advance(std::time::Duration::from_secs(601));
    assert_eq!(world.encrypt(&acme, 0).await.status, 403);
    let log = world.control().calls(&Default::default());
    let reason = log.last().unwrap().reason.clone().unwrap();
    assert!(reason.contains("only if request.time"), "{reason}");
}

#[tokio::test]
async fn policies_that_google_or_the_simulator_cannot_take_are_refused() {
    let world = World::start().await;
    let refused =
        |binding: Value| world.gcp().set_policy(&key(&world), &json!({"bindings": [binding]})).unwrap_err();
    let condition = |text: &str| json!({"title": "t", "expression": text});
    for binding in [
        json!({"role": "roles/cloudkms.unheardOf", "members": []}),
        json!({"role": "owner", "members": []}),
        json!({"role": USE, "members": ["acme@example.com"]}),
        json!({"role": "roles/owner", "members": ["user:a@b.c"], "condition": condition("true")}),
        json!({"role": USE, "members": ["allUsers"], "condition": condition("true")}),
        json!({"role": USE, "members": [], "condition": condition("resource.matchTag('a', 'b')")}),
        json!({"role": USE, "members": [], "condition": condition("destination.port == 1")}),
        json!({"role": USE, "member": []}),
    ] {
        let error = refused(binding.clone()).to_string();
        assert!(error.starts_with("invalid"), "{binding}: {error}");
    }
    let deny = |rule: Value| {
        let policy = json!({"rules": [{"denyRule": rule}]});
        world.gcp().put_deny_policy(&world.tenant(0).project, "d", policy).unwrap_err()
    };
    deny(json!({"deniedPrincipals": ["serviceAccount:a"], "deniedPermissions": []}));
    deny(json!({"deniedPrincipals": [], "deniedPermissions": ["cloudkms.cryptoKeys.get"]}));
    deny(json!({"deniedPrincipals": []}));
}

#[tokio::test]
async fn a_deny_policy_outweighs_every_binding_for_those_and_that_which_it_names() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let sealed = world.encrypt(&acme, 0).await.ok();
    let project = world.tenant(0).project.clone();
    let email = &world.tenant(0).service_account;
    let me = format!("principal://iam.googleapis.com/projects/-/serviceAccounts/{email}");
    let everyone = "principalSet://goog/public:all";
    let use_all = "cloudkms.googleapis.com/cryptoKeyVersions.*";
    let decrypt = "cloudkms.googleapis.com/cryptoKeyVersions.useToDecrypt";
    let false_condition = json!({"title": "t", "expression": "resource.name == 'another'"});
    for (rule, expected) in [
        (json!({"deniedPrincipals": [me], "deniedPermissions": [decrypt]}), [200, 403, 200]),
        (json!({"deniedPrincipals": [everyone], "deniedPermissions": [use_all]}), [403, 403, 200]),
        (
            json!({"deniedPrincipals": [everyone], "exceptionPrincipals": [me], "deniedPermissions": [use_all]}),
            [200, 200, 200],
        ),
        (
            json!({"deniedPrincipals": [everyone], "deniedPermissions": [use_all], "exceptionPermissions": [decrypt]}),
            [403, 200, 200],
        ),
        (
            json!({"deniedPrincipals": [me], "deniedPermissions": ["cloudkms.googleapis.com/*.get"]}),
            [200, 200, 403],
        ),
        (
            json!({"deniedPrincipals": [me], "deniedPermissions": [use_all], "denialCondition": false_condition}),
            [200, 200, 200],
        ),
        (
            json!({"deniedPrincipals": ["principal://goog/subject/a@b.c"], "deniedPermissions": [use_all]}),
            [200, 200, 200],
        ),
    ] {
        let policy = json!({"rules": [{"denyRule": rule}]});
        world.gcp().put_deny_policy(&project, "no-use", policy).unwrap();
        assert_eq!(may(&world, &acme, &sealed).await, expected, "{rule}");
    }
    let policy = json!({"rules": [{"denyRule": {
        "deniedPrincipals": [everyone],
        "deniedPermissions": ["iam.googleapis.com/serviceAccounts.getAccessToken"],
    }}]});
    world.gcp().put_deny_policy(&project, "no-use", policy).unwrap();
    let base = world.base().await;
    assert_eq!(world.generate(&base, email, json!({})).await.error(), denied());
    world.gcp().delete_deny_policy(&project, "no-use").unwrap();
    assert_eq!(world.generate(&base, email, json!({})).await.status, 200);
    assert_eq!(may(&world, &acme, &sealed).await, [200; 3]);
}

#[tokio::test]
async fn test_iam_permissions_tells_what_the_caller_may_do() {
    let world = World::start().await;
    let acme = world.session(0).await;
    let path = format!("/v1/{}:testIamPermissions", world.key(0));
    let ask = |permissions: Value| {
        let body = json!({"permissions": permissions});
        let (world, acme, path) = (&world, &acme, &path);
        async move { world.post(acme, path, body).await }
    };
    let all = json!([
        "cloudkms.cryptoKeyVersions.useToEncrypt",
        "cloudkms.cryptoKeys.setIamPolicy",
        "cloudkms.cryptoKeys.get"
    ]);
    let held: Answer = ask(all).await;
    let expected = json!(["cloudkms.cryptoKeyVersions.useToEncrypt", "cloudkms.cryptoKeys.get"]);
    assert_eq!(held.ok()["permissions"], expected);
    assert_eq!(ask(json!(["cloudkms.cryptoKeys.update"])).await.ok(), json!({}));
    assert_eq!(ask(json!(["storage.objects.get"])).await.status, 400);
}
