//! Credentials files, and what may be in them.

use serde_json::json;

use super::*;
use crate::config::Endpoints;

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
    let base = Base::new(&config, &resolved, crate::transport::client()?)?;
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
fn a_file_of_another_kind_is_refused_and_not_quoted() {
    for bad in [json!({ "type": "service_account", "private_key": "hush" }), json!([]), json!("hush")] {
        let error = federated(&bad, Endpoints::default(), false).unwrap_err();
        assert!(matches!(error, GcpConfigError::BadCredentials { .. }));
        assert!(!format!("{error} {error:?}").contains("hush"));
    }
}

#[tokio::test]
async fn a_token_given_is_used_as_it_is_and_never_printed() {
    let identity = BaseIdentity::Fixed(crate::config::FixedToken::new("hush-hush"));
    let config = GcpConfig { identity, ..GcpConfig::default() };
    let resolved = endpoint::resolve(&config, |_| None).unwrap();
    let base = Base::new(&config, &resolved, crate::transport::client().unwrap()).unwrap();
    let (token, is_fresh) = base.token().await.unwrap();
    assert_eq!((token.expose(), is_fresh), ("hush-hush", true));
    assert!(!base.token().await.unwrap().1, "kept");
    assert!(!format!("{base:?}").contains("hush"));
    let error = base.principal().await.unwrap_err();
    assert_eq!(error.fault(), &Fault::OwnIdentity);
    assert!(error.detail().contains("gcp.principal"), "{error}");
}
