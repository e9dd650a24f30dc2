//! What is logged on the way, at the most talkative level of every crate involved.

use std::io::Write;
use std::sync::{Arc, Mutex};

use leasehold_provider::KeyProvider;
use leasehold_secret::{KeyLength, PlaintextKey};
use tracing_subscriber::fmt::MakeWriter;

use crate::tenant::Tenant;
use crate::world::{World, bound, dek};

/// A log in memory.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The ways in which bytes appear in text.
fn spellings(bytes: &[u8]) -> Vec<String> {
    let debug = format!("{bytes:?}");
    vec![
        data_encoding::HEXLOWER.encode(bytes),
        data_encoding::HEXUPPER.encode(bytes),
        data_encoding::BASE64.encode(bytes),
        data_encoding::BASE64URL_NOPAD.encode(bytes),
        debug.trim_matches(['[', ']']).to_owned(),
    ]
}

/// Tokens and assertions begin so: `{"alg":`, `{"typ":` and `{"x5t` in base64, each after a quote, a space or a line's start.
const TOKEN_STARTS: [&str; 3] = ["eyJhbGciOi", "eyJ0eXAiOi", "eyJ4NX"];

/// In a process of its own: what other tests log at the same time decides what this one gets to see.
#[tokio::test]
async fn p4_no_log_at_any_level_shows_a_key_or_a_credential() {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "logs::child", "--ignored", "--nocapture"]);
    let output = command.output().await.unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Not a test by itself.
#[tokio::test]
#[ignore = "run by the test above, as a child"]
async fn child() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false);
    let subscriber = subscriber.with_writer(captured.clone()).finish();
    // For this thread, on which the runtime of this test runs everything.
    let _guard = tracing::subscriber::set_default(subscriber);

    let world = World::start().await;
    let mut secrets = vec![world.scenario.client_secret.expose().to_owned()];
    world.certify();
    let identities = [
        world.secret(),
        world.certificate(),
        leasehold_provider_azure::Identity::ManagedIdentity { client_id: None },
    ];
    for (number, identity) in (1..).zip(identities) {
        let provider = world.provider_as(identity).await;
        let tenant = Tenant::onboard(&world, &provider, &format!("acme{number}"), number).await;
        let session = provider.assume(&tenant.binding).await.unwrap().value;
        let version = provider.describe(&session).await.unwrap().value.current_version;
        let bound = bound();
        let key = PlaintextKey::generate(&world.arena, KeyLength::B32).unwrap();
        let wrapped = provider.wrap(&session, &key, &version, dek(&bound)).await.unwrap().value;
        assert!(provider.unwrap(&session, &wrapped, dek(&bound)).await.unwrap().value.matches(&key));
        let made = provider.generate(&session, KeyLength::B64, &version, dek(&bound)).await.unwrap().value;
        secrets.extend(spellings(key.expose()));
        secrets.extend(spellings(made.key.expose()));
    }

    let log = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
    assert!(log.contains("vault.azure.net") && log.len() > 10_000, "the log was captured");
    secrets.extend(TOKEN_STARTS.map(str::to_owned));
    for secret in secrets {
        assert!(!log.contains(&secret), "{}", around(&log, &secret));
    }
}

/// What stands before a secret that was found, for whoever mends it.
fn around(log: &str, secret: &str) -> String {
    let at = log.find(secret).unwrap_or(0);
    log.chars().take(at).collect::<Vec<_>>().iter().rev().take(300).rev().collect()
}
