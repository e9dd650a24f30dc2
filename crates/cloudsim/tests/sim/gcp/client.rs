//! A small client that speaks Google's JSON, written apart from the simulator's own readers.

use data_encoding::BASE64;
use leasehold_cloudsim::gcp::name::{KeyName, ServiceAccountEmail};
use leasehold_cloudsim::gcp::scenario::{Scenario, ScenarioSpec, Tenant};
use leasehold_cloudsim::{Config, Control, GcpControl, Simulator};
use serde_json::{Value, json};

pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
pub(crate) const PLAINTEXT: &[u8] = b"sixteen byte key and sixteen mor";

/// A running simulator with the scenario of two tenants, both onboarded.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) scenario: Scenario,
    pub(crate) http: reqwest::Client,
}

/// An answer: its status, and its body as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        let world = Self::without_onboarding().await;
        for tenant in &world.scenario.tenants {
            world.gcp().onboard(tenant, "lh-challenge-1").unwrap();
        }
        world
    }

    pub(crate) async fn without_onboarding() -> Self {
        let config = Config::ephemeral("eu-central-1".parse().unwrap());
        let simulator = Simulator::start(config).await.unwrap();
        let spec = ScenarioSpec::with_tenants(&["acme", "globex"]).unwrap();
        let scenario = simulator.control().gcp().build(&spec).unwrap();
        Self { simulator, scenario, http: reqwest::Client::new() }
    }

    pub(crate) fn control(&self) -> Control {
        self.simulator.control()
    }

    pub(crate) fn gcp(&self) -> GcpControl {
        self.simulator.control().gcp()
    }

    pub(crate) fn tenant(&self, index: usize) -> &Tenant {
        &self.scenario.tenants[index]
    }

    pub(crate) fn key(&self, index: usize) -> &KeyName {
        &self.scenario.tenants[index].key
    }

    pub(crate) async fn metadata(&self, path: &str) -> Answer {
        let url = format!("http://{}/computeMetadata/v1/{path}", self.simulator.endpoints().gcp_metadata);
        answer(self.http.get(url).header("Metadata-Flavor", "Google")).await
    }

    /// A token of the platform's own service account.
    pub(crate) async fn base(&self) -> String {
        let answer = self.metadata("instance/service-accounts/default/token").await;
        answer.ok()["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn generate(&self, by: &str, of: &ServiceAccountEmail, more: Value) -> Answer {
        let mut body = json!({"scope": [SCOPE]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post(by, &format!("/v1/projects/-/serviceAccounts/{of}:generateAccessToken"), body).await
    }

    /// A token of a tenant's service account, got by the platform.
    pub(crate) async fn session(&self, tenant: usize) -> String {
        let base = self.base().await;
        let answer = self.generate(&base, &self.tenant(tenant).service_account, json!({})).await;
        answer.ok()["accessToken"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn post(&self, by: &str, path: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.simulator.endpoints().gcp);
        answer(self.http.post(url).bearer_auth(by).json(&body)).await
    }

    pub(crate) async fn patch(&self, by: &str, path: &str, body: Value) -> Answer {
        let url = format!("{}{path}", self.simulator.endpoints().gcp);
        answer(self.http.patch(url).bearer_auth(by).json(&body)).await
    }

    pub(crate) async fn get(&self, by: &str, path: &str) -> Answer {
        answer(self.http.get(format!("{}{path}", self.simulator.endpoints().gcp)).bearer_auth(by)).await
    }

    pub(crate) async fn encrypt(&self, by: &str, tenant: usize) -> Answer {
        let body = json!({"plaintext": BASE64.encode(PLAINTEXT), "additionalAuthenticatedData": BASE64.encode(b"aad")});
        self.post(by, &format!("/v1/{}:encrypt", self.key(tenant)), body).await
    }

    pub(crate) async fn decrypt(&self, by: &str, tenant: usize, ciphertext: &Value) -> Answer {
        let body = json!({"ciphertext": ciphertext, "additionalAuthenticatedData": BASE64.encode(b"aad")});
        self.post(by, &format!("/v1/{}:decrypt", self.key(tenant)), body).await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json()
    }

    /// The status of an error, with the reason or the type of violation in its details.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        if let Some(code) = error.as_str() {
            return (self.status, code.to_owned(), String::new());
        }
        let detail = &error["details"][0];
        let kind = detail["reason"].as_str().or(detail["violations"][0]["type"].as_str()).unwrap_or_default();
        assert_eq!(error["code"], self.status);
        (self.status, error["status"].as_str().unwrap().to_owned(), kind.to_owned())
    }

    pub(crate) fn message(&self) -> String {
        let json = self.json();
        json["error"]["message"].as_str().or(json["error_description"].as_str()).unwrap().to_owned()
    }
}

pub(crate) fn refused(status: u16, code: &str, kind: &str) -> (u16, String, String) {
    (status, code.to_owned(), kind.to_owned())
}

pub(crate) fn denied() -> (u16, String, String) {
    refused(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED")
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    Answer { status: response.status().as_u16(), text: response.text().await.unwrap() }
}
