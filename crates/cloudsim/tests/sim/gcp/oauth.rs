//! Service-account keys and users: the token endpoint, and tokens that the holder of a key signs itself.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use leasehold_cloudsim::control::gcp::PolicyPlace;
use serde_json::{Value, json};

use super::client::{Answer, SCOPE, World, answer, denied, refused};

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The holder of a key file, signing apart from the simulator's own code.
struct Holder {
    file: Value,
    pair: RsaKeyPair,
}

impl Holder {
    fn of(file: &str) -> Self {
        let file: Value = serde_json::from_str(file).unwrap();
        let pem: String =
            file["private_key"].as_str().unwrap().lines().filter(|line| !line.starts_with("---")).collect();
        let pair = RsaKeyPair::from_pkcs8(&BASE64.decode(pem.as_bytes()).unwrap()).unwrap();
        Self { file, pair }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.file["private_key_id"]});
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn email(&self) -> &str {
        self.file["client_email"].as_str().unwrap()
    }
}

fn base(world: &World) -> Holder {
    Holder::of(world.scenario.service_account_key.expose())
}

async fn token(world: &World, form: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let url = format!("{}/token", world.simulator.endpoints().gcp);
    answer(world.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)).await
}

fn claims(world: &World, holder: &Holder, change: &[(&str, Value)]) -> Value {
    let now = world.control().clock().wall().unix_seconds();
    let mut claims = BTreeMap::from([
        ("iss", json!(holder.email())),
        ("aud", json!("https://oauth2.googleapis.com/token")),
        ("scope", json!(SCOPE)),
        ("iat", json!(now)),
        ("exp", json!(now + 3600)),
    ]);
    claims.extend(change.iter().cloned());
    json!(claims)
}

async fn by_assertion(world: &World, holder: &Holder, change: &[(&str, Value)]) -> Answer {
    let assertion = holder.sign(&claims(world, holder, change));
    token(world, &[("grant_type", JWT_BEARER), ("assertion", &assertion)]).await
}

#[tokio::test]
async fn the_holder_of_a_key_gets_tokens_by_its_signature() {
    let world = World::start().await;
    let holder = base(&world);
    let got = by_assertion(&world, &holder, &[]).await.ok();
    let access = got["access_token"].as_str().unwrap();
    world.generate(access, &world.tenant(0).service_account, json!({})).await.ok();
    let url = holder.file["token_uri"].clone();
    assert_eq!(url, format!("{}/token", world.simulator.endpoints().gcp));
    by_assertion(&world, &holder, &[("aud", url)]).await.ok();
    let id = by_assertion(&world, &holder, &[("target_audience", json!("https://a"))]).await.ok();
    assert_eq!(id["id_token"].as_str().unwrap().split('.').count(), 3);
}

#[tokio::test]
async fn assertions_that_are_forged_stale_or_anothers_are_refused() {
    let world = World::start().await;
    let holder = base(&world);
    let now = world.control().clock().wall().unix_seconds();
    let account = &world.tenant(0).service_account;
    for (change, code, part) in [
        (
            ("iss", json!("nobody@nowhere-at-all.iam.gserviceaccount.com")),
            "invalid_grant",
            "account not found",
        ),
        (("iss", json!(account)), "invalid_grant", "Signature"),
        (("aud", json!("https://example.com/token")), "invalid_grant", "audience"),
        (("exp", json!(now - 600)), "invalid_grant", "timeframe"),
        (("exp", json!(now + 7200)), "invalid_grant", "timeframe"),
        (("iat", json!(now + 900)), "invalid_grant", "timeframe"),
        (("sub", json!("user@example.com")), "unauthorized_client", "unauthorized"),
        (("scope", json!("")), "invalid_scope", "scope"),
    ] {
        let refusal = by_assertion(&world, &holder, std::slice::from_ref(&change)).await;
        assert_eq!(refusal.error(), refused(400, code, ""), "{change:?}");
        assert!(refusal.message().contains(part), "{change:?}: {}", refusal.text);
    }
    let other = Holder::of(world.gcp().create_service_account_key(account).unwrap().expose());
    let forged = Holder { file: holder.file.clone(), pair: other.pair };
    assert!(by_assertion(&world, &forged, &[]).await.message().contains("Invalid JWT Signature"));
    for (form, code) in [
        (vec![("grant_type", "password")], "unsupported_grant_type"),
        (vec![], "invalid_request"),
        (vec![("grant_type", JWT_BEARER)], "invalid_request"),
        (vec![("grant_type", JWT_BEARER), ("assertion", "x")], "invalid_grant"),
    ] {
        assert_eq!(token(&world, &form).await.error(), refused(400, code, ""), "{form:?}");
    }
    world.gcp().set_service_account_disabled(&world.scenario.base, true).unwrap();
    assert!(by_assertion(&world, &holder, &[]).await.message().contains("disabled"));
    world.gcp().set_service_account_disabled(&world.scenario.base, false).unwrap();
    let id = holder.file["private_key_id"].as_str().unwrap();
    world.gcp().delete_service_account_key(&world.scenario.base, id).unwrap();
    assert!(by_assertion(&world, &holder, &[]).await.message().contains("Invalid JWT Signature"));
}

#[tokio::test]
async fn a_token_that_its_holder_signed_opens_the_service_that_it_is_for() {
    let world = World::start().await;
    let account = world.tenant(0).service_account.clone();
    let holder = Holder::of(world.gcp().create_service_account_key(&account).unwrap().expose());
    let now = world.control().clock().wall().unix_seconds();
    let signed = |change: &[(&str, Value)]| {
        let email = json!(holder.email());
        let mut claims = BTreeMap::from([
            ("iss", email.clone()),
            ("sub", email),
            ("iat", json!(now)),
            ("exp", json!(now + 3600)),
        ]);
        claims.extend(change.iter().cloned());
        holder.sign(&json!(claims))
    };
    let kms = "https://cloudkms.googleapis.com/";
    for (change, status) in [
        (vec![("scope", json!(SCOPE))], 200),
        (vec![("aud", json!(kms))], 200),
        (vec![("aud", json!("https://iamcredentials.googleapis.com/"))], 401),
        (vec![("scope", json!("https://www.googleapis.com/auth/devstorage.read_only"))], 403),
        (vec![("aud", json!(kms)), ("exp", json!(now - 600)), ("iat", json!(now - 4000))], 401),
        (vec![("aud", json!(kms)), ("exp", json!(now + 7200))], 401),
        (vec![("aud", json!(kms)), ("sub", json!("user@example.com"))], 401),
        (vec![("aud", json!(kms)), ("iss", json!(world.scenario.base))], 401),
        (vec![], 401),
    ] {
        assert_eq!(world.encrypt(&signed(&change), 0).await.status, status, "{change:?}");
    }
    let good = signed(&[("aud", json!(kms))]);
    assert_eq!(world.encrypt(&format!("{good}x"), 0).await.status, 401);
    assert_eq!(world.encrypt(&good, 1).await.error(), denied());
    world.gcp().set_service_account_disabled(&account, true).unwrap();
    assert_eq!(world.encrypt(&good, 0).await.error().2, "ACCOUNT_STATE_INVALID");
}

#[tokio::test]
async fn a_user_refreshes_its_tokens_and_is_bound_by_its_own_name() {
    let world = World::start().await;
    let file = world.gcp().put_user("ops@example.com").unwrap();
    let file: Value = serde_json::from_str(file.expose()).unwrap();
    let field = |name: &str| file[name].as_str().unwrap().to_owned();
    let refresh = |secret: String, refresh: String| {
        let (world, id) = (&world, field("client_id"));
        async move {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", &id),
                ("client_secret", &secret),
                ("refresh_token", &refresh),
            ];
            token(world, &form).await
        }
    };
    let got = refresh(field("client_secret"), field("refresh_token")).await.ok();
    let access = got["access_token"].as_str().unwrap();
    assert_eq!(
        refresh("wrong".to_owned(), field("refresh_token")).await.error(),
        refused(401, "invalid_client", "")
    );
    assert_eq!(
        refresh(field("client_secret"), "x".to_owned()).await.error(),
        refused(400, "invalid_grant", "")
    );
    assert_eq!(world.encrypt(access, 0).await.error(), denied());
    let place = PolicyPlace::Key(world.key(0).clone());
    world.gcp().grant(&place, "roles/cloudkms.cryptoKeyEncrypter", "user:ops@example.com").unwrap();
    world.encrypt(access, 0).await.ok();
    world.gcp().delete_user("ops@example.com").unwrap();
    assert_eq!(world.encrypt(access, 0).await.error().2, "ACCOUNT_STATE_INVALID");
}
