//! Becoming a service account: IAM Credentials and the metadata server.

use std::time::Duration;

use leasehold_cloudsim::control::gcp::PolicyPlace;
use leasehold_cloudsim::gcp::name::ServiceAccountEmail;
use serde_json::json;

use super::client::{SCOPE, World, answer, denied, refused};

#[tokio::test]
async fn nobody_is_let_in_before_the_onboarding_and_the_platform_is_after_it() {
    let world = World::without_onboarding().await;
    let base = world.base().await;
    let tenant = world.tenant(0).clone();
    let refusal = world.generate(&base, &tenant.service_account, json!({})).await;
    assert_eq!(refusal.error(), denied());
    let message = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).";
    assert_eq!(refusal.message(), message);
    assert_eq!(world.encrypt(&base, 0).await.error(), denied());
    world.gcp().onboard(&tenant, "lh-1").unwrap();
    let session = world.session(0).await;
    world.encrypt(&session, 0).await.ok();
    assert_eq!(world.encrypt(&base, 0).await.error(), denied(), "the key is for the tenant's account alone");
    assert_eq!(world.generate(&session, &tenant.service_account, json!({})).await.error(), denied());
    assert_eq!(world.generate(&base, &world.tenant(1).service_account, json!({})).await.error(), denied());
}

#[tokio::test]
async fn tokens_live_as_long_as_was_asked_and_no_longer() {
    let world = World::start().await;
    let account = &world.tenant(0).service_account;
    let base = world.base().await;
    let token = world.generate(&base, account, json!({"lifetime": "600s"})).await.ok();
    let token = token["accessToken"].as_str().unwrap();
    world.encrypt(token, 0).await.ok();
    world.control().advance(Duration::from_secs(570));
    world.encrypt(token, 0).await.ok();
    world.control().advance(Duration::from_secs(30));
    let expired = refused(401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED");
    assert_eq!(world.encrypt(token, 0).await.error(), expired);
    for (lifetime, status) in [("3600s", 200), ("3601s", 400), ("0s", 400), ("-1s", 400), ("1h", 400)] {
        let answer = world.generate(&base, account, json!({"lifetime": lifetime})).await;
        assert_eq!(answer.status, status, "{lifetime}");
    }
    world.gcp().set_lifetime_extended(account, true).unwrap();
    assert_eq!(world.generate(&base, account, json!({"lifetime": "43200s"})).await.status, 200);
    assert_eq!(world.generate(&base, account, json!({"lifetime": "43201s"})).await.status, 400);
}

#[tokio::test]
async fn tokens_that_are_missing_unknown_or_ended_are_told_apart() {
    let world = World::start().await;
    let session = world.session(0).await;
    let url = format!("{}/v1/{}", world.simulator.endpoints().gcp, world.key(0));
    let missing = answer(world.http.get(&url)).await;
    assert_eq!(missing.error(), refused(401, "UNAUTHENTICATED", "CREDENTIALS_MISSING"));
    let unknown = world.get("ya29.c.nonsense", &url[url.find("/v1").unwrap()..]).await;
    assert_eq!(unknown.error(), refused(401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED"));
    assert!(world.gcp().expire_tokens() >= 2);
    let expired = world.encrypt(&session, 0).await;
    assert_eq!(expired.error(), refused(401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED"));
    let renewed = world.session(0).await;
    world.encrypt(&renewed, 0).await.ok();
}

#[tokio::test]
async fn a_token_of_another_scope_is_no_use() {
    let world = World::start().await;
    let base = world.base().await;
    let account = &world.tenant(0).service_account;
    let scoped = |scope: &str| {
        let scope = json!({"scope": [scope]});
        let (world, base) = (&world, &base);
        async move {
            let token = world.generate(base, account, scope).await.ok();
            world.encrypt(token["accessToken"].as_str().unwrap(), 0).await
        }
    };
    scoped("https://www.googleapis.com/auth/cloudkms").await.ok();
    let narrow = scoped("https://www.googleapis.com/auth/devstorage.read_only").await;
    assert_eq!(narrow.error(), refused(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"));
    let none = world.generate(&base, account, json!({"scope": []})).await;
    assert_eq!(none.error(), refused(400, "INVALID_ARGUMENT", ""));
}

#[tokio::test]
async fn disabled_deleted_and_unknown_service_accounts_are_nobody() {
    let world = World::start().await;
    let account = world.tenant(0).service_account.clone();
    let (base, session) = (world.base().await, world.session(0).await);
    world.gcp().set_service_account_disabled(&account, true).unwrap();
    assert_eq!(
        world.generate(&base, &account, json!({})).await.error(),
        refused(400, "FAILED_PRECONDITION", "")
    );
    let dead = refused(401, "UNAUTHENTICATED", "ACCOUNT_STATE_INVALID");
    assert_eq!(world.encrypt(&session, 0).await.error(), dead);
    world.gcp().set_service_account_disabled(&account, false).unwrap();
    world.encrypt(&session, 0).await.ok();
    world.gcp().delete_service_account(&account).unwrap();
    let gone = world.generate(&base, &account, json!({})).await;
    assert_eq!(gone.error(), refused(404, "NOT_FOUND", ""));
    assert_eq!(gone.message(), format!("Not found; Gaia id not found for email {account}"));
    assert_eq!(world.encrypt(&session, 0).await.error(), dead);
    world.gcp().put_service_account(&account).unwrap();
    assert_eq!(world.encrypt(&session, 0).await.error(), dead, "another account of the same email");
}

#[tokio::test]
async fn each_hop_of_a_chain_needs_the_right_to_delegate_and_the_last_the_right_to_be() {
    let world = World::start().await;
    let base = world.base().await;
    let target = &world.tenant(0).service_account;
    let hop = |name: &str| -> ServiceAccountEmail {
        format!("{name}@customer-000001.iam.gserviceaccount.com").parse().unwrap()
    };
    let hops = [hop("first-hop"), hop("second-hop")];
    for account in &hops {
        world.gcp().put_service_account(account).unwrap();
    }
    let chain = json!({"delegates": hops.iter().map(|hop| format!("projects/-/serviceAccounts/{hop}")).collect::<Vec<_>>()});
    let grant = |on: &ServiceAccountEmail, role: &str, to: &ServiceAccountEmail| {
        let place = PolicyPlace::ServiceAccount(on.clone());
        world.gcp().grant(&place, role, &format!("serviceAccount:{to}")).unwrap();
    };
    let missing = |answer: super::client::Answer| {
        assert_eq!(answer.error(), denied());
        answer.json()["error"]["details"][0]["metadata"]["permission"].as_str().unwrap().to_owned()
    };
    let creator = "roles/iam.serviceAccountTokenCreator";
    let delegate = "iam.serviceAccounts.implicitDelegation";
    assert_eq!(missing(world.generate(&base, target, chain.clone()).await), delegate);
    // The right to get a token of an account is not the right to go through it.
    grant(&hops[0], "roles/iam.workloadIdentityUser", &world.scenario.base);
    assert_eq!(missing(world.generate(&base, target, chain.clone()).await), delegate);
    grant(&hops[0], creator, &world.scenario.base);
    assert_eq!(missing(world.generate(&base, target, chain.clone()).await), delegate);
    grant(&hops[1], creator, &hops[0]);
    let last = missing(world.generate(&base, target, chain.clone()).await);
    assert_eq!(
        last, "iam.serviceAccounts.getAccessToken",
        "the base may be the target, but the last hop may not"
    );
    grant(target, creator, &hops[1]);
    let token = world.generate(&base, target, chain.clone()).await.ok();
    world.encrypt(token["accessToken"].as_str().unwrap(), 0).await.ok();
    let reversed = json!({"delegates": [hops[1].to_string(), hops[0].to_string()]});
    assert_eq!(missing(world.generate(&base, target, reversed).await), delegate);
    world.gcp().set_service_account_disabled(&hops[1], true).unwrap();
    assert_eq!(world.generate(&base, target, chain).await.error().1, "FAILED_PRECONDITION");
    let with_project =
        json!({"delegates": [format!("projects/customer-000001/serviceAccounts/{}", hops[0])]});
    assert_eq!(world.generate(&base, target, with_project).await.error().1, "INVALID_ARGUMENT");
    let path = format!("/v1/projects/customer-000001/serviceAccounts/{target}:generateAccessToken");
    assert_eq!(world.post(&base, &path, json!({"scope": [SCOPE]})).await.error().1, "INVALID_ARGUMENT");
}

#[tokio::test]
async fn id_tokens_need_a_permission_of_their_own_and_are_googles() {
    let world = World::start().await;
    let base = world.base().await;
    let account = world.tenant(0).service_account.clone();
    let path = format!("/v1/projects/-/serviceAccounts/{account}:generateIdToken");
    let body = json!({"audience": "https://example.com", "includeEmail": true});
    assert_eq!(world.post(&base, &path, body.clone()).await.error(), denied());
    let place = PolicyPlace::ServiceAccount(account.clone());
    let member = format!("serviceAccount:{}", world.scenario.base);
    world.gcp().grant(&place, "roles/iam.serviceAccountOpenIdTokenCreator", &member).unwrap();
    let token = world.post(&base, &path, body).await.ok();
    let token = token["token"].as_str().unwrap().to_owned();
    let claims = token.split('.').nth(1).unwrap();
    let claims = data_encoding::BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "https://accounts.google.com");
    assert_eq!((&claims["aud"], &claims["email"]), (&json!("https://example.com"), &json!(account)));
    assert_eq!(world.post(&base, &path, json!({})).await.error().1, "INVALID_ARGUMENT");
}

#[tokio::test]
async fn the_metadata_server_answers_its_own_machine_alone() {
    let world = World::start().await;
    let url =
        format!("http://{}/computeMetadata/v1/project/project-id", world.simulator.endpoints().gcp_metadata);
    let without = world.http.get(&url).send().await.unwrap();
    assert_eq!(without.status(), 403);
    assert_eq!(without.headers()["metadata-flavor"], "Google");
    let proxied =
        world.http.get(&url).header("Metadata-Flavor", "Google").header("X-Forwarded-For", "10.0.0.1");
    assert_eq!(answer(proxied).await.status, 403);
    assert_eq!(world.metadata("project/project-id").await.text, "leasehold-platform");
    assert_eq!(world.metadata("universe/universe-domain").await.text, "googleapis.com");
    let email = world.scenario.base.to_string();
    for named in ["default", &email] {
        let path = format!("instance/service-accounts/{named}");
        assert_eq!(world.metadata(&format!("{path}/email")).await.text, email);
        assert_eq!(world.metadata(&format!("{path}/?recursive=true")).await.ok()["email"], email);
        assert!(world.metadata(&format!("{path}/scopes")).await.text.contains(SCOPE));
    }
    assert_eq!(world.metadata("instance/service-accounts/other@x/token").await.status, 404);
    let identity = "instance/service-accounts/default/identity";
    assert_eq!(world.metadata(identity).await.status, 400);
    let token = world.metadata(&format!("{identity}?audience=a&format=full")).await;
    assert_eq!((token.status, token.text.split('.').count()), (200, 3));
    world.gcp().set_instance_service_account(None);
    assert_eq!(world.metadata("instance/service-accounts/default/token").await.status, 404);
}

#[tokio::test]
async fn the_metadata_server_hands_the_same_token_out_until_shortly_before_its_end() {
    let world = World::start().await;
    let first = world.base().await;
    assert_eq!(world.base().await, first);
    world.control().advance(Duration::from_secs(3600 - 330));
    assert_eq!(world.base().await, first);
    world.control().advance(Duration::from_secs(31));
    let second = world.base().await;
    assert_ne!(second, first);
    let narrow = world.metadata("instance/service-accounts/default/token?scopes=https://x/auth/y").await.ok();
    assert_ne!(narrow["access_token"], second);
    world.gcp().set_service_account_disabled(&world.scenario.base, true).unwrap();
    assert_eq!(world.metadata("instance/service-accounts/default/token").await.status, 403);
}
