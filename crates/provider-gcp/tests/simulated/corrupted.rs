//! Bytes that change on the way between us and Cloud KMS, in either direction.

use std::sync::{Arc, Mutex};

use data_encoding::BASE64;
use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
use leasehold_provider::{Ciphertext, Fault, KeyProvider, ProviderError, Session, WrapContext};
use leasehold_provider_gcp::GcpProvider;
use leasehold_secret::{KeyLength, PlaintextKey};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::tenant::Tenant;
use crate::wire::{Seen, read_request};
use crate::world::World;

/// Which field of which body loses a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Nothing,
    Request(&'static str),
    Answer(&'static str),
}

/// A proxy between the provider and the simulator's Cloud KMS.
struct Proxy {
    url: String,
    damage: Arc<Mutex<Damage>>,
}

impl Proxy {
    async fn start(upstream: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let damage = Arc::new(Mutex::new(Damage::Nothing));
        let shared = Arc::clone(&damage);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, upstream.clone(), Arc::clone(&shared)));
            }
        });
        Self { url, damage }
    }
}

async fn pass(mut stream: TcpStream, upstream: String, damage: Arc<Mutex<Damage>>) -> Option<()> {
    let Seen { line, headers, mut body } = read_request(&mut stream).await?;
    let damage = *damage.lock().unwrap();
    if let Damage::Request(field) = damage {
        body = damaged(&body, field);
    }
    let (method, path) = (line.split(' ').next()?, line.split(' ').nth(1)?);
    let mut request =
        reqwest::Client::new().request(method.parse().unwrap(), format!("{upstream}{path}")).body(body);
    for (name, value) in
        headers.iter().filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
    {
        request = request.header(name, value);
    }
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let mut body = answer.bytes().await.ok()?.to_vec();
    if let Damage::Answer(field) = damage {
        body = damaged(&body, field);
    }
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&body).await.ok()
}

/// `body` with one bit of one field the other way.
fn damaged(body: &[u8], field: &str) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else { return body.to_vec() };
    let Some(text) = json[field].as_str() else { return body.to_vec() };
    let mut bytes = BASE64.decode(text.as_bytes()).unwrap();
    bytes[0] ^= 1;
    json[field] = BASE64.encode(&bytes).into();
    json.to_string().into_bytes()
}

struct Bench {
    world: World,
    proxy: Proxy,
    provider: GcpProvider,
    session: Session,
}

impl Bench {
    async fn start() -> Self {
        let world = World::start().await;
        let proxy = Proxy::start(world.simulator.endpoints().gcp.clone()).await;
        let mut config = world.config();
        config.endpoints.kms = Some(proxy.url.clone());
        let provider = world.provider_of(config).await;
        let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
        let session = provider.assume(&tenant.binding).await.unwrap().value;
        Self { world, proxy, provider, session }
    }

    async fn wrap(&self, key: &PlaintextKey, damage: Damage) -> Result<Ciphertext, ProviderError> {
        *self.proxy.damage.lock().unwrap() = damage;
        let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
        let wrapped = self.provider.wrap(&self.session, key, &"1".parse().unwrap(), context).await;
        wrapped.map(|answer| answer.value)
    }

    async fn unwrap(&self, wrapped: &Ciphertext, damage: Damage) -> Result<PlaintextKey, ProviderError> {
        *self.proxy.damage.lock().unwrap() = damage;
        let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
        let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
        self.provider.unwrap(&self.session, wrapped, context).await.map(|answer| answer.value)
    }
}

#[tokio::test]
async fn bytes_that_change_on_the_way_are_nobodys_fault_and_never_used() {
    let bench = Bench::start().await;
    let key = PlaintextKey::generate(&bench.world.arena, KeyLength::B32).unwrap();
    let wrapped = bench.wrap(&key, Damage::Nothing).await.unwrap();
    assert!(bench.unwrap(&wrapped, Damage::Nothing).await.unwrap().matches(&key));
    for damage in [
        Damage::Request("plaintext"),
        Damage::Request("additionalAuthenticatedData"),
        Damage::Answer("ciphertext"),
    ] {
        let error = bench.wrap(&key, damage).await.unwrap_err();
        assert_eq!(error.fault(), &Fault::Unavailable, "{damage:?}: {error}");
    }
    for damage in [
        Damage::Request("ciphertext"),
        Damage::Request("additionalAuthenticatedData"),
        Damage::Answer("plaintext"),
    ] {
        let error = bench.unwrap(&wrapped, damage).await.err().unwrap();
        assert_eq!(error.fault(), &Fault::Unavailable, "{damage:?}: {error}");
    }
    assert!(bench.unwrap(&wrapped, Damage::Nothing).await.unwrap().matches(&key));
}
