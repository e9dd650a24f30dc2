//! A small client of Entra ID and Key Vault that goes to the cloud's own names at the simulator's address.

use std::net::SocketAddr;

use leasehold_cloudsim::azure::ids::AppId;
use leasehold_cloudsim::azure::scenario::{Scenario, ScenarioSpec, Tenant};
use leasehold_cloudsim::control::azure::model::{AppSpec, VaultSpec};
use leasehold_cloudsim::{AzureControl, Config, Control, Simulator};
use serde_json::{Value, json};

pub(crate) const CHALLENGE: &str = "lh-challenge-1";
pub(crate) const VAULT_SCOPE: &str = "https://vault.azure.net/.default";
pub(crate) const LOGIN: &str = "https://login.microsoftonline.com";
pub(crate) const ADMINISTRATOR: &str = "00482a5a-887f-4fb3-b363-3b7fe8e74483";

/// A running simulator with the scenario of two tenants, both onboarded.
pub(crate) struct World {
    pub(crate) simulator: Simulator,
    pub(crate) scenario: Scenario,
    pub(crate) http: reqwest::Client,
}

/// An answer: its status, headers that matter, and its body as JSON.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) json: Value,
}

impl World {
    pub(crate) async fn start() -> Self {
        let world = Self::unknown_to_tenants().await;
        for tenant in &world.scenario.tenants {
            world.azure().onboard(tenant, CHALLENGE).unwrap();
        }
        world
    }

    /// The tenants have let nobody in.
    pub(crate) async fn unknown_to_tenants() -> Self {
        let simulator = Simulator::start(Config::ephemeral("eu-central-1".parse().unwrap())).await.unwrap();
        let spec = ScenarioSpec::with_tenants(&["acme", "globex"]).unwrap();
        let scenario = simulator.control().azure().build(&spec).unwrap();
        let hosts = [
            "login.microsoftonline.com",
            "login.microsoftonline.us",
            "login.partner.microsoftonline.cn",
            "acme-vault.vault.azure.net",
            "globex-vault.vault.azure.net",
            "third-vault.vault.azure.net",
            "third-vault.vault.usgovcloudapi.net",
            "nobody-vault.vault.azure.net",
        ];
        let http = client(&simulator, &hosts);
        Self { simulator, scenario, http }
    }

    pub(crate) fn control(&self) -> Control {
        self.simulator.control()
    }

    pub(crate) fn azure(&self) -> AzureControl {
        self.simulator.control().azure()
    }

    pub(crate) fn tenant(&self, tenant: usize) -> &Tenant {
        &self.scenario.tenants[tenant]
    }

    /// A request to a tenant's token endpoint; parameters given replace the usual ones, empty ones remove them.
    pub(crate) async fn request_token(&self, directory: &str, more: &[(&str, &str)]) -> Answer {
        self.request_token_at(LOGIN, directory, more).await
    }

    pub(crate) async fn request_token_at(
        &self,
        base: &str,
        directory: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.scenario.client_id.as_str()),
            ("client_secret", self.scenario.client_secret.expose()),
            ("scope", VAULT_SCOPE),
        ];
        for (name, value) in more {
            form.retain(|(known, _)| known != name);
            if !value.is_empty() {
                form.push((name, value));
            }
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
        let url = format!("{base}/{directory}/oauth2/v2.0/token");
        let request = self.http.post(url).body(body);
        send(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    /// A token of the platform's application for a tenant's vault.
    pub(crate) async fn token(&self, tenant: usize) -> String {
        self.token_with(tenant, &[]).await
    }

    pub(crate) async fn token_with(&self, tenant: usize, more: &[(&str, &str)]) -> String {
        let answer = self.request_token(self.tenant(tenant).directory.as_str(), more).await;
        assert_eq!(answer.status, 200, "{}", answer.json);
        answer.json["access_token"].as_str().unwrap().to_owned()
    }

    /// A token of an application that may do everything in a tenant's vault.
    pub(crate) async fn admin(&self, tenant: usize) -> String {
        let app: AppId = format!("30000000-0000-4000-8000-{tenant:012}").parse().unwrap();
        let owner = self.tenant(tenant);
        let spec = AppSpec {
            name: "admin".to_owned(),
            directory: owner.directory.clone(),
            multi_tenant: false,
            enabled: true,
        };
        self.azure().put_app(&app, spec).unwrap();
        let principal = self.azure().consent(&owner.directory, &app).unwrap();
        let scope = owner.key_scope.split("/keys/").next().unwrap();
        self.assign(ADMINISTRATOR, principal.as_str(), scope);
        let secret = self.azure().add_secret(&app, None).unwrap();
        self.token_with(tenant, &[("client_id", app.as_str()), ("client_secret", secret.value.expose())])
            .await
    }

    pub(crate) fn assign(&self, role: &str, principal: &str, scope: &str) -> String {
        self.azure().put_role_assignment(&assignment(role, principal, scope)).unwrap()
    }

    pub(crate) async fn get(&self, token: &str, url: &str) -> Answer {
        send(self.vault_request(reqwest::Method::GET, token, url)).await
    }

    pub(crate) async fn post(&self, token: &str, url: &str, body: Value) -> Answer {
        send(self.vault_request(reqwest::Method::POST, token, url).body(body.to_string())).await
    }

    pub(crate) fn vault_request(
        &self,
        method: reqwest::Method,
        token: &str,
        url: &str,
    ) -> reqwest::RequestBuilder {
        let separator = if url.contains('?') { '&' } else { '?' };
        let request = self.http.request(method, format!("{url}{separator}api-version=7.6"));
        request.header("authorization", format!("Bearer {token}")).header("content-type", "application/json")
    }

    /// GetKey of a tenant's key.
    pub(crate) async fn get_key(&self, token: &str, tenant: usize) -> Answer {
        self.get(token, &self.tenant(tenant).key.to_string()).await
    }

    /// WrapKey under a tenant's current version.
    pub(crate) async fn wrap(&self, token: &str, tenant: usize) -> Answer {
        let url = format!("{}//wrapkey", self.tenant(tenant).key);
        self.post(token, &url, json!({"alg": "RSA-OAEP-256", "value": "aGVsbG8"})).await
    }

    /// UnwrapKey of what WrapKey answered, under the version that it named.
    pub(crate) async fn unwrap(&self, token: &str, wrapped: &Value) -> Answer {
        let url = format!("{}/unwrapkey", wrapped["kid"].as_str().unwrap());
        self.post(token, &url, json!({"alg": "RSA-OAEP-256", "value": wrapped["value"]})).await
    }

    pub(crate) async fn identity(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.get(format!("{}{path}", self.simulator.endpoints().azure_identity));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(request).await
    }

    /// A vault of a tenant's besides its first, which its onboarded principal has no role in.
    pub(crate) fn third_vault(&self, tenant: usize) -> String {
        let spec = VaultSpec::in_directory(self.tenant(tenant).directory.clone());
        self.azure().put_vault(&"third-vault".parse().unwrap(), spec).unwrap()
    }
}

impl Answer {
    /// Entra ID's numeric code.
    pub(crate) fn aadsts(&self) -> u64 {
        self.json["error_codes"][0].as_u64().unwrap_or_else(|| panic!("no code in {}", self.json))
    }

    /// Key Vault's code and inner code.
    pub(crate) fn code(&self) -> (&str, &str) {
        let error = &self.json["error"];
        (error["code"].as_str().unwrap_or(""), error["innererror"]["code"].as_str().unwrap_or(""))
    }

    pub(crate) fn message(&self) -> &str {
        self.json["error"]["message"].as_str().unwrap_or_else(|| panic!("no message in {}", self.json))
    }
}

pub(crate) fn client(simulator: &Simulator, hosts: &[&str]) -> reqwest::Client {
    let endpoints = simulator.endpoints();
    let address: SocketAddr = endpoints.azure.trim_start_matches("https://").parse().unwrap();
    let authority = reqwest::Certificate::from_pem(endpoints.azure_ca.as_bytes()).unwrap();
    let builder = reqwest::Client::builder().tls_certs_only([authority]);
    hosts.iter().fold(builder, |builder, host| builder.resolve(host, address)).build().unwrap()
}

pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (retry_after, challenge) = (header("retry-after"), header("www-authenticate"));
    let request_id = header("x-ms-request-id");
    let json = serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null);
    Answer { status, retry_after, challenge, request_id, json }
}

pub(crate) fn assignment(role: &str, principal: &str, scope: &str) -> Value {
    json!({
        "properties": {
            "roleDefinitionId": format!("/providers/Microsoft.Authorization/roleDefinitions/{role}"),
            "principalId": principal,
            "principalType": "ServicePrincipal",
        },
        "scope": scope,
    })
}
