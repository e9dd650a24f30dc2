//! Tenants as YAML, there and back.

use leasehold_ids::DeploymentId;
use leasehold_registry::{Existing, Import, ImportError, Imported, MemoryRegistry, RecordError, export};
use leasehold_tenant::{Discontinuity, PageRequest, Registry, Tenant};
use proptest::prelude::*;
use serde_json::Value;

use crate::records::{activated, eventful, id, now, odd_terms, tenant, with_binding};

fn deployment() -> DeploymentId {
    "test".parse().unwrap()
}

/// A tenant with everything that there can be, but a name that the service would take.
fn rich(id: &str) -> Tenant {
    Tenant { display_name: "\u{1f511}: 'yes' # \"no\" \\".into(), ..eventful(id) }
}

async fn registry_of(tenants: &[Tenant]) -> MemoryRegistry {
    let registry = MemoryRegistry::new();
    for tenant in tenants {
        registry.create(tenant.clone()).await.unwrap();
    }
    registry
}

async fn exported(registry: &MemoryRegistry) -> String {
    let mut text = Vec::new();
    export(registry, &deployment(), &mut text).await.unwrap();
    String::from_utf8(text).unwrap()
}

async fn import(registry: &MemoryRegistry, text: &str, existing: Existing) -> Result<Imported, ImportError> {
    Import::plan(registry, &deployment(), text, existing).await?.apply(registry).await
}

async fn all(registry: &MemoryRegistry) -> Vec<Tenant> {
    let page = PageRequest { size: 1000, after: None, show_deleted: true };
    registry.list(page).await.unwrap().tenants.iter().map(|tenant| Tenant::clone(tenant)).collect()
}

fn records(result: Result<Imported, ImportError>) -> Vec<RecordError> {
    match result {
        Err(ImportError::Records(errors)) => errors,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn p5_a_lost_registry_is_rebuilt_from_its_export() {
    let tenants = [activated(with_binding(tenant("a"), "main"), "main"), tenant("plain"), rich("rich")];
    let text = exported(&registry_of(&tenants).await).await;
    let rebuilt = MemoryRegistry::new();
    let imported = import(&rebuilt, &text, Existing::Refuse).await.unwrap();
    assert_eq!(imported, Imported { created: 3, ..Imported::default() });
    assert_eq!(all(&rebuilt).await, tenants);
    assert_eq!(exported(&rebuilt).await, text, "byte for byte");
    let again = import(&rebuilt, &text, Existing::Refuse).await.unwrap();
    assert_eq!(again, Imported { unchanged: 3, ..Imported::default() });
}

#[tokio::test]
async fn an_export_of_more_than_a_page_has_everybody() {
    let tenants: Vec<_> = (0..=PageRequest::MAX_SIZE).map(|n| tenant(&format!("t{n:05}"))).collect();
    let text = exported(&registry_of(&tenants).await).await;
    let rebuilt = MemoryRegistry::new();
    assert_eq!(import(&rebuilt, &text, Existing::Refuse).await.unwrap().created, tenants.len());
}

/// A published file: what a release wrote once, later ones read.
#[tokio::test]
async fn the_form_of_the_file_stays() {
    let text = exported(&registry_of(&[activated(with_binding(tenant("acme"), "main"), "main")]).await).await;
    assert_eq!(text, include_str!("exported.yaml"));
}

fn arbitrary_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        proptest::num::f64::NORMAL.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[-0-9.eE+_:~ xo]{0,6}".prop_map(Value::from),
        "(yes|no|on|off|null|true|False|~|\\.nan|\\.inf|---|\\.\\.\\.|\\*a|&a|!t|%d|<<|=|2026-01-31)"
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_people_and_providers_write_comes_back(
        name in "[^\\p{Cc}]{0,128}",
        key in any::<String>(),
        value in arbitrary_value(),
        context in "[^\\p{Cc}]{1,64}",
    ) {
        let mut before = activated(with_binding(tenant("acme"), "main"), "main");
        before.display_name = name;
        let binding = before.bindings.get_mut(&"main".parse().unwrap()).unwrap();
        binding.settings.0.insert(key, value);
        binding.canary_context = [("x".to_owned(), context)].into_iter()
            .collect::<std::collections::BTreeMap<_, _>>().try_into().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let text = exported(&registry_of(std::slice::from_ref(&before)).await).await;
            let rebuilt = MemoryRegistry::new();
            import(&rebuilt, &text, Existing::Refuse).await.unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(all(&rebuilt).await, [before], "{text}");
        });
    }

    #[test]
    fn whatever_is_imported_gives_tenants_or_an_error(text in "(leasehold_registry: 1\ndeployment: test\n)?[-a-z: \n#&*|>{}\\[\\]\"']{0,200}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _ = runtime.block_on(import(&MemoryRegistry::new(), &text, Existing::Refuse));
    }
}

#[tokio::test]
async fn what_is_there_and_different_is_overwritten_only_on_request() {
    let before = activated(with_binding(tenant("acme"), "main"), "main");
    let text = exported(&registry_of(&[before.clone(), tenant("new")]).await).await;
    let changed = before.clone().updated_to("since".into(), odd_terms(), now()).unwrap();
    let changed = changed.with_retired(&"main".parse().unwrap(), now()).unwrap();
    let registry = registry_of(std::slice::from_ref(&changed)).await;

    let refused = import(&registry, &text, Existing::Refuse).await.unwrap_err();
    assert!(
        matches!(refused, ImportError::WouldOverwrite(ref tenants) if *tenants == [id("acme")]),
        "{refused}"
    );
    assert_eq!(all(&registry).await, std::slice::from_ref(&changed), "nothing of the file is imported");

    let imported = import(&registry, &text, Existing::Overwrite).await.unwrap();
    assert_eq!(imported, Imported { created: 1, overwritten: 1, unchanged: 0 });
    let after = Tenant::clone(&*registry.tenant(&id("acme")).await.unwrap());
    assert_eq!(after.check_follows(&changed), Ok(()), "leases and watchers see that it changed");
    assert_eq!((after.display_name.as_str(), after.terms), (before.display_name.as_str(), before.terms));
    let (main, was) =
        (&after.bindings[&"main".parse().unwrap()], &changed.bindings[&"main".parse().unwrap()]);
    assert!(main.version > was.version && main.state == before.bindings[&"main".parse().unwrap()].state);
    let again = import(&registry, &text, Existing::Overwrite).await.unwrap();
    assert_eq!(again, Imported { unchanged: 2, ..Imported::default() }, "once is enough");
}

#[tokio::test]
async fn p5_an_import_never_takes_a_binding_away() {
    let before = with_binding(tenant("acme"), "first");
    let text = exported(&registry_of(std::slice::from_ref(&before)).await).await;
    let registry = registry_of(&[with_binding(before, "second")]).await;
    let refused = import(&registry, &text, Existing::Overwrite).await.unwrap_err();
    let lost = Discontinuity::LostBinding("second".parse().unwrap());
    assert!(
        matches!(refused, ImportError::Unfollowing(ref acme, ref why) if *acme == id("acme") && *why == lost)
    );
}

#[tokio::test]
async fn p6_an_export_is_of_use_to_its_deployment_alone() {
    let text = exported(&registry_of(&[tenant("acme")]).await).await;
    let other = "other".parse().unwrap();
    let refused = Import::plan(&MemoryRegistry::new(), &other, &text, Existing::Refuse).await;
    assert!(matches!(refused, Err(ImportError::OtherDeployment { .. })));
}

#[tokio::test]
async fn every_bad_record_is_named_by_line_and_field() {
    let good = include_str!("exported.yaml");
    let line = |of: &str| 1 + good.lines().position(|line| line.trim_start().starts_with(of)).unwrap() as u64;
    let record = line("tenant: acme");
    let issued = good.lines().find_map(|line| line.trim().strip_prefix("external_id: ")).unwrap();
    for (was, is, at, field, says) in [
        ("tenant: acme", "tenant: Acme", record, "tenant", "tenant id"),
        ("tenant: acme", "tenant: leasehold-x", record, "tenant", "reserved"),
        ("revision: 3", "revision: three", line("revision:"), "revision", ""),
        ("revision: 3", "revision: 0", record, "revision", "begin with 1"),
        ("revision: 3", "revision: 9007199254740993", record, "revision", "end with"),
        ("version: 2", "version: 9223372036854775808", record, "bindings.main.version", "end with"),
        ("created: \"2026", "created: \"2500", record, "created", "out of range"),
        ("    created: \"2026", "    created: \"1500", record, "bindings.main.created", "out of range"),
        ("hierarchy: direct", "hierarchy: kek", record, "bindings.main.hierarchy", "direct"),
        ("revision: 3\n", "", record, "", "revision"),
        ("revision: 3", "revision: 3\nrevison: 3", line("revision:") + 1, "revison", "revison"),
        ("revision: 3", "revision: 3\nrevision: 3", line("revision:") + 1, "", "duplicate"),
        (
            "revocation_bound: 5m",
            "revocation_bound: soon",
            line("revocation_bound:"),
            "lease_terms.revocation_bound",
            "5m or 15s",
        ),
        (
            "revocation_bound: 5m",
            "revocation_bound: 5s",
            record,
            "lease_terms.revocation_bound",
            "15 s to 1 h",
        ),
        (
            "state: ACTIVE\n    version",
            "state: GONE\n    version",
            line("main:") + 1,
            "bindings.main.state",
            "GONE",
        ),
        (
            "state: ACTIVE\n    version",
            "state: PENDING\n    version",
            record,
            "bindings.main.canary",
            "PENDING",
        ),
        (issued, "lh-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", record, "bindings.main.external_id", issued),
        ("provider: aws", "provider: AWS", line("provider:"), "bindings.main.provider", "provider"),
        ("canary: ", "canary: AAAA", record, "bindings.main.canary", "no envelope"),
        ("canary: ", "canary: ?", line("canary: "), "bindings.main.canary", ""),
        ("bindings:", "bindings: [", line("bindings:"), "bindings", ""),
    ] {
        assert!(good.contains(was), "{was}");
        let registry = MemoryRegistry::new();
        let errors = records(import(&registry, &good.replacen(was, is, 1), Existing::Refuse).await);
        let [error] = &errors[..] else { panic!("{is}: {errors:?}") };
        assert!(error.field == field && error.what.contains(says), "{is}: {error}");
        assert!(error.line == at || field.is_empty(), "{is}: {error}, not in {at}");
        assert!(all(&registry).await.is_empty(), "{is}");
    }
}

#[tokio::test]
async fn errors_are_told_together_and_nothing_is_imported() {
    let tenants: Vec<_> = (0..50).map(|n| tenant(&format!("t{n}"))).collect();
    let text = exported(&registry_of(&tenants).await).await;
    let registry = MemoryRegistry::new();
    let bad = text.replace("cache: \"on\"", "cache: sometimes");
    let errors = records(import(&registry, &bad, Existing::Refuse).await);
    assert_eq!(errors.len(), 20);
    assert!(errors.windows(2).all(|pair| pair[0].line < pair[1].line));
    let twice = format!("{text}{}", &text[text.find("---").unwrap()..]);
    let errors = records(import(&registry, &twice, Existing::Refuse).await);
    assert!(errors[0].to_string().contains("comes a second time"), "{}", errors[0]);
    assert!(all(&registry).await.is_empty());
}

#[tokio::test]
async fn what_is_no_export_is_refused() {
    for (text, says) in [
        ("", "leasehold_registry"),
        ("hello", ""),
        ("deployment: test", "leasehold_registry"),
        ("leasehold_registry: 2\ndeployment: test", "form 1"),
        ("\u{feff}%YAML", ""),
    ] {
        let errors = records(import(&MemoryRegistry::new(), text, Existing::Refuse).await);
        assert!(errors.len() == 1 && errors[0].to_string().contains(says), "{text}: {errors:?}");
    }
}
