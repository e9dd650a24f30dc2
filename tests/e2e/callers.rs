//! Callers with certificates: who is let in, for how long, and what they reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use leasehold::config::Config;
use leasehold_api::v1::{self, ErrorReason, WatchMode};
use leasehold_authz::Rules;
use leasehold_client::{Client, ClientError, KeyLength, Refusal, RetryPolicy};
use leasehold_clock::TimeSource;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Code;

use crate::authority::{Authority, Files, Signed};
use crate::clock::JumpingClock;
use crate::cloud::Cloud;
use crate::watcher::Watcher;
use crate::world::{World, client_at, client_of, context, eventually, id, refused, soon};

/// A compute of acme's, as far as its name goes.
const COMPUTE: &str = "spiffe://prod/tenant/acme/compute/7";

/// A service with TLS on which computes reach their own tenants, and an administrator on the socket everything.
struct Secured {
    world: World,
    files: Files,
    prod: Authority,
    dns: Authority,
    service: Authority,
}

impl Secured {
    async fn start(tenants: &[&str]) -> Self {
        Self::with(tenants, "").await
    }

    async fn with(tenants: &[&str], more: &str) -> Self {
        let [service, prod, dns] = ["service", "prod", "dns"].map(Authority::new);
        let files = Files::new(&service, &prod, &dns);
        let mut world = World::with(Cloud::Aws, tenants, |config: &mut Config| {
            config.listen = files.listen(more);
            config.rules = Some(rules());
        })
        .await;
        world.client = client_of(&format!("unix:{}", files.path("socket").display()), &world.clock);
        for tenant in tenants {
            world.onboard(tenant).await;
        }
        Self { world, files, prod, dns, service }
    }

    fn url(&self) -> &str {
        let endpoints = self.world.running.endpoints();
        endpoints.iter().find(|endpoint| endpoint.starts_with("https://")).unwrap()
    }

    /// A client that presents this.
    fn client(&self, name: &str, signed: &Signed) -> Client {
        self.files.put_signed(name, signed);
        client_at(&self.files.endpoint(self.url(), name), RetryPolicy::never(), &self.world.clock)
    }

    /// Whoever presents this is not let in.
    async fn is_refused(&self, what: &str, signed: &Signed) {
        let refusal = not_let_in(list(&self.client("refused", signed)).await);
        assert!(refusal.reason().is_none(), "{what}: {refusal}");
    }

    /// A TLS connection as some other client might make it.
    async fn connect(&self, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
        let address = self.url().trim_start_matches("https://").to_owned();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await
    }

    fn config(&self, caller: Option<&Signed>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.service.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match caller {
            Some(signed) => {
                let certificate = CertificateDer::from_pem_slice(signed.certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(signed.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(config)
    }
}

fn rules() -> Rules {
    let rules = json!([
        {
            "name": "compute",
            "identity": "spiffe://prod/tenant/{t}/compute/*",
            "operations": ["keys", "GetTenant", "ListTenants"],
            "tenants": ["{t}"],
        },
        {
            "name": "engines",
            "identity": "dns:{t}.engines.example",
            "operations": ["ListTenants"],
            "tenants": ["{t}"],
        },
        { "name": "admin", "identity": "unix:*", "operations": ["*"], "tenants": ["*"] },
    ]);
    serde_json::from_value(rules).unwrap()
}

async fn list(client: &Client) -> Result<Vec<String>, ClientError> {
    let list = v1::ListTenantsRequest::default();
    let listed = client.tenants(list, |mut t, q| async move { t.list_tenants(q).await }).await?;
    Ok(listed.tenants.into_iter().map(|tenant| tenant.name).collect())
}

/// The failure of a call that never came to be one.
#[track_caller]
fn not_let_in<T>(result: Result<T, ClientError>) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => {
            assert_eq!((refusal.code(), refusal.reason()), (Code::Unavailable, None), "{refusal}");
            *refusal
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("served"),
    }
}

/// Waits until the connection of a watcher is over. It is told first, unless so much time passes meanwhile that it is cut.
async fn ends(watcher: Watcher) {
    let Some(ClientError::Refused(refusal)) = watcher.end().await else { panic!("the stream just ended") };
    assert_eq!(refusal.code(), Code::Unavailable, "{refusal}");
    assert!(matches!(refusal.reason(), None | Some(ErrorReason::ConnectionClosing)), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_only_a_good_certificate_lets_anybody_in() {
    let secured = Secured::start(&[]).await;
    let prod = &secured.prod;
    let good = secured.client("good", &prod.caller(&[COMPUTE]));
    assert_eq!(list(&good).await.unwrap(), [""; 0]);
    assert!(list(&secured.client("dns", &secured.dns.caller(&["acme.engines.example"]))).await.is_ok());

    let with = |adapt: fn(&mut CertificateParams)| prod.sign(&[COMPUTE], adapt);
    for (what, signed) in [
        ("expired", with(|p| p.not_after = rcgen::date_time_ymd(2020, 1, 1))),
        ("not yet valid", with(|p| p.not_before = rcgen::date_time_ymd(3000, 1, 1))),
        ("foreign", Authority::new("prod").caller(&[COMPUTE])),
        ("for servers", with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])),
        ("for mail", with(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection])),
        ("an authority's", with(|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("of another trust domain", prod.caller(&["spiffe://dev/tenant/acme/compute/7"])),
        ("by who vouches for names", secured.dns.caller(&[COMPUTE])),
        ("of a name by who vouches for ids", prod.caller(&["acme.engines.example"])),
        ("with two ids", prod.caller(&[COMPUTE, "spiffe://prod/other"])),
        ("with another URI", prod.caller(&["https://prod/tenant/acme/compute/7"])),
        ("without a path", prod.caller(&["spiffe://prod"])),
        ("without a name", prod.caller(&[])),
        ("with a wildcard", secured.dns.caller(&["*.engines.example"])),
    ] {
        secured.is_refused(what, &signed).await;
    }
    assert!(list(&good).await.is_ok(), "and nobody else is the worse for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_intermediate_vouches_as_far_as_its_authority_lets_it() {
    let secured = Secured::start(&[]).await;
    let prod = &secured.prod;
    // A caller's certificate by the first of these, and theirs.
    let chain = |signers: &[&Authority]| {
        let mut signed = signers[0].caller(&[COMPUTE]);
        signers.iter().for_each(|signer| signed.certificate.push_str(&signer.pem));
        signed
    };
    let between = |adapt: fn(&mut CertificateParams)| prod.intermediate("between", adapt);
    let good = between(|_| {});
    let second = good.intermediate("second", |_| {});
    for (name, signers) in [("one", &[&good][..]), ("two", &[&second, &good])] {
        assert!(list(&secured.client(name, &chain(signers))).await.is_ok(), "{name}");
    }

    let last = between(|p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    assert!(list(&secured.client("last", &chain(&[&last]))).await.is_ok());
    let beyond = last.intermediate("beyond", |_| {});
    let foreign = secured.dns.intermediate("between", |_| {});
    let mut other = good.caller(&[COMPUTE]);
    other.certificate.push_str(&foreign.pem);
    for (what, signed) in [
        ("is missing", good.caller(&[COMPUTE])),
        ("is missing between two", chain(&[&second])),
        ("is another of the same name", other),
        ("is of who vouches for names", chain(&[&foreign])),
        ("is expired", chain(&[&between(|p| p.not_after = rcgen::date_time_ymd(2020, 1, 1))])),
        ("is not yet valid", chain(&[&between(|p| p.not_before = rcgen::date_time_ymd(3000, 1, 1))])),
        (
            "is for servers",
            chain(&[&between(|p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])]),
        ),
        ("may not sign", chain(&[&between(|p| p.is_ca = IsCa::ExplicitNoCa)])),
        ("lets another sign and may not", chain(&[&beyond, &last])),
    ] {
        secured.is_refused(&format!("an intermediate that {what}"), &signed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_without_a_certificate_nobody_is_let_in() {
    let secured = Secured::start(&[]).await;
    // In TLS 1.3 a client learns what the server makes of its certificate when it reads.
    let mut nobody = secured.connect(&secured.config(None)).await.unwrap();
    let error = soon(nobody.read_u8()).await.unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    // Nor in the clear.
    let plain = client_of(&secured.url().replace("https", "http"), &secured.world.clock);
    not_let_in(list(&plain).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_who_is_not_let_in_is_counted() {
    let secured = Secured::start(&[]).await;
    for _ in 0..3 {
        let mut stream = secured.connect(&secured.config(None)).await.unwrap();
        soon(stream.read_u8()).await.unwrap_err();
    }
    let journal = secured.world.journal();
    secured.world.running.drain().await;
    let counted = journal.entries("refusals");
    assert!(
        counted.iter().all(|of| of["listener"] == "grpc" && of["reason"] == "TLS_HANDSHAKE"),
        "{counted:?}"
    );
    let count: u64 = counted.iter().map(|of| of["count"].as_u64().unwrap()).sum();
    assert_eq!(count, 3, "{counted:?}");
    assert!(counted.iter().all(|of| of["from"] == "127.0.0.0/24"), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_handshake_is_never_cut_short_by_an_earlier_one() {
    let secured = Secured::start(&[]).await;
    let config = secured.config(Some(&secured.prod.caller(&[COMPUTE])));
    for _ in 0..2 {
        let mut stream = secured.connect(&config).await.unwrap();
        // The server's first words in HTTP/2, before which it would have said how to resume.
        soon(stream.read_u8()).await.unwrap();
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_caller_with_rights_to_one_tenant_learns_nothing_of_another() {
    let secured = Secured::start(&["acme", "globex"]).await;
    let world = &secured.world;
    let compute = secured.client("compute", &secured.prod.caller(&[COMPUTE]));
    let (_, theirs) = world.generate("globex", "main").await;
    world.unwrap("globex", &theirs, "main").await.unwrap();
    let own = compute.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap().value;
    compute.unwrap_key(&id("acme"), &own.wrapped, &context("main")).await.unwrap();
    assert_eq!(list(&compute).await.unwrap(), ["tenants/acme"]);
    world.forget_calls();

    // Cached or not, existing or not: it is all the same to who may not ask.
    let mut told = Vec::new();
    for tenant in ["globex", "nobody"] {
        let unwrapped = compute.unwrap_key(&id(tenant), &theirs, &context("main")).await;
        let get = v1::GetTenantRequest { name: format!("tenants/{tenant}") };
        let got = compute.tenants(get, |mut t, q| async move { t.get_tenant(q).await }).await;
        let mut stream = compute.leases().await.unwrap();
        stream.watch(&[id(tenant)], WatchMode::Observe).await.unwrap();
        let refusals = [
            refused(unwrapped, Code::PermissionDenied, ErrorReason::CallerNotAllowed),
            refused(got, Code::PermissionDenied, ErrorReason::CallerNotAllowed),
            refused(stream.next().await, Code::PermissionDenied, ErrorReason::CallerNotAllowed),
        ];
        assert!(refusals.iter().all(|refusal| refusal.metadata().is_empty()));
        told.push(refusals.map(|refusal| refusal.to_string().replace(tenant, "…")));
    }
    assert_eq!(told[0], told[1]);
    let foreign = compute.unwrap_key(&id("acme"), &theirs, &context("main")).await;
    refused(foreign, Code::InvalidArgument, ErrorReason::ForeignEnvelope);
    assert_eq!(world.count(Default::default()), 0, "the clouds were not asked");

    // Another operation on the own tenant, and a name that only looks like a compute's.
    let suspend = v1::SuspendTenantRequest { name: "tenants/acme".into(), ..Default::default() };
    let suspended = compute.tenants(suspend, |mut t, q| async move { t.suspend_tenant(q).await }).await;
    refused(suspended, Code::PermissionDenied, ErrorReason::CallerNotAllowed);
    let other = secured.client("other", &secured.prod.caller(&["spiffe://prod/tenant/acme/compute/7/x"]));
    refused(list(&other).await, Code::PermissionDenied, ErrorReason::CallerNotAllowed);
    let engine = secured.client("engine", &secured.dns.caller(&["x.example", "globex.engines.example"]));
    assert_eq!(list(&engine).await.unwrap(), ["tenants/globex"]);
    let unwrapped = engine.unwrap_key(&id("globex"), &theirs, &context("main")).await;
    refused(unwrapped, Code::PermissionDenied, ErrorReason::CallerNotAllowed);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_connection_is_over_when_its_certificate_is() {
    const LIFE: Duration = Duration::from_secs(3600);
    let secured = Secured::start(&["acme"]).await;
    let clock: &JumpingClock = &secured.world.clock;
    let expires = time::OffsetDateTime::from(clock.wall() + LIFE);
    let signed = secured.prod.sign(&[COMPUTE], |params| params.not_after = expires);
    let client = secured.client("brief", &signed);
    let mut watcher = Watcher::open(&client, &id("acme"), WatchMode::Hold).await;
    clock.jump(LIFE / 2);
    watcher.renew().await;
    clock.jump(LIFE / 2 - Duration::from_secs(3));
    ends(watcher).await;
    clock.jump(Duration::from_secs(5));
    not_let_in(list(&client).await);
    // The files are read again when the client connects again.
    secured.files.put_signed("brief", &secured.prod.caller(&[COMPUTE]));
    assert_eq!(list(&client).await.unwrap(), ["tenants/acme"]);
}

/// Callers that ask without pause, each on a connection of its own, and how often they were answered.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    callers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(clients: Vec<Client>) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let caller = |client: Client| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    list(&client).await.unwrap_or_else(|error| panic!("a call failed: {error}"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let callers = clients.into_iter().map(caller).collect();
        Self { stop, answered, callers }
    }

    /// Waits until each caller was answered some more.
    async fn goes_on(&self) {
        let more = self.answered.load(Ordering::Relaxed) + 20 * self.callers.len();
        eventually(async || (self.answered.load(Ordering::Relaxed) >= more).then_some(())).await;
    }

    /// Panics if a call failed.
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for caller in self.callers {
            soon(caller).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_rotation_under_load_fails_no_call() {
    let secured = Secured::start(&["acme"]).await;
    let (files, next) = (&secured.files, Authority::new("next"));
    let clients = (0..4).map(|n| secured.client(&format!("caller-{n}"), &secured.prod.caller(&[COMPUTE])));
    let load = Load::start(clients.collect());
    let left = secured.client("left", &secured.prod.caller(&[COMPUTE]));
    let watcher = Watcher::open(&left, &id("acme"), WatchMode::Observe).await;
    load.goes_on().await;

    // The service's own certificate.
    let renewed = secured.service.service();
    files.put_signed("service", &renewed);
    let shown = CertificateDer::from_pem_slice(renewed.certificate.as_bytes()).unwrap();
    let config = secured.config(Some(&secured.prod.caller(&[COMPUTE])));
    eventually(async || {
        let stream = secured.connect(&config).await.unwrap();
        (stream.get_ref().1.peer_certificates().unwrap()[0] == shown).then_some(())
    })
    .await;
    load.goes_on().await;

    // The callers' authority: first both, then every caller's certificate, then the new one alone.
    files.put("prod-ca", &format!("{}{}", secured.prod.pem, next.pem));
    let early = secured.client("early", &next.caller(&[COMPUTE]));
    eventually(async || list(&early).await.ok()).await;
    for n in 0..4 {
        files.put_signed(&format!("caller-{n}"), &next.caller(&[COMPUTE]));
    }
    load.goes_on().await;
    files.put("prod-ca", &next.pem);
    ends(watcher).await;
    not_let_in(list(&left).await);
    load.goes_on().await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_files_that_cannot_be_used_change_nothing() {
    let secured = Secured::start(&[]).await;
    let caller = secured.prod.caller(&[COMPUTE]);
    for (file, text) in [("prod-ca", "nonsense"), ("service-cert", ""), ("service-key", &caller.key)] {
        secured.files.put(file, text);
    }
    // Something that was read after those is in force once the names' authority is another.
    let next = Authority::new("next");
    secured.files.put("prod-ca", "still nonsense");
    let client = secured.client("caller", &caller);
    secured.world.clock.jump(Duration::from_secs(10));
    assert!(list(&client).await.is_ok());
    secured.files.put("prod-ca", &next.pem);
    secured.files.put_signed("service", &secured.service.service());
    eventually(async || list(&client).await.is_err().then_some(())).await;
    assert!(list(&secured.client("next", &next.caller(&[COMPUTE]))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_who_says_nothing_keeps_nobody_out() {
    let secured = Secured::with(&[], "handshakes = 2").await;
    let address = secured.url().trim_start_matches("https://");
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(list(&secured.client("caller", &secured.prod.caller(&[COMPUTE]))).await.is_ok());
    // The first of them had to give way.
    assert_eq!(soon(silent[0].read(&mut [0; 1])).await.unwrap_or(0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p9_more_callers_than_handshakes_at_once_are_all_let_in() {
    let secured = Secured::with(&[], "handshakes = 8").await;
    let signed = secured.prod.caller(&[COMPUTE]);
    let clients: Vec<_> = (0..24).map(|n| secured.client(&format!("caller-{n}"), &signed)).collect();
    for listed in join_all(clients.iter().map(list)).await {
        listed.unwrap();
    }
}

/// `leasehold` with these arguments and variables; its exit code and what it printed.
fn command(arguments: &[&str], variables: &[(&str, String)]) -> (Option<i32>, serde_json::Value) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command
        .env_clear()
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .arg("--json")
        .args(arguments);
    let output = command.output().unwrap();
    let printed = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let first = printed.split(|byte| *byte == b'\n').next().unwrap();
    (output.status.code(), serde_json::from_slice(first).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_calls_with_a_certificate() {
    let secured = Secured::start(&["acme", "globex"]).await;
    secured.files.put_signed("engine", &secured.dns.caller(&["acme.engines.example"]));
    let file = |name: &str| secured.files.path(name).display().to_string();
    let variables = [
        ("LEASEHOLD_ADDR", secured.url().to_owned()),
        ("LEASEHOLD_TLS_CA", file("service-ca")),
        ("LEASEHOLD_TLS_CERT", file("engine-cert")),
        ("LEASEHOLD_TLS_KEY", file("engine-key")),
    ];
    let run = |arguments: &'static [&'static str], variables: Vec<(&'static str, String)>| {
        tokio::task::spawn_blocking(move || command(arguments, &variables))
    };
    let (code, listed) = run(&["tenant", "list"], variables.to_vec()).await.unwrap();
    assert_eq!((code, &listed["name"]), (Some(0), &json!("tenants/acme")), "{listed}");
    let (code, _) = run(&["tenant", "get", "globex"], variables.to_vec()).await.unwrap();
    assert_eq!(code, Some(3));
    let (code, error) =
        run(&["tenant", "list", "--no-retry", "--tls-server-name", "other.example"], variables.to_vec())
            .await
            .unwrap();
    assert_eq!(code, Some(4), "{error}");
    let (code, error) = run(&["tenant", "list"], variables[..2].to_vec()).await.unwrap();
    assert_eq!(code, Some(2), "{error}");
}

#[test]
fn p6_the_rules_can_be_asked_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("leasehold.toml");
    let text = "deployment = 'prod'\n[[rules]]\nname = 'compute'\nidentity = 'spiffe://prod/tenant/{t}/compute/*'\n\
                operations = ['keys']\ntenants = ['{t}']\n";
    std::fs::write(&config, text).unwrap();
    let config = [("LEASEHOLD_CONFIG", config.display().to_string())];
    let ask = |tenant| {
        let asked =
            ["authz", "explain", "--identity", COMPUTE, "--operation", "UnwrapKey", "--tenant", tenant];
        command(&asked, &config)
    };
    let (code, answer) = ask("acme");
    assert_eq!((code, &answer["rule"]), (Some(0), &json!("compute")), "{answer}");
    let (code, answer) = ask("globex");
    assert_eq!((code, &answer["rules"][0]["finding"]), (Some(3), &json!("OTHER_TENANT")), "{answer}");
}
