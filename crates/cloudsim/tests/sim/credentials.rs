//! Signatures, tokens and expiry: what is refused before any policy is asked.

use std::time::Duration;

use serde_json::json;

use crate::client::{Credentials, Signing, World};

/// The code of GetCallerIdentity and of ListKeys, for credentials and a way of signing.
async fn codes(world: &World, by: &Credentials, change: impl Fn(Signing) -> Signing) -> (String, String) {
    let identity = b"Action=GetCallerIdentity&Version=2011-06-15".to_vec();
    let sts = world.send(by, &change(Signing::of("sts")), None, identity).await;
    let kms = world.send(by, &change(Signing::of("kms")), Some("DescribeKey"), key(world)).await;
    assert_eq!((sts.status, kms.status), (403, 400));
    (sts.code(), kms.code())
}

fn key(world: &World) -> Vec<u8> {
    json!({"KeyId": world.key(0)}).to_string().into_bytes()
}

fn pair(sts: &str, kms: &str) -> (String, String) {
    (sts.to_owned(), kms.to_owned())
}

#[tokio::test]
async fn wrong_secrets_tokens_and_unknown_keys_are_told_apart_as_aws_does() {
    let world = World::start().await;
    let session = world.session(0).await;
    let same = |signing| signing;
    let wrong_secret = Credentials { secret: "wrong".to_owned(), ..session.clone() };
    assert_eq!(
        codes(&world, &wrong_secret, same).await,
        pair("SignatureDoesNotMatch", "InvalidSignatureException")
    );
    let unknown = pair("InvalidClientTokenId", "UnrecognizedClientException");
    let wrong_token = Credentials { token: Some("wrong".to_owned()), ..session.clone() };
    assert_eq!(codes(&world, &wrong_token, same).await, unknown);
    assert_eq!(codes(&world, &Credentials { token: None, ..session.clone() }, same).await, unknown);
    let stranger = Credentials { access_key_id: "AKIANOBODY".to_owned(), ..world.user() };
    assert_eq!(codes(&world, &stranger, same).await, unknown);
    assert_eq!(codes(&world, &Credentials { token: session.token, ..world.user() }, same).await, unknown);
}

#[tokio::test]
async fn a_session_works_until_it_expires_and_not_after() {
    let world = World::start().await;
    let session =
        world.assume(&world.user(), &world.role(0), &[("DurationSeconds", "900")]).await.credentials();
    world.control().advance(Duration::from_secs(870));
    assert_eq!(world.kms(&session, "DescribeKey", json!({"KeyId": world.key(0)})).await.status, 200);
    world.control().advance(Duration::from_secs(31));
    let expired = codes(&world, &session, |signing| signing).await;
    assert_eq!(expired, pair("ExpiredToken", "ExpiredTokenException"));
}

#[tokio::test]
async fn a_signature_is_good_for_five_minutes_its_region_and_its_service() {
    let world = World::start().await;
    let user = world.user();
    let mismatch = pair("SignatureDoesNotMatch", "InvalidSignatureException");
    for skew_seconds in [-310, 310] {
        assert_eq!(codes(&world, &user, |signing| Signing { skew_seconds, ..signing }).await, mismatch);
    }
    assert_eq!(
        codes(&world, &user, |signing| Signing { service: "s3".to_owned(), ..signing }).await,
        mismatch
    );
    assert_eq!(
        codes(&world, &user, |signing| Signing { region: "nowhere".to_owned(), ..signing }).await,
        mismatch
    );
    let late = Signing { skew_seconds: -290, ..Signing::of("sts") };
    let identity = b"Action=GetCallerIdentity&Version=2011-06-15".to_vec();
    assert_eq!(world.send(&user, &late, None, identity).await.status, 200);
}

#[tokio::test]
async fn a_body_changed_after_signing_is_refused() {
    let world = World::start().await;
    let request = world.request(&world.user(), &Signing::of("kms"), Some("DescribeKey"), key(&world));
    let changed = request.body(json!({"KeyId": world.key(1)}).to_string()).send().await.unwrap();
    assert_eq!(changed.status(), 400);
    assert!(changed.text().await.unwrap().contains("InvalidSignatureException"));
}

#[tokio::test]
async fn unsigned_and_half_signed_requests_are_refused() {
    let world = World::start().await;
    let url = &world.simulator.endpoints().aws;
    let unsigned =
        world.http.post(url).header("x-amz-target", "TrentService.ListKeys").body("{}").send().await.unwrap();
    assert!(unsigned.text().await.unwrap().contains("MissingAuthenticationTokenException"));
    let unsigned = world.http.post(url).body("Action=GetCallerIdentity").send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    assert!(unsigned.text().await.unwrap().contains("<Code>MissingAuthenticationToken</Code>"));
    let half = world
        .http
        .post(url)
        .header("x-amz-target", "TrentService.ListKeys")
        .header("authorization", "AWS4-HMAC-SHA256 x");
    assert!(
        half.body("{}").send().await.unwrap().text().await.unwrap().contains("IncompleteSignatureException")
    );
}

#[tokio::test]
async fn credentials_die_with_the_user_the_role_or_an_inactive_key() {
    let world = World::start().await;
    let session = world.session(0).await;
    let unknown = pair("InvalidClientTokenId", "UnrecognizedClientException");
    world.aws().set_access_key_active(&world.user().access_key_id, false).unwrap();
    assert_eq!(codes(&world, &world.user(), |signing| signing).await, unknown);
    world.aws().delete_role(&world.scenario.tenants[0].role).unwrap();
    assert_eq!(codes(&world, &session, |signing| signing).await, unknown);
}
