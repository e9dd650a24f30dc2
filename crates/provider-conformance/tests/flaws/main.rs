//! The suite, tested: it passes a provider that is right and fails one for each thing that it can get wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cloud;
mod model;

use cloud::Cloud;
use leasehold_provider_conformance::{Report, run};
use model::{Flaw, Model};

async fn report(flaw: Option<Flaw>) -> Report {
    let cloud = Cloud::new();
    run(&Model::new(cloud.clone(), flaw), &cloud).await
}

#[tokio::test]
async fn a_provider_that_is_right_passes() {
    let report = report(None).await;
    assert!(report.failures().is_empty(), "{report}");
}

#[tokio::test]
async fn every_check_fails_a_provider_that_breaks_its_promise() {
    let all = report(None).await;
    let mut caught = Vec::new();
    for (flaw, check) in model::FLAWS {
        let report = report(Some(*flaw)).await;
        let failed: Vec<_> = report.failures().iter().map(|failure| failure.check).collect();
        assert!(failed.contains(check), "{flaw:?} was not caught by {check}: {report}");
        caught.push(*check);
    }
    let untested: Vec<_> = all.passed().iter().filter(|check| !caught.contains(check)).collect();
    assert!(untested.is_empty(), "no flaw shows that these can fail: {untested:?}");
}
