//! The configuration as operators see it: checked without a server, and taken over by one that runs.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use leasehold_api::v1::ErrorReason;
use leasehold_client::{Client, ClientError};
use tonic::Code;

use crate::authority::{Authority, Files};
use crate::cloud::Cloud;
use crate::served::Process;
use crate::world::{context, eventually, id, refused};

/// What every server of these tests has: it can start with it.
const GOOD: &str = "deployment = 'prod'\nregistry.kind = 'memory'\nmemory.danger_allow_unlocked = true\n";
const CLOUD: &str = "[providers.aws]\nregion = 'eu-central-1'\n";
const LOCAL: &str = "listen.tcp = ['127.0.0.1:0']\n";

/// `leasehold` about a configuration, with a bare environment and no metadata service.
fn leasehold(directory: &Path, arguments: &[&str], toml: &str) -> Command {
    let file = directory.join("leasehold.toml");
    std::fs::write(&file, toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(arguments).arg("--config").arg(&file).current_dir(directory).env_clear();
    command.env("AWS_EC2_METADATA_DISABLED", "true").stdin(Stdio::null());
    command
}

/// Checks a configuration: whether it can be used, and what was printed.
fn check(directory: &Path, toml: &str) -> (bool, String) {
    let ran = leasehold(directory, &["config", "check"], toml).output().unwrap();
    let printed = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8(printed).unwrap())
}

/// Starts a server: whether it came to serve, and what it logged until then. It is ended.
fn serve(directory: &Path, toml: &str) -> (bool, String) {
    let mut child = leasehold(directory, &["serve"], toml).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        log += &format!("{}\n", line.unwrap());
        if log.contains(" listening ") {
            child.kill().unwrap();
            break;
        }
    }
    let code = child.wait().unwrap().code();
    assert!(code.is_none() || code == Some(1), "{log}");
    (code.is_none(), log)
}

#[test]
fn a_configuration_is_checked_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let (usable, report) = check(directory.path(), &format!("deployment = 'prod'\n{CLOUD}"));
    assert!(usable, "{report}");
    for told in [
        "receive windows of 1024 with certificates, and as many on this machine: 2048 x 256 KiB = 512 MiB at worst",
        "messages: 4096 x 64 KiB = 256 MiB at worst",
        "messages: 1024 x 384 KiB = 384 MiB at worst",
        "65536 in 4 MiB: 4096 calls x 2 = 8192, and 57344 for leases in use; with a bound of 300 s proofs allow \
         1 x 25200 = 25200",
        "25200 leases in use with a bound of 300 s, 1260 of 15 s",
        "no sentinels",
        "no [[rules]]",
    ] {
        assert!(report.contains(told), "{told} is not in {report}");
    }
    assert!(!report.contains("memory.arena_bytes has room"), "{report}");
    // By default there is room for what calls and proofs allow on two clouds.
    let all = format!(
        "{CLOUD}[providers.gcp]\nown_projects = ['platform']\nidentity = 'metadata'\n{AZURE}{OPERATOR}"
    );
    let (usable, report) = check(directory.path(), &format!("{GOOD}{all}"));
    assert!(usable && report.contains("memory.arena_bytes has room"), "{report}");
    let enough = format!("{GOOD}memory.arena_bytes = 8388608\n{all}");
    let (usable, report) = check(directory.path(), &enough);
    assert!(usable && !report.contains("memory.arena_bytes has room"), "{report}");
}

const AZURE: &str = "[providers.azure]\nclient_id = 'aaaabbbb-0000-cccc-1111-dddd2222eeee'\n\
                     directory_id = '11112222-bbbb-3333-cccc-4444dddd5555'\n";
const OPERATOR: &str = "[providers.operator]\ncloud = 'aws'\n\
    keys = ['arn:aws:kms:eu-central-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab']\n";
const TLS: &str = "[listen.tls]\naddresses = ['127.0.0.1:0']\ncertificate_file = 'service-cert'\nkey_file = 'service-key'\n\
                   authorities = [{ ca_file = 'prod-ca', vouches_for = 'spiffe://prod' }]\n";
const REPROVE: &str = "[reprove]\nlisten = ['127.0.0.1:0']\n";
const FEED: &str = "[[reprove.callers]]\nname = 'acme'\nsecret_file = 'secret'\ntenants = ['acme']\n";

/// Everything that keeps a server from starting, as far as the configuration and its files are to blame: what a configuration says,
/// and what is said of it.
fn unusable() -> Vec<(String, &'static str)> {
    let own = "deployment = 'prod'\n".to_owned();
    let cloud = |more: &str| format!("{GOOD}{LOCAL}{CLOUD}{more}");
    let other = |sections: &str| format!("{GOOD}{LOCAL}{sections}");
    let sentinel = |cloud: &str| {
        format!("[[sentinels]]\nprovider = '{cloud}'\nkey = 'k'\nsettings = {{ role_arn = 'r' }}\n")
    };
    vec![
        ("listen = 1".to_owned() + &own, "leasehold.toml"),
        (cloud("[limits]\ncall = 1\n"), "call"),
        (cloud("[log]\nfilter = '=='\n"), "filter"),
        (format!("{GOOD}listen.tcp = ['0.0.0.0:0']\n{CLOUD}"), "0.0.0.0:0 is not a loopback address"),
        (format!("{GOOD}listen.tcp = []\n{CLOUD}"), "nothing to listen on"),
        (cloud(&TLS.replace("service-cert", "none.crt")), "none.crt cannot be read"),
        (cloud(&TLS.replace("service-key", "other-key")), "do not work together"),
        (cloud(&TLS.replace("prod-ca", "nonsense")), "nonsense is not a PEM file with certificates"),
        (other(""), "no cloud is enabled"),
        (other("[providers.aws]\n"), "no AWS region"),
        (cloud("extra_root_cas = ['none.pem']\n"), "none.pem"),
        (cloud("extra_root_cas = ['nonsense']\n"), "nonsense does not hold valid PEM certificates"),
        (cloud("allowed_regions = ['cn-north-1']\n"), "partition"),
        (other(&format!("{AZURE}extra_root_cas = ['none.pem']\n")), "none.pem"),
        (other(&format!("{AZURE}identity = {{ secret = {{ file = 'none.secret' }} }}\n")), "none.secret"),
        (
            other(&format!(
                "{AZURE}identity = {{ certificate = {{ certificate_file = 'none.crt', key_file = 'service-key' }} }}\n"
            )),
            "none.crt",
        ),
        (
            other(&format!(
                "{AZURE}identity = {{ certificate = {{ certificate_file = 'service-cert', key_file = 'none.key' }} }}\n"
            )),
            "none.key",
        ),
        (
            other("[providers.gcp]\nidentity = { workload_identity_federation = { file = 'none.json' } }\n"),
            "none.json",
        ),
        (cloud(&OPERATOR.replace("'aws'", "'gcp'")), "there is no such section"),
        (cloud("[providers.operator]\ncloud = 'aws'\nkeys = []\n"), "providers.operator.keys is empty"),
        (cloud(&OPERATOR.replace("eu-central-1", "eu-west-1")), "add eu-west-1 to allowed_regions"),
        (cloud(&sentinel("gcp")), "the sentinel for gcp cannot work"),
        (cloud(&sentinel("aws")), "the sentinel for aws cannot work"),
        (cloud("[audit]\nsigning_key = 'nonsense'\n"), "holds no Ed25519 key"),
        (cloud(&rule("spiffe://prod/{u}", "['*']", "['{t}']")), "capture"),
        (cloud(&format!("{REPROVE}{}", FEED.replace("'secret'", "'none.secret'"))), "none.secret"),
        (
            cloud(&format!("{REPROVE}certificate_file = 'none.crt'\nkey_file = 'service-key'\n{FEED}")),
            "none.crt cannot be read",
        ),
    ]
}

fn rule(identity: &str, operations: &str, tenants: &str) -> String {
    format!(
        "[[rules]]\nname = 'one'\nidentity = '{identity}'\noperations = {operations}\ntenants = {tenants}\n"
    )
}

/// The files of a service, beside its configuration.
fn files() -> Files {
    let [service, prod, dns] = ["service", "prod", "dns"].map(Authority::new);
    let files = Files::new(&service, &prod, &dns);
    files.put("other-key", &service.service().key);
    files.put("nonsense", "nonsense");
    files.put("secret", "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3JldA==");
    files
}

#[test]
fn what_keeps_a_server_from_starting_is_what_the_check_says() {
    let files = files();
    for (toml, named) in unusable() {
        let (usable, report) = check(files.directory(), &toml);
        assert!(!usable && report.contains(named), "{named} is not in {report}: {toml}");
        let (started, log) = serve(files.directory(), &toml);
        assert!(!started && log.contains(named), "{named} is not in {log}: {toml}");
    }
}

#[test]
fn a_server_starts_with_what_the_check_only_warns_of() {
    let files = files();
    let service = Authority::new("service").sign(&["127.0.0.1"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    files.put_signed("expired", &service);
    let cloud = |more: &str| format!("{GOOD}{LOCAL}{CLOUD}{more}");
    for (toml, named) in [
        (cloud(""), Some("no [[rules]]")),
        (cloud(&rule("loopback", "['*']", "['*']")), None),
        (cloud(&format!("{TLS}{}", rule("spiffe://prod/a", "['*']", "['*']"))), None),
        (cloud(&format!("{REPROVE}{FEED}{}", rule("loopback", "['*']", "['*']"))), None),
        (format!("rules = []\n{}", cloud("")), Some("rules is empty")),
        (cloud(&rule("loopback", "[]", "['*']")), Some("rule one allows nothing: its operations")),
        (cloud(&rule("loopback", "['*']", "[]")), Some("rule one allows nothing: its tenants")),
        (cloud(&rule("unix:*", "['*']", "['*']")), Some("rule one allows nothing: listen.unix")),
        (
            cloud(&format!("{TLS}{}", rule("spiffe://dev/a", "['*']", "['*']"))),
            Some("rule one allows nothing: no authority"),
        ),
        (
            cloud(&format!("{TLS}{}", rule("dns:a.example", "['*']", "['*']"))),
            Some("rule one allows nothing: no authority"),
        ),
        (cloud(&TLS.replace("service-", "expired-")), Some("expired-cert has expired")),
        (
            cloud("[memory]\narena_bytes = 1048576\n").replace("memory.danger_allow_unlocked = true\n", ""),
            Some("has room for 16384 keys, and limits.calls and the leases"),
        ),
    ] {
        let (usable, report) = check(files.directory(), &toml);
        assert!(usable, "{report}: {toml}");
        match named {
            Some(named) => assert!(report.contains(named), "{named} is not in {report}: {toml}"),
            None => assert!(!report.contains("[[rules]]") && !report.contains("allows nothing"), "{report}"),
        }
        let (started, log) = serve(files.directory(), &toml);
        assert!(started, "{log}: {toml}");
    }
}

/// Rules are in force that let nobody unwrap, and the file loses them in different ways.
#[tokio::test(flavor = "multi_thread")]
async fn p6_an_empty_or_truncated_file_or_one_without_rules_leaves_the_rules_in_force() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leasehold.toml");
    let write = |toml: &str| std::fs::write(&file, toml).unwrap();
    let rule = |operations: &str| {
        format!("[[rules]]\nname = 'all'\nidentity = 'unix:*'\noperations = {operations}\ntenants = ['*']\n")
    };
    let head = "# The head of a long file.\n[limits]\ncalls = 4096\n";
    write(&format!("{head}{}", rule("['*']")));
    let settings = [
        ("LEASEHOLD_CONFIG", file.display().to_string()),
        ("LEASEHOLD__ADMIN__ADDRESSES", "[\"127.0.0.1:0\"]".to_owned()),
    ];
    // The deployment is in the environment, so that an empty file is a whole one as far as TOML goes.
    let process = Process::within(Vec::new(), Cloud::Aws, &settings).await;
    let client = &process.client;
    let made =
        client.generate_data_key(&id("acme"), leasehold_client::KeyLength::B32, &context("main")).await;
    let wrapped = made.unwrap().value.wrapped;
    let narrow = format!("{head}{}", rule("['GetTenant']"));
    let refusals = async || {
        let (status, metrics) = process.admin("/metrics").await;
        assert_eq!(status, 200);
        let line =
            metrics.lines().find(|line| line.starts_with("leasehold_reloads_total{outcome=\"refused\"}"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap())
    };
    for (times, cut) in ["", head, "# nothing but this", &narrow[..head.len() + 3]].into_iter().enumerate() {
        write(&narrow);
        process.signal("HUP");
        let refusal = eventually(async || unwraps(client, &wrapped).await.err()).await;
        refused(Err::<(), _>(refusal), Code::PermissionDenied, ErrorReason::CallerNotAllowed);
        // Only what could be used before is news.
        let taken = process.log().matches("read again").count();
        write(cut);
        process.signal("HUP");
        eventually(async || (refusals().await > u32::try_from(times).unwrap()).then_some(())).await;
        refused(unwraps(client, &wrapped).await, Code::PermissionDenied, ErrorReason::CallerNotAllowed);
        write(&format!("{head}{}", rule("['GetTenant', 'ListTenants']")));
        process.signal("HUP");
        eventually(async || (process.log().matches("read again").count() > taken).then_some(())).await;
    }
    assert_eq!(
        process.log().matches("there are no [[rules]] in it any more").count(),
        3,
        "{}",
        process.log()
    );
}

async fn unwraps(client: &Client, wrapped: &leasehold_client::WrappedKey) -> Result<(), ClientError> {
    client.unwrap_key(&id("acme"), wrapped, &context("main")).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_rules_are_taken_over_by_a_server_that_runs_and_a_broken_file_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leasehold.toml");
    let write = |toml: &str| std::fs::write(&file, toml).unwrap();
    let rule = |operations: &str| {
        format!("[[rules]]\nname = 'all'\nidentity = 'unix:*'\noperations = {operations}\ntenants = ['*']\n")
    };
    write(&rule("['*']"));
    let config = ("LEASEHOLD_CONFIG", file.display().to_string());
    let process = Process::within(Vec::new(), Cloud::Aws, &[config]).await;
    let client = &process.client;
    let made =
        client.generate_data_key(&id("acme"), leasehold_client::KeyLength::B32, &context("main")).await;
    let wrapped = made.unwrap().value.wrapped;
    unwraps(client, &wrapped).await.unwrap();

    write(&rule("['GetTenant']"));
    process.signal("HUP");
    let refusal = eventually(async || unwraps(client, &wrapped).await.err()).await;
    refused(Err::<(), _>(refusal), Code::PermissionDenied, ErrorReason::CallerNotAllowed);

    write("[[rules]]\nnot a rule");
    process.signal("HUP");
    eventually(async || {
        process.log().contains("cannot be used; what it was before stays in force").then_some(())
    })
    .await;
    refused(unwraps(client, &wrapped).await, Code::PermissionDenied, ErrorReason::CallerNotAllowed);

    write(&format!("{}[limits]\ncalls = 7\n", rule("['*']")));
    process.signal("HUP");
    eventually(async || unwraps(client, &wrapped).await.ok()).await;
    assert!(process.log().contains("need a restart"), "{}", process.log());
}
