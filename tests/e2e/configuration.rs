//! The configuration as operators see it: checked without a server, and taken over by one that runs.

use std::path::Path;
use std::process::Command;

use leasehold_api::v1::ErrorReason;
use leasehold_client::{Client, ClientError};
use tonic::Code;

use crate::cloud::Cloud;
use crate::served::Process;
use crate::world::{context, eventually, id, refused};

/// Checks a configuration: whether it can be used, and what was printed.
fn check(directory: &Path, toml: &str) -> (bool, String) {
    let file = directory.join("leasehold.toml");
    std::fs::write(&file, toml).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    let ran = command.args(["config", "check", "--config"]).arg(&file).env_clear().output().unwrap();
    let printed = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8(printed).unwrap())
}

#[test]
fn a_configuration_is_checked_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    const CLOUD: &str = "deployment = 'prod'\n[providers.aws]\nregion = 'eu-central-1'\n";
    let (usable, report) = check(directory.path(), CLOUD);
    assert!(usable, "{report}");
    for told in [
        "4096 x two keys of 64 bytes = 512 KiB of the arena's 1 MiB",
        "25200 bindings in use",
        "no sentinels",
    ] {
        assert!(report.contains(told), "{told} is not in {report}");
    }
    let missing = "[listen.tls]\naddresses = ['127.0.0.1:0']\ncertificate_file = 'none.crt'\nkey_file = 'none.key'\n\
                   authorities = [{ ca_file = 'none.pem', vouches_for = 'dns' }]\n";
    for (wrong, named) in [
        ("deployment = 'prod'\n".to_owned(), "[providers.aws]"),
        (format!("{CLOUD}[limits]\ncall = 1\n"), "call"),
        (format!("{CLOUD}{missing}"), "none.crt"),
        (format!("{CLOUD}[log]\nfilter = '=='\n"), "filter"),
    ] {
        let (usable, report) = check(directory.path(), &wrong);
        assert!(!usable && report.contains(named), "{named} is not in {report}");
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
