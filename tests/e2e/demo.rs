//! The story that the README tells everybody to run first.

use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

/// The story promises to be shorter than this.
const TWO_MINUTES: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_goes_as_expected_and_every_time_is_within_its_bound() {
    let told =
        Command::new(env!("CARGO_BIN_EXE_leasehold")).args(["demo", "--cloud", "aws", "--json"]).output();
    let told = tokio::time::timeout(TWO_MINUTES, told).await.expect("under two minutes").unwrap();
    let text = String::from_utf8(told.stdout).unwrap();
    assert!(told.status.success(), "{text}{}", String::from_utf8_lossy(&told.stderr));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, steps) = lines.split_last().unwrap();
    assert!(steps.iter().all(|step| step["as_expected"] == true), "{text}");
    assert_eq!(end["surprises"], 0);
    let measured = end["measured"].as_array().unwrap();
    assert_eq!(measured.len(), 6, "{text}");
    assert!(measured.iter().all(|m| m["seconds"].as_f64() <= m["bound_seconds"].as_f64()), "{text}");
}
