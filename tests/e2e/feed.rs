//! A feed of events, as the clouds' own are: it reads the owners' edits, picks and transforms them as the templates in
//! `deploy/events` say, and presents a credential.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use leasehold::config::Reprove;
use leasehold_cloudsim::aws::scenario::Tenant;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client, Response};
use serde_json::{Map, Value};

use crate::cloud::Aws;
use crate::world::soon;

/// Where the templates are.
const TEMPLATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/events/aws/region");

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

/// Where a feed asks for proofs of `tenant`.
pub(crate) fn url(endpoint: &str, tenant: &str) -> String {
    format!("{endpoint}/v1/tenants/{tenant}:reprove")
}

/// Serves `body` to everybody, as an issuer does its keys.
pub(crate) async fn serve(body: String) -> String {
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

// === EventBridge ===

/// A rule and its API destination, as `deploy/events/aws` makes them.
pub(crate) struct EventBridge {
    patterns: [Value; 2],
    paths: Map<String, Value>,
    template: String,
    client: Client,
    url: String,
    secret: String,
    /// The newest event that it has seen.
    seen: u64,
}

impl EventBridge {
    pub(crate) fn new(tenant: &Tenant, aws: &Aws, client: Client, url: String, secret: &str) -> Self {
        let render = |file: &str, variable: &str, value: &str| {
            let text = read(file).replace(&format!("${{{variable}}}"), value);
            serde_json::from_str(&text).unwrap()
        };
        let patterns = [
            render("role-events.json.tftpl", "role_name", &tenant.role.name),
            render("key-events.json.tftpl", "key_arn", &tenant.key.to_string()),
        ];
        let mut feed = Self {
            patterns,
            paths: serde_json::from_str(&read("input-paths.json")).unwrap(),
            template: read("input-template.json"),
            client,
            url,
            secret: secret.to_owned(),
            seen: 0,
        };
        feed.pick(aws);
        feed
    }

    /// Delivers what happened since the last time.
    pub(crate) async fn deliver(&mut self, aws: &Aws) -> Vec<Response> {
        let mut answers = Vec::new();
        for event in self.pick(aws) {
            let body = self.transform(&event);
            let request = self.client.post(&self.url).header("x-api-key", &self.secret).body(body);
            answers.push(soon(request.send()).await.unwrap());
        }
        answers
    }

    /// What happened since the last time and matches a pattern.
    fn pick(&mut self, aws: &Aws) -> Vec<Value> {
        let events = aws.control().bus_events(self.seen);
        self.seen = events.last().map_or(self.seen, |(sequence, _)| *sequence);
        let meant = |event: &Value| self.patterns.iter().any(|pattern| matches(pattern, event));
        events.into_iter().map(|(_, event)| event).filter(meant).collect()
    }

    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html>
    fn transform(&self, event: &Value) -> String {
        self.paths.iter().fold(self.template.clone(), |text, (name, path)| {
            let pointer = path.as_str().unwrap().trim_start_matches('$').replace('.', "/");
            let value = event.pointer(&pointer).unwrap().as_str().unwrap();
            text.replace(&format!("<{name}>"), value)
        })
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(TEMPLATES).join(file)).unwrap()
}

/// Whether an event matches a pattern of exact values:
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>. Of an array one element must match.
fn matches(pattern: &Value, event: &Value) -> bool {
    match (pattern, event) {
        (_, Value::Array(elements)) => elements.iter().any(|element| matches(pattern, element)),
        (Value::Object(fields), event) => {
            fields.iter().all(|(name, field)| event.get(name).is_some_and(|value| matches(field, value)))
        }
        (Value::Array(values), event) => values.contains(event),
        _ => panic!("not a pattern: {pattern}"),
    }
}
