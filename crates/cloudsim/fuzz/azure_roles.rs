//! Role assignments of Azure and, after a line of `%%`, role definitions, as Azure Resource Manager has them.

#![no_main]

use std::sync::LazyLock;

use leasehold_cloudsim::azure::scenario::{Scenario, ScenarioSpec};
use leasehold_cloudsim::{AzureControl, Config, Simulator};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::Runtime;

/// What inputs write for ids that are made anew with every world.
const SCOPE: &str = "{scope}";
const PRINCIPAL: &str = "{principal}";

static WORLD: LazyLock<World> = LazyLock::new(World::start);

fuzz_target!(|text: &str| {
    let text = text.replace(SCOPE, &WORLD.scenario.tenants[0].key_scope).replace(PRINCIPAL, &WORLD.principal);
    let (assignment, definition) = text.split_once("\n%%\n").unwrap_or((&text, ""));
    if let Ok(definition) = serde_json::from_str::<Value>(definition) {
        let _ = WORLD.control.put_role_definition(&definition);
    }
    let Ok(assignment) = serde_json::from_str::<Value>(assignment) else { return };
    let Ok(name) = WORLD.control.put_role_assignment(&assignment) else { return };
    assert!(WORLD.control.put_role_assignment(&assignment).is_err(), "the same role is assigned twice");
    WORLD.control.delete_role_assignment(&name).expect("it was put there");
    assert!(WORLD.control.delete_role_assignment(&name).is_err(), "it was taken away");
});

struct World {
    _runtime: Runtime,
    _simulator: Simulator,
    control: AzureControl,
    scenario: Scenario,
    principal: String,
}

impl World {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be made");
        let config =
            Config { log_capacity: 64, ..Config::ephemeral("eu-central-1".parse().expect("a region")) };
        let simulator = runtime.block_on(Simulator::start(config)).expect("loopback has free ports");
        let control = simulator.control().azure();
        let spec = ScenarioSpec::with_tenants(&["acme"]).expect("a name");
        let scenario = control.build(&spec).expect("the world is empty");
        let tenant = &scenario.tenants[0];
        let principal = control.consent(&tenant.directory, &tenant.app).expect("the application is there");
        let principal = principal.to_string();
        Self { _runtime: runtime, _simulator: simulator, control, scenario, principal }
    }
}
