//! Feeds of events, as the clouds' own are: they read the owners' edits, pick and transform them as the templates in
//! `deploy/events` say, and present a credential.

mod event_grid;
mod eventbridge;
mod pub_sub;
mod query;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use leasehold::config::Reprove;
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::aws::issuer::TokenAlgorithm;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client, RequestBuilder};
use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::world::{World, simulator, soon};

/// A feed that a tenant set up.
pub(crate) trait Feed {
    /// The requests that it makes of what happened since the last time.
    fn requests(&mut self) -> Vec<RequestBuilder>;
}

/// How a feed asks for proofs of a tenant, and what it can present.
pub(crate) struct Asking {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) token: String,
}

/// The feed that a tenant sets up on its cloud, from now on.
pub(crate) fn of(world: &World, tenant: &str, asking: Asking) -> Box<dyn Feed> {
    let control = world.cloud.control();
    let handed_over = world.estate.tenants().get(tenant).unwrap();
    let mut feed: Box<dyn Feed> = match world.estate.cloud() {
        Cloud::Aws => Box::new(eventbridge::EventBridge::new(control.aws(), &handed_over, asking)),
        Cloud::Azure => Box::new(event_grid::EventGrid::new(control.azure(), &handed_over, asking)),
        Cloud::Gcp => Box::new(pub_sub::PubSub::new(control.gcp(), &handed_over, asking)),
    };
    feed.requests();
    feed
}

/// Delivers what happened since the last time; gives the status of each answer.
pub(crate) async fn deliver(feed: &mut dyn Feed) -> Vec<u16> {
    let mut answers = Vec::new();
    for request in feed.requests() {
        answers.push(soon(request.send()).await.unwrap().status().as_u16());
    }
    answers
}

/// A template.
fn template(file: &str) -> String {
    let templates = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/events"));
    std::fs::read_to_string(templates.join(file)).unwrap()
}

/// A template with its variables.
fn render(file: &str, variables: &[(&str, &str)]) -> String {
    let filled = |text: String, (name, value): &(&str, &str)| text.replace(&format!("${{{name}}}"), value);
    let text = variables.iter().fold(template(file), filled);
    assert!(!text.contains("${"), "{text}");
    text
}

/// The files of a listener: a certificate, its key and the feeds' secrets.
pub(crate) struct Files {
    directory: tempfile::TempDir,
    root: Certificate,
}

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = certify(directory.path());
        Self { directory, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces a feed's secrets, at once.
    pub(crate) fn secrets(&self, feed: &str, secrets: &[&str]) {
        replace(&self.path(feed), &format!("{}\n", secrets.join("\n")));
    }

    /// A feed that is known by a secret; the fields of its section.
    pub(crate) fn by_secret(&self, feed: &str, tenants: &str, secret: &str) -> String {
        self.secrets(feed, &[secret]);
        let file = self.path(feed);
        format!("name = '{feed}'\ntenants = {tenants}\nsecret_file = '{}'\n", file.display())
    }

    /// A new certificate in the old one's place.
    pub(crate) fn renew_certificate(&mut self) {
        self.root = certify(self.directory.path());
    }

    /// The section, with these callers and further settings.
    pub(crate) fn section(&self, callers: &[String], more: &str) -> Reprove {
        let callers: String = callers.iter().map(|caller| format!("[[callers]]\n{caller}")).collect();
        let (certificate, key) = (self.path("certificate"), self.path("key"));
        let text = format!(
            "listen = ['127.0.0.1:0']\ncertificate_file = '{}'\nkey_file = '{}'\n{more}\n{callers}",
            certificate.display(),
            key.display()
        );
        toml::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// A client that trusts the present certificate and no other.
    pub(crate) fn client(&self) -> Client {
        let builder = Client::builder().no_proxy().tls_certs_only([self.root.clone()]);
        builder.build().unwrap()
    }
}

/// Makes a certificate for loopback, with its key, and gives what to trust.
fn certify(directory: &Path) -> Certificate {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    replace(&directory.join("certificate"), &cert.pem());
    replace(&directory.join("key"), &signing_key.serialize_pem());
    Certificate::from_pem(cert.pem().as_bytes()).unwrap()
}

/// Writes a file that only we can read, and puts it in its place at once.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// Who signs the tokens that feeds present.
pub(crate) struct Issuer {
    issuing: Simulator,
    keys: String,
}

impl Issuer {
    const URL: &'static str = "https://accounts.example";
    const EMAIL: &'static str = "leasehold-events@acme.iam.example";

    pub(crate) async fn start() -> Self {
        let issuing = simulator().await;
        let keys = issuing.control().aws().put_test_issuer(Self::URL).unwrap();
        Self { keys: serve(keys.to_string()).await, issuing }
    }

    /// A feed that is known by a token; the fields of its section.
    pub(crate) fn by_token(&self, feed: &str, tenants: &str) -> String {
        format!(
            "name = '{feed}'\ntenants = {tenants}\n[callers.oidc]\nissuer = '{}'\naudience = 'https://leasehold'\n\
             email = '{}'\njwks_url = '{}'\n",
            Self::URL,
            Self::EMAIL,
            self.keys
        )
    }

    /// A token, with some claims changed.
    pub(crate) fn token(&self, changed: &Value) -> String {
        let mut claims = json!({"aud": "https://leasehold", "email": Self::EMAIL, "email_verified": true});
        claims.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        let claims = serde_json::from_value(claims).unwrap();
        self.issuing.control().aws().mint_token(Self::URL, TokenAlgorithm::RS256, claims).unwrap()
    }
}

/// Where a feed asks for proofs of `tenant`.
pub(crate) fn url(endpoint: &str, tenant: &str) -> String {
    format!("{endpoint}/v1/tenants/{tenant}:reprove")
}

/// Serves `body` to everybody, as an issuer does its keys.
async fn serve(body: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let body = Bytes::from(body.clone());
            tokio::spawn(async move {
                let service = service_fn(|_| {
                    let answer = http::Response::new(Full::new(body.clone()));
                    async move { Ok::<_, std::convert::Infallible>(answer) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    url
}
