//! What is logged on the way, at the most talkative level of every crate involved.

use std::io::Write;
use std::sync::{Arc, Mutex};

use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
use leasehold_provider::{KeyProvider, WrapContext};
use leasehold_secret::{KeyLength, PlaintextKey};
use tracing_subscriber::fmt::MakeWriter;

use crate::tenant::Tenant;
use crate::world::World;

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
        bytes.escape_ascii().to_string(),
    ]
}

/// Not a test by itself: it captures the log of its whole process, threads of the SDK's included.
#[tokio::test]
#[ignore = "run by the test below, as a child of its own"]
async fn child() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_ansi(false);
    tracing::subscriber::set_global_default(subscriber.with_writer(captured.clone()).finish()).unwrap();

    let world = World::start().await;
    let provider = world.provider_of(world.federated()).await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
    let version = "1".parse().unwrap();
    let key = PlaintextKey::generate(&world.arena, KeyLength::B32).unwrap();
    let wrapped = provider.wrap(&session, &key, &version, context).await.unwrap().value;
    assert!(provider.unwrap(&session, &wrapped, context).await.unwrap().value.matches(&key));
    let made = provider.generate(&session, KeyLength::B64, &version, context).await.unwrap().value;

    let log = String::from_utf8_lossy(&captured.0.lock().unwrap()).into_owned();
    assert!(log.len() > 2_000, "the log was captured: {log}");
    let mut secrets = spellings(key.expose());
    secrets.extend(spellings(made.key.expose()));
    // Every access token of Google's, and every token of the platform's cluster.
    secrets.extend(["ya29.".to_owned(), "Bearer ".to_owned(), "eyJ".to_owned()]);
    for secret in secrets {
        assert!(!log.contains(&secret), "{}", around(&log, &secret));
    }
}

/// What stands before a secret that was found, for whoever mends it.
fn around(log: &str, secret: &str) -> String {
    let at = log.find(secret).unwrap_or(0);
    log.chars().take(at).collect::<Vec<_>>().iter().rev().take(300).rev().collect()
}

#[tokio::test]
async fn p4_no_log_at_any_level_shows_a_key_or_a_credential() {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "logs::child", "--ignored", "--nocapture"]);
    let output = command.output().await.unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
