//! The metadata service and the container credentials.

use std::time::Duration;

use serde_json::Value;

use crate::client::{Credentials, World};

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

async fn token(world: &World, ttl: &str) -> reqwest::Response {
    let url = format!("{}/latest/api/token", world.simulator.endpoints().imds);
    world.http.put(url).header(TTL, ttl).send().await.unwrap()
}

async fn metadata(world: &World, path: &str, token: &str) -> reqwest::Response {
    let url = format!("{}/latest/{path}", world.simulator.endpoints().imds);
    world.http.get(url).header(TOKEN, token).send().await.unwrap()
}

fn credentials(document: &Value) -> Credentials {
    let text = |name: &str| document[name].as_str().unwrap().to_owned();
    Credentials {
        access_key_id: text("AccessKeyId"),
        secret: text("SecretAccessKey"),
        token: Some(text("Token")),
    }
}

#[tokio::test]
async fn the_metadata_service_answers_only_to_a_token_that_has_not_ended() {
    let world = World::start().await;
    for ttl in ["0", "21601", "x"] {
        assert_eq!(token(&world, ttl).await.status(), 400);
    }
    let url = format!("{}/latest/api/token", world.simulator.endpoints().imds);
    let forwarded =
        world.http.put(url).header(TTL, "60").header("x-forwarded-for", "10.0.0.1").send().await.unwrap();
    assert_eq!(forwarded.status(), 403);
    let token = token(&world, "60").await.text().await.unwrap();
    assert_eq!(metadata(&world, "meta-data/placement/region", "wrong").await.status(), 401);
    let region = metadata(&world, "meta-data/placement/region", &token).await.text().await.unwrap();
    assert_eq!(region, "eu-central-1");
    world.control().advance(Duration::from_secs(61));
    assert_eq!(metadata(&world, "meta-data/placement/region", &token).await.status(), 401);
}

#[tokio::test]
async fn the_instances_role_can_assume_a_tenants_role() {
    let world = World::start().await;
    let token = token(&world, "21600").await.text().await.unwrap();
    let role = metadata(&world, "meta-data/iam/security-credentials/", &token).await.text().await.unwrap();
    assert_eq!(role, "leasehold");
    let path = format!("meta-data/iam/security-credentials/{role}");
    let document: Value = metadata(&world, &path, &token).await.json().await.unwrap();
    assert_eq!(document["Code"], "Success");
    let assumed = world.assume(&credentials(&document), &world.role(0), &[]).await;
    assert_eq!(assumed.status, 200, "{}", assumed.text);
    let identity: Value =
        metadata(&world, "dynamic/instance-identity/document", &token).await.json().await.unwrap();
    assert_eq!(
        (&identity["region"], &identity["accountId"]),
        (&"eu-central-1".into(), &"100000000001".into())
    );
}

#[tokio::test]
async fn credentials_are_the_same_until_half_of_their_life_is_over() {
    let world = World::start().await;
    let token = token(&world, "21600").await.text().await.unwrap();
    let now = || async {
        let path = "meta-data/iam/security-credentials/leasehold";
        let document: Value = metadata(&world, path, &token).await.json().await.unwrap();
        document["AccessKeyId"].clone()
    };
    let first = now().await;
    assert_eq!(now().await, first);
    world.control().advance(Duration::from_secs(3 * 3600 + 1));
    assert_ne!(now().await, first);
}

#[tokio::test]
async fn a_container_gets_credentials_for_its_token_alone_with_transitive_tags() {
    let world = World::start().await;
    let endpoints = world.simulator.endpoints();
    let get = |token: &str| world.http.get(&endpoints.container).header("authorization", token).send();
    assert_eq!(get("wrong").await.unwrap().status(), 401);
    let document: Value = get(endpoints.container_token.expose()).await.unwrap().json().await.unwrap();
    assert_eq!(document["RoleArn"], world.scenario.base_role.to_string());
    let plain = credentials(&document);
    assert_eq!(world.assume(&plain, &world.role(0), &[]).await.status, 200);
    let tags = [("kubernetes-namespace".to_owned(), "leasehold".to_owned())].into();
    world.aws().set_container_role(Some(world.scenario.base_role.clone()), tags);
    let document: Value = get(endpoints.container_token.expose()).await.unwrap().json().await.unwrap();
    let tagged = credentials(&document);
    assert_ne!(tagged.access_key_id, plain.access_key_id);
    assert_eq!(
        world.assume(&tagged, &world.role(0), &[]).await.status,
        200,
        "the kit's trust policy lets us tag"
    );
}
