//! Policies of Google Cloud: an allow policy of a key and, after a line of `%%`, a deny policy of its project; both are put
//! there, and a real request is decided by them.

#![no_main]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;

use leasehold_cloudsim::control::gcp::PolicyPlace;
use leasehold_cloudsim::gcp::scenario::{Scenario, ScenarioSpec};
use leasehold_cloudsim::{Config, GcpControl, Simulator};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::Runtime;

/// What a policy that lets our caller use the key names it by, in any case: itself, or one of the sets that it is in.
const CALLER: [&str; 3] =
    ["leasehold@leasehold-platform.iam.gserviceaccount.com", "allusers", "allauthenticatedusers"];

static WORLD: LazyLock<World> = LazyLock::new(World::start);

fuzz_target!(|text: &str| {
    let (allow, deny) = text.split_once("\n%%\n").unwrap_or((text, "{}"));
    let (Ok(allow), Ok(deny)) = (serde_json::from_str::<Value>(allow), serde_json::from_str(deny)) else {
        return;
    };
    let place = PolicyPlace::Key(WORLD.scenario.tenants[0].key.clone());
    if WORLD.control.set_policy(&place, &allow).is_err() {
        return;
    }
    let kept = WORLD.control.policy(&place).expect("the key is there");
    WORLD.control.set_policy(&place, &kept).expect("what is read back can be put back");
    let allowed = WORLD.permitted();
    let said = kept.to_string().to_ascii_lowercase();
    assert!(!allowed || CALLER.iter().any(|name| said.contains(name)), "nobody let the caller in");

    let project = &WORLD.scenario.tenants[0].project;
    if WORLD.control.put_deny_policy(project, "fuzz", deny).is_ok() {
        assert!(allowed || !WORLD.permitted(), "a deny policy grants");
        WORLD.control.delete_deny_policy(project, "fuzz").expect("it was put there");
    }
});

struct World {
    _runtime: Runtime,
    _simulator: Simulator,
    control: GcpControl,
    scenario: Scenario,
    gcp: SocketAddr,
    token: String,
}

impl World {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be made");
        let region = "eu-central-1".parse().expect("a region");
        let config = Config { log_capacity: 64, ..Config::ephemeral(region) };
        let simulator = runtime.block_on(Simulator::start(config)).expect("loopback has free ports");
        let control = simulator.control().gcp();
        let spec = ScenarioSpec::with_tenants(&["acme"]).expect("a name");
        let scenario = control.build(&spec).expect("the world is empty");
        let address = |url: &str| url.trim_start_matches("http://").trim_end_matches('/').parse().ok();
        let endpoints = simulator.endpoints();
        let gcp = address(&endpoints.gcp).expect("a URL of an address");
        let metadata = address(&endpoints.gcp_metadata).expect("an address");
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        let answer = ask(metadata, &format!("GET {path} HTTP/1.1\r\nmetadata-flavor: Google\r\n"), "");
        let token = answer["access_token"].as_str().expect("the machine has a service account").to_owned();
        Self { _runtime: runtime, _simulator: simulator, control, scenario, gcp, token }
    }

    /// Whether the platform's service account may decrypt with the tenant's key.
    fn permitted(&self) -> bool {
        let key = &self.scenario.tenants[0].key;
        let head = format!(
            "POST /v1/{key}:testIamPermissions HTTP/1.1\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
            self.token
        );
        let answer = ask(self.gcp, &head, r#"{"permissions":["cloudkms.cryptoKeyVersions.useToDecrypt"]}"#);
        assert!(answer["error"].is_null(), "{answer}");
        answer["permissions"].as_array().is_some_and(|permissions| !permissions.is_empty())
    }
}

/// The answer to one request on a connection of its own.
fn ask(server: SocketAddr, head: &str, body: &str) -> Value {
    let mut stream = TcpStream::connect(server).expect("the simulator listens");
    let length = body.len();
    let request =
        format!("{head}host: {server}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).expect("the simulator reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the simulator answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}
