//! The audit journal of the real service: nothing that was served is missing, and what cannot be recorded is refused.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use leasehold_api::v1;
use leasehold_api::v1::ErrorReason;
use leasehold_api::v1::key_service_client::KeyServiceClient;
use leasehold_client::{EncryptionContext, KeyLength};
use leasehold_cloudsim::log::{CallQuery, CallRecord};
use serde_json::Value;
use tonic::Code;
use tonic::transport::Channel;

use crate::cloud::{Cloud, on_every_cloud};
use crate::journal::Journal;
use crate::served::{Process, serve};
use crate::traffic::{Traffic, named};
use crate::world::{World, client_of, context, eventually, id, refused};

// === kill -9 ===

#[tokio::test(flavor = "multi_thread")]
async fn p7_nothing_served_is_missing_from_the_chain_after_kill_9() {
    let small = [
        ("LEASEHOLD__AUDIT__ROTATE_BYTES", "65536".to_owned()),
        ("LEASEHOLD__AUDIT__CHECKPOINT_RECORDS", "50".to_owned()),
    ];
    let mut process = Process::with(Cloud::Aws, "info", &small).await;
    let traffic = Traffic::start(&process.endpoint).await;
    eventually(async || (traffic.count() >= 600).then_some(())).await;
    process.signal("KILL");
    process.ended().await;
    let answered = traffic.end().await;

    let journal = process.journal();
    let mut served = BTreeMap::<String, Vec<String>>::new();
    // What was left of the last line is no record of anybody's.
    for line in journal.text().split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let record: Value = serde_json::from_str(line).unwrap();
        if let (Some(id), Some(outcome)) = (record["request_id"].as_str(), record["outcome"].as_str()) {
            served.entry(id.to_owned()).or_default().push(outcome.to_owned());
        }
    }
    for id in &answered {
        assert_eq!(served.get(id).map(Vec::as_slice), Some(&["served".to_owned()][..]), "{id}");
    }
    assert!(journal.files().len() > 2, "over several files");

    live_once(&journal, process.directory.path()).await;
    let report = journal.verify();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(report.unsigned, 0, "{report:?}");
    let started = journal.entries("started");
    assert_eq!(
        started.iter().map(|entry| entry["clean"].as_bool().unwrap()).collect::<Vec<_>>(),
        [true, false]
    );
}

/// Another process goes on with the journal, and ends as it should.
async fn live_once(journal: &Journal, directory: &Path) {
    let (socket, log) = (directory.join("again.sock"), directory.join("again.log"));
    let settings = [
        ("LEASEHOLD__DEPLOYMENT", "e2e".to_owned()),
        ("LEASEHOLD__LISTEN__TCP", "[]".to_owned()),
        ("LEASEHOLD__LISTEN__UNIX", format!("[{socket:?}]")),
        ("LEASEHOLD__AUDIT__DIRECTORY", journal.0.display().to_string()),
        ("LEASEHOLD__MEMORY__DANGER_ALLOW_UNLOCKED", "true".to_owned()),
        ("LEASEHOLD__PROVIDERS__AWS__REGION", "eu-central-1".to_owned()),
    ];
    let mut child = serve(&settings, &log);
    let listens = async || tokio::net::UnixStream::connect(&socket).await.ok();
    eventually(listens).await;
    let pid = child.id().to_string();
    assert!(Command::new("sh").args(["-c", "kill -TERM \"$0\"", &pid]).status().unwrap().success());
    let status = eventually(async || child.try_wait().unwrap()).await;
    assert!(status.success(), "{status}: {}", std::fs::read_to_string(&log).unwrap());
}

// === The command line ===

fn leasehold(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.args(arguments).env_clear().stdin(Stdio::null()).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_one_changed_byte_of_the_journal_is_named_by_the_command() {
    let world = World::start(Cloud::Aws, &["acme"]).await;
    world.generate("acme", "main").await;
    let journal = world.journal();
    let directory = journal.0.display().to_string();
    let key = leasehold(&["audit", "public-key", &format!("{directory}/signing.pem")]);
    let key = String::from_utf8(key.stdout).unwrap();
    let verify = || leasehold(&["--json", "audit", "verify", &directory, "--public-key", key.trim()]);
    world.running.drain().await;
    let intact = verify();
    assert_eq!(intact.status.code(), Some(0), "{intact:?}");

    let file = journal.files().pop().unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    let at = whole.find("GenerateDataKey").unwrap();
    std::fs::write(&file, whole.replacen("GenerateDataKey", "generateDataKey", 1)).unwrap();
    let broken = verify();
    assert_eq!(broken.status.code(), Some(6), "{broken:?}");
    let report: Value = serde_json::from_slice(&broken.stdout).unwrap();
    let line = whole[..at].lines().count();
    let name = file.file_name().unwrap().to_str().unwrap();
    assert_eq!((report["intact"].as_bool(), &report["finding"]["fault"]), (Some(false), &"changed".into()));
    assert_eq!((&report["finding"]["file"], &report["finding"]["line"]), (&name.into(), &line.into()));
    assert_eq!(report["finding"]["sequence"], line);

    let show = leasehold(&["--json", "audit", "show", &directory, "--operation", "ActivateBinding"]);
    let shown: Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!((&shown["tenant"], &shown["outcome"]), (&"acme".into(), &"served".into()));
    let tail = leasehold(&["audit", "tail", &directory, "-n", "1"]);
    assert!(String::from_utf8(tail.stdout).unwrap().contains("checkpoint"));
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_what_was_tampered_with_is_told_by_whatever_reads_the_journal() {
    let world = World::start(Cloud::Aws, &["acme"]).await;
    world.generate("acme", "main").await;
    let journal = world.journal();
    world.running.drain().await;
    let file = journal.files().pop().unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines = whole.lines().count();
    let changed = whole.replacen("GenerateDataKey", "generateDataKey", 1);
    let long = format!("{}\n{whole}", "x".repeat(200_000));
    for (text, told) in [(changed, lines - 1), (long, lines)] {
        std::fs::write(&file, text).unwrap();
        for command in [&["show"][..], &["tail", "-n", "1000"]] {
            for form in [&[][..], &["--json"]] {
                let directory = journal.0.to_str().unwrap();
                let read = leasehold(&[form, &["audit"], command, &[directory]].concat());
                let said = String::from_utf8(read.stderr).unwrap();
                assert_eq!(read.status.code(), Some(6), "{command:?}: {said}");
                assert!(said.contains("a line is left out"), "{command:?}: {said}");
                let shown = String::from_utf8(read.stdout).unwrap();
                assert_eq!(shown.lines().count(), told, "and everything else is shown: {command:?}");
            }
        }
    }
}

// === What cannot be recorded ===

/// Limits how large the files of a process may grow; none for as large as they like.
fn limit_file_size(process: &Process, bytes: Option<u64>) {
    let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
    let (pid, limit) = (process.pid().to_string(), format!("--fsize={limit}:unlimited"));
    assert!(Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap().success());
}

/// Lets the journal of `process` grow by no more than a part of a record.
fn fill(process: &Process) {
    let file = process.journal().files().pop().unwrap();
    limit_file_size(process, Some(std::fs::metadata(file).unwrap().len() + 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn p7_a_full_journal_refuses_service_until_there_is_room_and_says_what_was_lost() {
    let process = Process::start(Cloud::Aws).await;
    let (client, acme, main) = (&process.client, id("acme"), context("main"));
    let made = client.generate_data_key(&acme, KeyLength::B32, &main).await.unwrap().value;
    fill(&process);
    for _ in 0..3 {
        let answer = client.unwrap_key(&acme, &made.wrapped, &main).await;
        refused(answer, Code::Unavailable, ErrorReason::AuditUnavailable);
    }
    limit_file_size(&process, None);
    // It is tried again every second, whether somebody asks or not.
    let again = eventually(async || client.unwrap_key(&acme, &made.wrapped, &main).await.ok()).await;
    assert!(again.value.matches(&made.key));
    let gaps = process.journal().entries("gap");
    let [gap] = &gaps[..] else { panic!("{gaps:?}") };
    assert!(gap["lost_served"].as_u64() >= Some(3) && gap["on_failure"] == "refuse", "{gap}");
    assert!(gap["error"].as_str().unwrap().contains("File too large"), "{gap}");
    assert!(process.journal().verify().is_intact());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_choose_to_serve_unrecorded_and_that_is_recorded() {
    let choice = [("LEASEHOLD__AUDIT__DANGER_SERVE_UNRECORDED", "true".to_owned())];
    let process = Process::with(Cloud::Aws, "info", &choice).await;
    let (client, acme, main) = (&process.client, id("acme"), context("main"));
    fill(&process);
    let made = client.generate_data_key(&acme, KeyLength::B32, &main).await.unwrap().value;
    limit_file_size(&process, None);
    client.unwrap_key(&acme, &made.wrapped, &main).await.unwrap();
    let gaps = process.journal().entries("gap");
    let [gap] = &gaps[..] else { panic!("{gaps:?}") };
    assert!(gap["lost_served"] == 1 && gap["on_failure"] == "danger_serve_unrecorded", "{gap}");
    assert!(process.journal().verify().is_intact());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_written_is_refused_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let (pipe, held) = (directory.path().join("pipe"), directory.path().join("held"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::create_dir(&held).unwrap();
    assert!(Command::new("mkfifo").arg(held.join("audit-000000001.jsonl")).status().unwrap().success());
    let log = directory.path().join("log");
    for place in [pipe.as_path(), held.as_path(), Path::new("/proc/self")] {
        let settings = [
            ("LEASEHOLD__DEPLOYMENT", "e2e".to_owned()),
            ("LEASEHOLD__LISTEN__TCP", "[\"127.0.0.1:0\"]".to_owned()),
            ("LEASEHOLD__MEMORY__DANGER_ALLOW_UNLOCKED", "true".to_owned()),
            ("LEASEHOLD__AUDIT__DIRECTORY", place.display().to_string()),
            ("LEASEHOLD__AUDIT__SIGNING_KEY", directory.path().join("signing.pem").display().to_string()),
            ("LEASEHOLD__PROVIDERS__AWS__REGION", "eu-central-1".to_owned()),
        ];
        let mut child = serve(&settings, &log);
        let status = eventually(async || child.try_wait().unwrap()).await;
        let log = std::fs::read_to_string(&log).unwrap();
        assert_eq!(status.code(), Some(1), "{}: {log}", place.display());
        assert!(log.contains("the audit journal"), "{log}");
    }
}

// === What is recorded ===

#[tokio::test(flavor = "multi_thread")]
async fn p7_requests_that_cannot_be_read_are_recorded() {
    let world = World::start(Cloud::Aws, &["acme"]).await;
    let channel = Channel::from_shared(world.running.endpoints()[0].clone()).unwrap();
    let mut keys = KeyServiceClient::new(channel.connect().await.unwrap());
    let unwrap = |wrapped_key: Vec<u8>, name: &str| v1::UnwrapKeyRequest {
        tenant: "tenants/acme".into(),
        wrapped_key: wrapped_key.into(),
        encryption_context: [(name.to_owned(), "value".to_owned())].into(),
    };
    for (id, message) in [("reserved", unwrap(vec![1], "aws:x")), ("large", unwrap(vec![1; 1_000_000], "x"))]
    {
        let (request, _) = named(message, id.to_owned());
        let status = keys.unwrap_key(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert_eq!(status.metadata().get("x-request-id").unwrap(), id);
    }
    let records = world.journal().entries("decision");
    let told = |id: &str| {
        let record = records.iter().find(|record| record["request_id"] == id).unwrap();
        ["operation", "outcome", "reason", "tenant"].map(|name| record[name].as_str().unwrap_or_default())
    };
    assert_eq!(told("reserved"), ["UnwrapKey", "refused", "INVALID_FIELD", "acme"]);
    assert_eq!(
        told("large"),
        ["UnwrapKey", "refused", "INVALID_FIELD", ""],
        "what is not read names no tenant"
    );
}

/// Under which id the tenant's own log has a call.
fn logged_as(call: &CallRecord) -> String {
    // Google's log has what we say of ourselves, because its answers have no id; Azure's has the client's id alone.
    let said = |name| call.facts.parameters.get(name).map(String::as_str);
    let reason = said("requestReason").and_then(|reason| reason.rsplit(' ').next());
    reason.or(said("correlationId")).unwrap_or(&call.request_id).to_owned()
}

async fn p7_the_journal_and_the_tenants_own_log_are_joined_by_the_clouds_request_ids(cloud: Cloud) {
    let world = World::start(cloud, &["acme"]).await;
    world.forget_calls();
    let skip = world.journal().entries("decision").len();
    let (acme, main) = (id("acme"), context("main"));
    let other = EncryptionContext::try_from_iter([("branch", "other")]).unwrap();
    let client = client_of(&world.running.endpoints()[0], &world.clock);
    let (_, wrapped) = world.generate("acme", "main").await;
    client.generate_data_key_without_plaintext(&acme, KeyLength::B32, &main).await.unwrap();
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    client.rewrap_key(&acme, &wrapped, &main, Some(&other)).await.unwrap();

    let records = world.journal().entries("decision").split_off(skip);
    let of_cloud = |part: &Value| (part["source"] == "cloud").then(|| part["cloud_request_id"].clone());
    let ids = records.iter().flat_map(|record| [of_cloud(record), of_cloud(&record["origin"])]).flatten();
    let mut ids: Vec<_> = ids.map(|id| id.as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert!(ids.len() >= 3, "{records:?}");
    let cached =
        records.iter().filter(|record| record["source"] == "cache" && record["operation"] == "UnwrapKey");
    assert!(cached.count() >= 1, "{records:?}");

    let about = CallQuery { matching: world.estate.about("acme"), ..CallQuery::default() };
    let calls = world.cloud.control().calls(&about);
    for id in &ids {
        let found = calls.iter().filter(|call| logged_as(call) == *id).count();
        assert_eq!(found, 1, "{id} is one call in the tenant's own log");
    }
    let unwraps = cloud.unwraps().operation.unwrap();
    let uses = |call: &&CallRecord| {
        call.facts.operation == unwraps || wraps(cloud).contains(&&*call.facts.operation)
    };
    let unexplained: Vec<_> =
        calls.iter().filter(uses).filter(|call| !ids.contains(&logged_as(call))).collect();
    let proofs = unexplained.iter().filter(|call| call.facts.operation == unwraps).count();
    assert_eq!(unexplained.len(), proofs, "every wrap is some request's: {unexplained:?}");
    assert!(proofs <= world.assumes(), "and every other unwrap is that of a proof: {unexplained:?}");
}

/// What wraps, as the cloud calls it.
fn wraps(cloud: Cloud) -> &'static [&'static str] {
    match cloud {
        Cloud::Aws => &["GenerateDataKey", "GenerateDataKeyWithoutPlaintext", "Encrypt"],
        Cloud::Azure => &["WrapKey"],
        Cloud::Gcp => &["Encrypt"],
    }
}

on_every_cloud!(p7_the_journal_and_the_tenants_own_log_are_joined_by_the_clouds_request_ids);
