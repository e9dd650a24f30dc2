//! The suite that every provider runs, with each way of showing who we are.

use leasehold_provider_azure::Identity;
use leasehold_provider_conformance::run;

use crate::levers::{Levers, Shown};
use crate::world::World;

async fn conforms(shown: Shown) {
    let world = World::start().await;
    let identity = match shown {
        Shown::Secret => world.secret(),
        Shown::Certificate => {
            world.certify();
            world.certificate()
        }
        Shown::ManagedIdentity => Identity::ManagedIdentity { client_id: None },
    };
    let provider = world.provider_as(identity).await;
    let levers = Levers::new(world, &provider, shown).await;
    let report = run(&provider, &levers).await;
    assert!(report.failures().is_empty(), "{report}");
    assert!(report.passed().len() > 30, "{report}");
}

#[tokio::test]
async fn azure_conforms_with_a_client_secret() {
    conforms(Shown::Secret).await;
}

#[tokio::test]
async fn azure_conforms_with_a_certificate() {
    conforms(Shown::Certificate).await;
}

#[tokio::test]
async fn azure_conforms_with_a_managed_identity() {
    conforms(Shown::ManagedIdentity).await;
}
