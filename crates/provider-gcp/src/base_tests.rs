//! Credentials files, what may be in them, and how long a token of our own is used.

use serde_json::{Value, json};

use super::*;
use crate::config::Endpoints;
use crate::endpoint;

fn federated(
    file: &Value,
    endpoints: Endpoints,
    danger: bool,
) -> Result<(Value, Option<String>), GcpConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("credentials.json");
    std::fs::write(&path, file.to_string()).unwrap();
    let identity = BaseIdentity::WorkloadIdentityFederation { file: path };
    let config =
        GcpConfig { identity, endpoints, danger_allow_endpoint_overrides: danger, ..GcpConfig::default() };
    let resolved = endpoint::resolve(&config, |_| None)?;
    let base = Base::new(&config, &resolved, crate::transport::Pools::new().and_then(|pools| pools.make())?)?;
    let Source::Federated(account) = &base.source else { panic!("federated") };
    Ok((account.as_ref().clone(), base.principal.map(|principal| principal.to_string())))
}

fn file() -> Value {
    json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": { "file": "/token" },
        "service_account_impersonation_url":
            "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/us-all@our-platform.iam.gserviceaccount.com:generateAccessToken",
    })
}

#[test]
fn a_credentials_file_says_who_we_are() {
    let (_, principal) = federated(&file(), Endpoints::default(), false).unwrap();
    assert_eq!(principal.as_deref(), Some("serviceAccount:us-all@our-platform.iam.gserviceaccount.com"));
}

#[test]
fn our_endpoints_go_before_the_files() {
    let endpoints = Endpoints {
        sts: Some("http://127.0.0.1:1".to_owned()),
        iam_credentials: Some("http://127.0.0.1:2/".to_owned()),
        ..Endpoints::default()
    };
    let (account, _) = federated(&file(), endpoints, false).unwrap();
    assert_eq!(account["token_url"], "http://127.0.0.1:1/v1/token");
    let url = account["service_account_impersonation_url"].as_str().unwrap();
    assert!(url.starts_with("http://127.0.0.1:2/v1/projects/-/serviceAccounts/us-all@"), "{url}");
}

#[test]
fn p8_a_credentials_file_cannot_have_our_tokens_sent_elsewhere() {
    for field in ["token_url", "service_account_impersonation_url"] {
        let mut hostile = file();
        hostile[field] = json!("https://sts.evil.example/v1/token");
        let error = federated(&hostile, Endpoints::default(), false).unwrap_err();
        assert!(matches!(error, GcpConfigError::ForeignEndpoint { .. }), "{field}: {error}");
        assert!(federated(&hostile, Endpoints::default(), true).is_ok());
        hostile[field] = json!("http://sts.googleapis.com/v1/token");
        let error = federated(&hostile, Endpoints::default(), false).unwrap_err();
        assert!(matches!(error, GcpConfigError::PlainEndpoint { .. }), "{field}: {error}");
        hostile[field] = json!(7);
        assert!(federated(&hostile, Endpoints::default(), false).is_err());
    }
}

#[test]
fn p8_credentials_that_a_file_goes_through_cannot_either() {
    let path = std::path::Path::new("credentials.json");
    for (hostile, is_url) in [
        (json!({ "source_credentials": { "token_uri": "https://evil.example/token" } }), true),
        (json!({ "universe_domain": "evil.example" }), false),
        (json!({ "source_credentials": { "universe_domain": "evil.example" } }), false),
    ] {
        let error = check_urls(path, &hostile, false).unwrap_err();
        assert_eq!(matches!(error, GcpConfigError::ForeignEndpoint { .. }), is_url, "{hostile}: {error}");
        assert!(check_urls(path, &hostile, true).is_ok());
    }
    assert!(check_urls(path, &json!({ "universe_domain": "googleapis.com" }), false).is_ok());
}

#[test]
fn a_file_of_another_kind_is_refused_and_not_quoted() {
    for bad in [json!({ "type": "service_account", "private_key": "hush" }), json!([]), json!("hush")] {
        let error = federated(&bad, Endpoints::default(), false).unwrap_err();
        assert!(matches!(error, GcpConfigError::BadCredentials { .. }));
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

#[tokio::test]
async fn a_token_given_is_used_as_it_is_and_never_printed() {
    let base = with_token();
    let (token, is_fresh) = base.token().await.unwrap();
    assert_eq!((token.expose(), is_fresh), ("hush-hush", true));
    assert!(!base.token().await.unwrap().1, "kept");
    assert!(!format!("{base:?}").contains("hush"));
    let error = base.principal().await.unwrap_err();
    assert_eq!(error.fault(), &Fault::OwnIdentity);
    assert!(error.detail().contains("gcp.principal"), "{error}");
}

fn with_token() -> Base {
    let identity = BaseIdentity::Fixed(crate::config::FixedToken::new("hush-hush"));
    let config = GcpConfig { identity, ..GcpConfig::default() };
    let resolved = endpoint::resolve(&config, |_| None).unwrap();
    Base::new(&config, &resolved, crate::transport::Pools::new().and_then(|pools| pools.make()).unwrap())
        .unwrap()
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_and_nobody_waits_for_that() {
    let base = with_token();
    assert!(base.token().await.unwrap().1);
    lock(&base.shelf).kept.as_mut().unwrap().renew = now();
    assert!(!base.token().await.unwrap().1, "the one that is there");
    let renewed = lock(&base.shelf).in_air.first().cloned().expect("a flight began");
    assert!(!base.token().await.unwrap().1);
    assert!(renewed.landed().await.is_ok());
    let shelf = lock(&base.shelf);
    assert_eq!(shelf.flights, 2, "one at a time");
    assert!(shelf.kept.as_ref().unwrap().renew > now(), "what came of it is in use");
}

#[tokio::test]
async fn a_token_that_is_too_old_is_never_used() {
    let base = with_token();
    base.token().await.unwrap();
    lock(&base.shelf).kept.as_mut().unwrap().good_for = Duration::ZERO;
    assert!(base.token().await.unwrap().1, "fetched just now");
}

#[tokio::test]
async fn a_token_that_lands_after_a_newer_one_does_not_take_its_place() {
    let base = with_token();
    let (late, _landed) = watch::channel(None);
    let shelf = Arc::clone(&base.shelf);
    lock(&shelf).flights = 1;
    let late = Landing { number: 1, began: now(), shelf: Arc::clone(&shelf), landed: late };
    base.fresh().await.unwrap();
    let token = Token::new(zeroize::Zeroizing::new("old".to_owned()));
    late.land(Ok(Fetched { token, lasts: None }));
    assert_eq!(base.token().await.unwrap().0.expose(), "hush-hush");
}

#[test]
fn a_token_is_used_for_three_minutes_or_until_its_last_one() {
    let since = now();
    for (lasts, good_for, renewed) in [
        (None, 180, 120),
        (Some(3600), 180, 120),
        (Some(240), 180, 120),
        (Some(200), 140, 80),
        (Some(100), 40, 0),
        (Some(30), 0, 0),
    ] {
        let token = Token::new(zeroize::Zeroizing::new("hush".to_owned()));
        let fetched = Fetched { token, lasts: lasts.map(Duration::from_secs) };
        let kept = Kept::new(&fetched, 1, since);
        assert_eq!(kept.good_for, Duration::from_secs(good_for), "{lasts:?}");
        assert_eq!(kept.renew - since, Duration::from_secs(renewed), "{lasts:?}");
    }
}

#[tokio::test]
async fn a_fetch_that_ends_early_leaves_no_mark_behind() {
    let base = with_token();
    let flight = {
        let mut shelf = lock(&base.shelf);
        let (sender, landed) = watch::channel(None);
        shelf.flights = 1;
        let flight = Flight { number: 1, began: now(), landed };
        shelf.in_air.push(flight.clone());
        drop(shelf);
        drop(Landing { number: 1, began: now(), shelf: Arc::clone(&base.shelf), landed: sender });
        flight
    };
    assert_eq!(flight.landed().await.err().unwrap().fault(), &Fault::Unavailable);
    assert!(base.token().await.is_ok());
}
