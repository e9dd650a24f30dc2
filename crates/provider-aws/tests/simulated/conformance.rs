//! The suite that every provider runs, with one role and with a chain of three.

use leasehold_provider_conformance::run;
use serde_json::{Value, json};

use crate::levers::Levers;
use crate::world::World;

async fn conforms(extra: Value) {
    let world = World::start().await;
    let provider = world.provider().await;
    let levers = Levers::new(world, &provider, &extra).await;
    let report = run(&provider, &levers).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.passed().len() > 20, "{report}");
}

#[tokio::test]
async fn aws_conforms() {
    conforms(json!({})).await;
}

#[tokio::test]
async fn aws_conforms_through_a_chain_of_three_with_tags_and_source_identity() {
    conforms(json!({
        "chain": [
            { "role_arn": "arn:aws:iam::300000000001:role/first", "external_id": "id-of-the-first" },
            { "role_arn": "arn:aws:iam::300000000002:role/second", "external_id": "id-of-the-second" },
        ],
        "session_tags": { "service": "leasehold", "stage": "test" },
        "transitive_tag_keys": ["stage"],
        "source_identity": "leasehold-test",
    }))
    .await;
}
