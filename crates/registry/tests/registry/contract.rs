//! What every registry promises. Each function is handed an empty one; [`on_every_registry`] makes them tests.

use std::sync::Arc;

use leasehold_tenant::{
    Change, Discontinuity, HISTORY_PAGE, LeaseTerms, PageRequest, Registry, RegistryError,
};

use crate::records::{activated, eventful, id, ids, now, tenant, with_binding};

/// Makes tests of the contract for the registry that `$empty` gives, together with what it needs to live on.
macro_rules! on_every_registry {
    ($empty:expr) => {
        $crate::contract::on_every_registry! { $empty =>
            ids_are_never_given_out_twice
            what_is_kept_is_what_is_read
            a_record_that_changed_in_between_is_not_overwritten
            of_many_changes_at_once_one_wins_each_revision
            p1_a_record_that_does_not_follow_is_refused
            p5_a_deleted_tenant_is_kept_and_taken_back
            what_was_is_never_forgotten
            a_long_history_comes_in_pages
            a_change_can_be_read_by_the_time_that_it_is_announced
            what_was_refused_is_not_announced
            pages_follow_one_another_without_gaps
            pages_have_a_bound
            pages_stay_in_order_while_tenants_come_and_go
        }
    };
    ($empty:expr => $($promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let (registry, _alive) = $empty.await;
                $crate::contract::$promise(&registry).await;
            }
        )*
    };
}
pub(crate) use on_every_registry;

async fn keep(registry: &impl Registry, names: &[&str]) {
    for name in names {
        registry.create(tenant(name)).await.unwrap();
    }
}

fn request(size: usize, after: Option<&str>) -> PageRequest {
    PageRequest { size, after: after.map(id), show_deleted: false }
}

pub(crate) async fn ids_are_never_given_out_twice(registry: &impl Registry) {
    keep(registry, &["acme"]).await;
    assert!(
        matches!(registry.create(tenant("acme")).await, Err(RegistryError::Exists(taken)) if taken == id("acme"))
    );
    registry.replace(tenant("acme").deleted(now()).unwrap(), 1).await.unwrap();
    assert!(matches!(registry.create(tenant("acme")).await, Err(RegistryError::Exists(_))));
    assert!(registry.tenant(&id("acme")).await.unwrap().deleted.is_some());
}

pub(crate) async fn what_is_kept_is_what_is_read(registry: &impl Registry) {
    for kept in [tenant("plain"), eventful("eventful"), activated(with_binding(tenant("a"), "main"), "main")]
    {
        registry.create(kept.clone()).await.unwrap();
        assert_eq!(*registry.tenant(&kept.id).await.unwrap(), kept);
    }
    let page = PageRequest { show_deleted: true, ..request(10, None) };
    let listed = registry.list(page).await.unwrap();
    assert_eq!(ids(&listed), ["a", "eventful", "plain"]);
    assert_eq!(*listed.tenants[1], eventful("eventful"));
    let absent = registry.tenant(&id("absent")).await;
    assert!(matches!(absent, Err(RegistryError::NotFound(absent)) if absent == id("absent")));
}

pub(crate) async fn a_record_that_changed_in_between_is_not_overwritten(registry: &impl Registry) {
    keep(registry, &["acme"]).await;
    let mine = tenant("acme").suspended(now()).unwrap();
    let theirs = tenant("acme").updated_to("theirs".into(), LeaseTerms::default(), now()).unwrap();
    registry.replace(theirs.clone(), 1).await.unwrap();
    assert!(matches!(registry.replace(mine.clone(), 1).await, Err(RegistryError::Conflict(_))));
    assert!(matches!(registry.replace(mine, 7).await, Err(RegistryError::Conflict(_))));
    assert_eq!(*registry.tenant(&id("acme")).await.unwrap(), theirs);
    assert!(matches!(registry.replace(tenant("other"), 1).await, Err(RegistryError::NotFound(_))));
}

pub(crate) async fn of_many_changes_at_once_one_wins_each_revision(registry: &(impl Registry + Clone)) {
    keep(registry, &["acme"]).await;
    let rivals: Vec<_> = (0..8)
        .map(|rival| {
            let registry = registry.clone();
            tokio::spawn(async move {
                let mut won = Vec::new();
                for _ in 0..8 {
                    let before = registry.tenant(&id("acme")).await.unwrap();
                    let name = format!("rival {rival} at {}", before.revision);
                    let after =
                        before.as_ref().clone().updated_to(name.clone(), before.terms, now()).unwrap();
                    match registry.replace(after, before.revision).await {
                        Ok(()) => won.push(name),
                        Err(RegistryError::Conflict(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                won
            })
        })
        .collect();
    let mut won = Vec::new();
    for rival in rivals {
        won.extend(rival.await.unwrap());
    }
    let history = registry.history(&id("acme"), 1).await.unwrap();
    let mut kept: Vec<_> = history.iter().map(|tenant| tenant.display_name.clone()).collect();
    kept.sort();
    won.sort();
    assert_eq!(kept, won, "whoever was told so won, and nobody else did");
}

pub(crate) async fn p1_a_record_that_does_not_follow_is_refused(registry: &impl Registry) {
    let before = activated(with_binding(tenant("acme"), "main"), "main");
    registry.create(before.clone()).await.unwrap();
    let mut same_revision = before.clone().suspended(now()).unwrap();
    same_revision.revision = before.revision;
    let mut no_binding = before.clone().suspended(now()).unwrap();
    no_binding.bindings.clear();
    let mut same_version = before.clone().suspended(now()).unwrap();
    same_version.bindings.get_mut(&"main".parse().unwrap()).unwrap().canary = None;
    for (bad, why) in [
        (same_revision, Discontinuity::Revision { new: before.revision, old: before.revision }),
        (no_binding, Discontinuity::LostBinding("main".parse().unwrap())),
        (same_version, Discontinuity::BindingVersion("main".parse().unwrap())),
    ] {
        let refused = registry.replace(bad, before.revision).await;
        assert!(matches!(refused, Err(RegistryError::Unfollowing(_, told)) if told == why));
        assert_eq!(*registry.tenant(&id("acme")).await.unwrap(), before, "nothing is left behind");
        assert_eq!(registry.history(&id("acme"), 0).await.unwrap().len(), 1);
    }
}

pub(crate) async fn p5_a_deleted_tenant_is_kept_and_taken_back(registry: &impl Registry) {
    let before = activated(with_binding(tenant("acme"), "main"), "main");
    registry.create(before.clone()).await.unwrap();
    let deleted = before.clone().deleted(now()).unwrap();
    registry.replace(deleted.clone(), before.revision).await.unwrap();
    assert!(registry.list(request(10, None)).await.unwrap().tenants.is_empty());
    let shown = registry.list(PageRequest { show_deleted: true, ..request(10, None) }).await.unwrap();
    assert_eq!(*shown.tenants[0], deleted);
    let back = deleted.clone().undeleted(now()).unwrap();
    registry.replace(back.clone(), deleted.revision).await.unwrap();
    assert_eq!(*registry.list(request(10, None)).await.unwrap().tenants[0], back);
    assert_eq!(back.bindings, before.bindings);
}

pub(crate) async fn what_was_is_never_forgotten(registry: &impl Registry) {
    let mut was = vec![tenant("acme")];
    for change in [
        |t| with_binding(t, "first"),
        |t| activated(t, "first"),
        |t| with_binding(t, "second"),
        |t| activated(t, "second"),
        |t: leasehold_tenant::Tenant| t.with_retired(&"first".parse().unwrap(), now()).unwrap(),
        |t: leasehold_tenant::Tenant| t.deleted(now()).unwrap(),
        |t: leasehold_tenant::Tenant| t.undeleted(now()).unwrap(),
    ] {
        let before = was.last().unwrap().clone();
        was.push(change(before));
    }
    registry.create(was[0].clone()).await.unwrap();
    for pair in was.windows(2) {
        registry.replace(pair[1].clone(), pair[0].revision).await.unwrap();
    }
    keep(registry, &["acm", "acme2"]).await;
    let history = registry.history(&id("acme"), 0).await.unwrap();
    assert_eq!(history.iter().map(|tenant| tenant.as_ref().clone()).collect::<Vec<_>>(), was);
    let later = registry.history(&id("acme"), was[5].revision).await.unwrap();
    assert_eq!(later.iter().map(|tenant| tenant.as_ref().clone()).collect::<Vec<_>>(), was[6..]);
    assert!(registry.history(&id("acme"), u64::MAX).await.unwrap().is_empty());
    assert!(registry.history(&id("never"), 0).await.unwrap().is_empty());
}

pub(crate) async fn a_long_history_comes_in_pages(registry: &impl Registry) {
    keep(registry, &["acme"]).await;
    let mut record = tenant("acme");
    for _ in 0..HISTORY_PAGE {
        let expected = record.revision;
        record = record.resumed(now()).unwrap();
        registry.replace(record.clone(), expected).await.unwrap();
    }
    let revisions =
        |page: &[Arc<leasehold_tenant::Tenant>]| page.iter().map(|t| t.revision).collect::<Vec<_>>();
    let first = registry.history(&id("acme"), 0).await.unwrap();
    assert_eq!(revisions(&first), (1..=HISTORY_PAGE as u64).collect::<Vec<_>>());
    let second = registry.history(&id("acme"), HISTORY_PAGE as u64).await.unwrap();
    assert_eq!(revisions(&second), [HISTORY_PAGE as u64 + 1]);
}

pub(crate) async fn a_change_can_be_read_by_the_time_that_it_is_announced(registry: &impl Registry) {
    let mut changes = registry.changes();
    keep(registry, &["acme"]).await;
    assert_eq!(changes.recv().await, Ok(Change::Tenant(id("acme"))));
    registry.replace(tenant("acme").suspended(now()).unwrap(), 1).await.unwrap();
    assert_eq!(changes.recv().await, Ok(Change::Tenant(id("acme"))));
    assert_eq!(registry.tenant(&id("acme")).await.unwrap().revision, 2);
}

pub(crate) async fn what_was_refused_is_not_announced(registry: &impl Registry) {
    keep(registry, &["a"]).await;
    let mut changes = registry.changes();
    keep(registry, &["b"]).await;
    assert!(registry.create(tenant("a")).await.is_err());
    assert!(registry.replace(tenant("a").suspended(now()).unwrap(), 2).await.is_err());
    keep(registry, &["c"]).await;
    // Of `a` there may be the announcement from before.
    let mut told = Vec::new();
    while told.last() != Some(&Change::Tenant(id("c"))) {
        told.push(changes.recv().await.unwrap());
    }
    told.dedup_by(|change, _| *change == Change::Tenant(id("a")));
    assert_eq!(told[told.len() - 2..], [Change::Tenant(id("b")), Change::Tenant(id("c"))]);
}

pub(crate) async fn pages_follow_one_another_without_gaps(registry: &impl Registry) {
    // Hyphens and digits come before letters, whatever a database thinks of it.
    keep(registry, &["d", "b", "a-b", "a", "ab", "a1", "c"]).await;
    let page = async |size, after| {
        let page = registry.list(request(size, after)).await.unwrap();
        (ids(&page).join(" "), page.next.is_some())
    };
    assert_eq!(page(3, None).await, ("a a-b a1".into(), true));
    assert_eq!(page(2, Some("a1")).await, ("ab b".into(), true));
    assert_eq!(page(2, Some("b")).await, ("c d".into(), false));
    assert_eq!(page(2, Some("bb")).await, ("c d".into(), false), "the last one need not exist");
    assert_eq!(page(2, Some("d")).await, (String::new(), false));
    registry.replace(tenant("c").deleted(now()).unwrap(), 1).await.unwrap();
    assert_eq!(page(3, Some("ab")).await, ("b d".into(), false), "deleted ones are not listed");
    assert_eq!(page(1, Some("b")).await, ("d".into(), false), "nor counted");
}

pub(crate) async fn pages_have_a_bound(registry: &impl Registry) {
    keep(registry, &["a", "b"]).await;
    for (size, listed) in [(0, 1), (1, 1), (2, 2), (usize::MAX, 2)] {
        assert_eq!(registry.list(request(size, None)).await.unwrap().tenants.len(), listed, "{size}");
    }
}

pub(crate) async fn pages_stay_in_order_while_tenants_come_and_go(registry: &impl Registry) {
    keep(registry, &["b", "d", "f"]).await;
    let first = registry.list(request(2, None)).await.unwrap();
    assert_eq!(ids(&first), ["b", "d"]);
    keep(registry, &["a", "c", "e"]).await;
    registry.replace(tenant("d").deleted(now()).unwrap(), 1).await.unwrap();
    let second = registry.list(request(2, Some("d"))).await.unwrap();
    assert_eq!(ids(&second), ["e", "f"], "none twice, none left out that was there all along");
}
