//! A small client that signs as the SDKs do, written apart from the simulator's own verifier.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use leasehold_cloudsim::aws::arn::Region;
use leasehold_cloudsim::aws::scenario::{Scenario, ScenarioSpec};
use leasehold_cloudsim::clock::Timestamp;
use leasehold_cloudsim::control::UserSpec;
use leasehold_cloudsim::{AwsControl, Config, Control, Simulator};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) const EXTERNAL_ID: &str = "lh-external-1";

/// A running simulator with the scenario of two tenants, both trusting the platform's role and user.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) scenario: Scenario,
    pub(crate) http: reqwest::Client,
}

#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// An answer: its status, and its body as JSON or, for STS, as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

/// How to sign.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) skew_seconds: i64,
}

impl World {
    pub(crate) async fn start() -> Self {
        let region: Region = "eu-central-1".parse().unwrap();
        let simulator = Simulator::start(Config::ephemeral(region)).await.unwrap();
        let spec = ScenarioSpec::with_tenants(&["acme", "globex"]).unwrap();
        let scenario = simulator.control().aws().build(&spec).unwrap();
        let world = Self { simulator, scenario, http: reqwest::Client::new() };
        for tenant in 0..2 {
            world.trust_platform(tenant);
        }
        world
    }

    /// Has a tenant's role trust the platform's account, under the external id.
    pub(crate) fn trust_platform(&self, tenant: usize) {
        let root = self.scenario.base_role.account.root_arn();
        self.aws().trust_with_external_id(&self.scenario.tenants[tenant].role, &root, EXTERNAL_ID).unwrap();
    }

    pub(crate) fn control(&self) -> Control {
        self.simulator.control()
    }

    pub(crate) fn aws(&self) -> AwsControl {
        self.simulator.control().aws()
    }

    pub(crate) fn role(&self, tenant: usize) -> String {
        self.scenario.tenants[tenant].role.to_string()
    }

    pub(crate) fn key(&self, tenant: usize) -> String {
        self.scenario.tenants[tenant].key.to_string()
    }

    /// The static credentials of the platform's user.
    pub(crate) fn user(&self) -> Credentials {
        Credentials {
            access_key_id: self.scenario.access_key.access_key_id.clone(),
            secret: self.scenario.access_key.secret_access_key.expose().to_owned(),
            token: None,
        }
    }

    /// Makes an administrator of a tenant's account, who may do everything in it.
    pub(crate) fn admin(&self, tenant: usize) -> Credentials {
        let everything = json!({
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        });
        let policies = BTreeMap::from([("everything".to_owned(), everything)]);
        let spec = UserSpec { identity_policies: policies, ..UserSpec::default() };
        let account = &self.scenario.tenants[tenant].account;
        let access_key = self.aws().put_user(account, "admin", spec).unwrap();
        Credentials {
            access_key_id: access_key.access_key_id,
            secret: access_key.secret_access_key.expose().to_owned(),
            token: None,
        }
    }

    /// A session of a tenant's role, assumed by the platform's user.
    pub(crate) async fn session(&self, tenant: usize) -> Credentials {
        let answer = self.assume(&self.user(), &self.role(tenant), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.credentials()
    }

    pub(crate) async fn assume(&self, by: &Credentials, role: &str, more: &[(&str, &str)]) -> Answer {
        let mut form = vec![
            ("Action", "AssumeRole"),
            ("RoleArn", role),
            ("RoleSessionName", "leasehold-test"),
            ("ExternalId", EXTERNAL_ID),
        ];
        for (name, value) in more {
            form.retain(|(known, _)| known != name);
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        self.sts(by, &form).await
    }

    pub(crate) async fn sts(&self, by: &Credentials, form: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Version", "2011-06-15")
            .extend_pairs(form)
            .finish();
        self.send(by, &Signing::of("sts"), None, body.into_bytes()).await
    }

    pub(crate) async fn kms(&self, by: &Credentials, operation: &str, input: Value) -> Answer {
        self.send(by, &Signing::of("kms"), Some(operation), input.to_string().into_bytes()).await
    }

    pub(crate) async fn send(
        &self,
        by: &Credentials,
        signing: &Signing,
        operation: Option<&str>,
        body: Vec<u8>,
    ) -> Answer {
        let response = self.request(by, signing, operation, body).send().await.unwrap();
        Answer { status: response.status().as_u16(), text: response.text().await.unwrap() }
    }

    pub(crate) fn request(
        &self,
        by: &Credentials,
        signing: &Signing,
        operation: Option<&str>,
        body: Vec<u8>,
    ) -> reqwest::RequestBuilder {
        let url = self.simulator.endpoints().aws.clone();
        let mut headers = BTreeMap::from([("host", url.trim_start_matches("http://").to_owned())]);
        let wall = self.control().clock().wall().unix_seconds() + signing.skew_seconds;
        let date = Timestamp::from_unix_seconds(wall).compact();
        headers.insert("x-amz-date", date.clone());
        if let Some(token) = &by.token {
            headers.insert("x-amz-security-token", token.clone());
        }
        match operation {
            Some(operation) => {
                headers.insert("x-amz-target", format!("TrentService.{operation}"));
                headers.insert("content-type", "application/x-amz-json-1.1".to_owned());
            }
            None => {
                headers.insert("content-type", "application/x-www-form-urlencoded".to_owned());
            }
        }
        let authorization = authorization(by, signing, &date, &headers, &body);
        let mut request = self.http.post(&url).body(body).header("authorization", authorization);
        for (name, value) in headers.iter().filter(|(name, _)| **name != "host") {
            request = request.header(*name, value);
        }
        request
    }

    pub(crate) async fn encrypt(&self, by: &Credentials, key: &str, context: Value) -> Value {
        let input = json!({"KeyId": key, "Plaintext": "aGVsbG8=", "EncryptionContext": context});
        let answer = self.kms(by, "Encrypt", input).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["CiphertextBlob"].clone()
    }
}

impl Signing {
    pub(crate) fn of(service: &str) -> Self {
        Self { region: "eu-central-1".to_owned(), service: service.to_owned(), skew_seconds: 0 }
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The text of an XML element.
    pub(crate) fn element(&self, name: &str) -> &str {
        let open = format!("<{name}>");
        let start =
            self.text.find(&open).unwrap_or_else(|| panic!("no {name} in {}", self.text)) + open.len();
        let end = self.text[start..].find("</").unwrap();
        &self.text[start..start + end]
    }

    /// The error code, in either protocol.
    pub(crate) fn code(&self) -> String {
        if self.text.starts_with('<') {
            self.element("Code").to_owned()
        } else {
            self.json()["__type"].as_str().unwrap_or("no error").to_owned()
        }
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials {
            access_key_id: self.element("AccessKeyId").to_owned(),
            secret: self.element("SecretAccessKey").to_owned(),
            token: Some(self.element("SessionToken").to_owned()),
        }
    }
}

fn authorization(
    by: &Credentials,
    signing: &Signing,
    date: &str,
    headers: &BTreeMap<&str, String>,
    body: &[u8],
) -> String {
    let names = headers.keys().copied().collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", hex(body));
    let scope = format!("{}/{}/{}/aws4_request", &date[..8], signing.region, signing.service);
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(canonical.as_bytes()));
    let mut key = format!("AWS4{}", by.secret).into_bytes();
    for part in [&date[..8], &signing.region, &signing.service, "aws4_request", &text] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    let signature = HEXLOWER.encode(&key);
    format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
        by.access_key_id
    )
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}
