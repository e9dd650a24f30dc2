//! Files of tenants that an operator imports.

#![no_main]

use std::sync::LazyLock;

use leasehold_ids::DeploymentId;
use leasehold_registry::{Existing, Import, Imported, MemoryRegistry, export};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime without a driver needs nothing")
});

static DEPLOYMENT: LazyLock<DeploymentId> = LazyLock::new(|| "test".parse().expect("a DNS label"));

fuzz_target!(|text: &str| {
    RUNTIME.block_on(async {
        let registry = MemoryRegistry::new();
        let Ok(plan) = Import::plan(&registry, &DEPLOYMENT, text, Existing::Refuse).await else { return };
        let created = plan.summary().created;
        plan.apply(&registry).await.expect("what was planned can be done");

        // What was read can be written, and read again for the same, to the byte.
        let exported = exported(&registry).await;
        let again = Import::plan(&registry, &DEPLOYMENT, &exported, Existing::Refuse).await;
        let unchanged = Imported { unchanged: created, ..Imported::default() };
        assert_eq!(again.expect("an export can be imported").summary(), unchanged);
        let rebuilt = MemoryRegistry::new();
        let plan = Import::plan(&rebuilt, &DEPLOYMENT, &exported, Existing::Refuse).await;
        plan.expect("an export can be imported").apply(&rebuilt).await.expect("the registry is empty");
        assert_eq!(self::exported(&rebuilt).await, exported);
    });
});

async fn exported(registry: &MemoryRegistry) -> String {
    let mut text = Vec::new();
    export(registry, &DEPLOYMENT, &mut text).await.expect("every record has a form");
    String::from_utf8(text).expect("YAML is text")
}
