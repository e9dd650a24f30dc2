//! Promises P7 and P8: every decision is recorded, and no record holds a secret.

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER};
use leasehold_audit::{AnswerSource, OnFailure, Outcome};
use leasehold_authz::Operation;
use leasehold_envelope::EncryptionContext;
use leasehold_lease::LeaseError;
use leasehold_service::{ChangeOptions, Mode, Paging, ServiceError, TenantChange};
use leasehold_tenant::LoggableContext;

use crate::isolation::try_everything;
use crate::world::{LENGTH, World, context, root, seconds, tenant};

#[tokio::test]
async fn p7_what_cannot_be_recorded_is_refused() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    let before = world.registry.record("acme").await;
    world.audit.break_down();
    let unwrapped = world.unwrap("acme", &wrapped).await;
    assert!(matches!(unwrapped, Err(ServiceError::AuditUnavailable(_))), "{unwrapped:?}");
    for (operation, result) in try_everything(&world, &root(), &tenant("acme")).await {
        let error = result.unwrap_err();
        // These would have been refused anyway, and are.
        let refused_anyway = match operation {
            Operation::UnwrapKey | Operation::RewrapKey => {
                matches!(error, ServiceError::MalformedEnvelope(_))
            }
            Operation::CreateTenant => matches!(error, ServiceError::TenantExists(_)),
            Operation::ActivateBinding | Operation::UndeleteTenant => {
                matches!(error, ServiceError::Change(_))
            }
            _ => false,
        };
        assert!(
            refused_anyway || matches!(error, ServiceError::AuditUnavailable(_)),
            "{operation}: {error:?}"
        );
    }
    let listing = world.service.list_tenants(&root(), &Paging::default(), true).await;
    assert!(matches!(listing, Err(ServiceError::AuditUnavailable(_))));
    assert_eq!(world.registry.record("acme").await, before, "nothing was changed");
    world.audit.mend();
    assert_eq!(world.unwrap("acme", &wrapped).await.unwrap(), [7; 32], "and service resumes");
}

#[tokio::test]
async fn an_operator_may_choose_to_serve_unrecorded() {
    let world = World::with(|s| s.on_audit_failure = OnFailure::DangerServeUnrecorded);
    world.create_tenant("acme").await;
    world.audit.break_down();
    assert!(world.service.get_tenant(&root(), &tenant("acme")).await.is_ok());
}

#[tokio::test]
async fn p7_a_record_says_who_did_what_with_which_key_and_by_whose_leave() {
    let world = World::with_acme().await;
    let wrapped = world.wrap("acme", &[7; 32]).await;
    let skip = world.audit.records().len();
    world.unwrap("acme", &wrapped).await.unwrap();
    world.clock.advance(seconds(3)).await;
    world.unwrap("acme", &wrapped).await.unwrap();
    let [cold, warm] = &world.audit.records()[skip..] else { panic!("two records") };
    for record in [cold, warm] {
        assert_eq!((&*record.caller, &*record.request_id), ("unix:uid=0,gid=1", "request-1"));
        assert_eq!((&*record.operation, record.outcome), ("UnwrapKey", Outcome::Served));
        assert_eq!(record.rule.as_deref(), Some("root"));
        assert_eq!(record.tenant, Some(tenant("acme")));
        assert_eq!(record.binding.as_ref().unwrap().as_str(), "main");
        assert_eq!(record.key_id.as_deref(), Some("key-1"));
        assert_eq!(record.context_digest.as_deref(), Some(&*context().commitment().to_string()));
        assert_eq!(record.cloud_request_id.as_deref(), Some("cloud-request-1"));
    }
    assert_eq!((cold.source, warm.source), (Some(AnswerSource::Cloud), Some(AnswerSource::Cache)));
    assert_eq!((cold.proof_age_ms, warm.proof_age_ms), (Some(0), Some(3000)));
    assert_eq!(warm.time.duration_since(cold.time).unwrap(), seconds(3));
}

#[tokio::test]
async fn p7_refusals_say_what_the_cloud_said() {
    let world = World::with_acme().await;
    world.cloud.deny_trust(true);
    let skip = world.audit.records().len();
    let denied = world.service.generate_data_key(&root(), &tenant("acme"), LENGTH, &context()).await;
    assert!(matches!(denied, Err(ServiceError::Lease(LeaseError::Denied(_)))), "{denied:?}");
    let [record] = &world.audit.records()[skip..] else { panic!("one record") };
    assert_eq!((record.outcome, record.reason.as_deref()), (Outcome::Refused, Some("BINDING_DENIED")));
    assert_eq!(record.cloud_code.as_deref(), Some(crate::cloud::DENIED_CODE));
    assert_eq!(record.cloud_request_id.as_deref(), Some("cloud-request-1"));
}

#[tokio::test]
async fn p7_an_answer_withheld_at_the_last_check_is_recorded_as_such() {
    let world = World::with_acme().await;
    let served = world.service.generate_data_key(&root(), &tenant("acme"), LENGTH, &context()).await.unwrap();
    world.suspend("acme").await;
    let skip = world.audit.records().len();
    let error = served.release().await.map(drop).unwrap_err();
    assert_eq!(error.reason(), "LEASE_ENDED", "{error:?}");
    let operation = || "GenerateDataKey".to_owned();
    let expected = [
        (operation(), Outcome::Served, None),
        (operation(), Outcome::Withheld, Some("LEASE_ENDED".to_owned())),
    ];
    assert_eq!(world.outcomes(skip), expected);
}

#[tokio::test]
async fn p7_a_caller_who_goes_away_leaves_a_record() {
    let world = World::with_acme().await;
    let skip = world.audit.records().len();
    drop(world.service.generate_data_key(&root(), &tenant("acme"), LENGTH, &context()).await.unwrap());
    world.cloud.pause();
    let service = world.service.clone();
    let waiting = tokio::spawn(async move {
        service.generate_data_key(&root(), &tenant("acme"), LENGTH, &context()).await.map(drop)
    });
    world.clock.settle().await;
    waiting.abort();
    world.clock.settle().await;
    let abandoned = || ("GenerateDataKey".to_owned(), Outcome::Abandoned, None);
    assert_eq!(world.outcomes(skip), [abandoned(), abandoned()]);
}

#[tokio::test]
async fn p7_a_change_is_recorded_before_it_is_made_and_taken_back_if_it_fails() {
    let world = World::with_acme().await;
    let skip = world.audit.records().len();
    world.registry.overtake(100);
    let change = [TenantChange::DisplayName("mine".into())];
    let result =
        world.service.update_tenant(&root(), &tenant("acme"), &change, &ChangeOptions::default()).await;
    assert!(matches!(result, Err(ServiceError::Conflict)), "{result:?}");
    let operation = || "UpdateTenant".to_owned();
    let expected = [
        (operation(), Outcome::Served, None),
        (operation(), Outcome::Withheld, Some("ETAG_MISMATCH".to_owned())),
    ];
    assert_eq!(world.outcomes(skip), expected);
}

/// A change of `acme`'s name that waits in the registry.
async fn waiting_change(world: &World, options: ChangeOptions) -> tokio::task::JoinHandle<()> {
    world.registry.slow_down_next_replacement();
    let service = world.service.clone();
    let waiting = tokio::spawn(async move {
        let change = [TenantChange::DisplayName("mine".into())];
        let changed = service.update_tenant(&root(), &tenant("acme"), &change, &options).await;
        drop(changed);
    });
    world.clock.settle().await;
    waiting
}

#[tokio::test]
async fn p7_a_change_that_was_recorded_is_made_though_its_caller_goes_away() {
    let world = World::with_acme().await;
    let skip = world.audit.records().len();
    let waiting = waiting_change(&world, ChangeOptions::default()).await;
    waiting.abort();
    world.clock.settle().await;
    world.registry.let_slow_replacement_go_on();
    world.clock.settle().await;
    assert_eq!(world.registry.record("acme").await.display_name, "mine");
    let served = world.service.get_tenant(&root(), &tenant("acme")).await.unwrap();
    assert_eq!(served.display_name, "mine", "and it applies here");
    let operations: Vec<_> = world.outcomes(skip).into_iter().map(|(o, outcome, _)| (o, outcome)).collect();
    let expected = [("UpdateTenant".to_owned(), Outcome::Served), ("GetTenant".to_owned(), Outcome::Served)];
    assert_eq!(operations, expected);
}

#[tokio::test]
async fn p7_a_change_that_failed_after_its_caller_went_away_is_taken_back() {
    let world = World::with_acme().await;
    for caller in ["gone", "there"] {
        let skip = world.audit.records().len();
        let acme = world.registry.record("acme").await;
        let etag = leasehold_service::etag(&acme);
        let waiting = waiting_change(&world, ChangeOptions { etag, mode: Mode::Apply }).await;
        world.registry.overtake(1);
        if caller == "gone" {
            waiting.abort();
            world.clock.settle().await;
        }
        world.registry.let_slow_replacement_go_on();
        world.clock.settle().await;
        let operation = || "UpdateTenant".to_owned();
        let expected = [
            (operation(), Outcome::Served, None),
            (operation(), Outcome::Withheld, Some("ETAG_MISMATCH".to_owned())),
        ];
        assert_eq!(world.outcomes(skip), expected, "{caller}");
    }
}

#[tokio::test]
async fn p7_a_change_that_nobody_knows_the_end_of_is_recorded_as_such() {
    let world = World::with_acme().await;
    let skip = world.audit.records().len();
    let _waiting = waiting_change(&world, ChangeOptions::default()).await;
    world.clock.advance(seconds(2)).await;
    let (_, outcome, reason) = world.outcomes(skip).pop().unwrap();
    assert_eq!((outcome, reason.as_deref()), (Outcome::Unknown, Some("REGISTRY_UNAVAILABLE")));
}

#[tokio::test]
async fn p7_of_a_rewrap_both_bindings_are_recorded() {
    let world = World::with_acme().await;
    let old = world.wrap("acme", &[7; 32]).await;
    world.activate("acme", "next").await;
    let skip = world.audit.records().len();
    let moved = EncryptionContext::try_from_iter([("branch", "moved")]).unwrap();
    let rewrapped = world.service.rewrap_key(&root(), &tenant("acme"), &old, &context(), Some(&moved)).await;
    rewrapped.unwrap().release().await.unwrap();
    let [record] = &world.audit.records()[skip..] else { panic!("one record") };
    let origin = record.origin.as_ref().unwrap();
    let digest = |context: &EncryptionContext| Some(context.commitment().to_string().into_boxed_str());
    assert_eq!(origin.binding.as_ref().unwrap().as_str(), "main");
    assert_eq!((&origin.context_digest, origin.source), (&digest(&context()), Some(AnswerSource::Cloud)));
    assert_eq!(record.binding.as_ref().unwrap().as_str(), "next");
    assert_eq!((&record.context_digest, record.source), (&digest(&moved), Some(AnswerSource::Cloud)));
    assert!(origin.cloud_request_id.is_some() && record.cloud_request_id.is_some());
}

#[tokio::test]
async fn p8_of_a_context_only_the_entries_that_the_tenant_marked_are_recorded() {
    let world = World::with_acme().await;
    let whole = EncryptionContext::try_from_iter([("branch", "main"), ("customer", "somebody")]).unwrap();
    let marked = LoggableContext::try_from_iter(["branch", "timeline"]).unwrap();
    for (change, expected) in [(None, vec![]), (Some(marked), vec![("branch", "main")])] {
        let change: Vec<_> = change.into_iter().map(TenantChange::LoggableContext).collect();
        if !change.is_empty() {
            let none = ChangeOptions::default();
            world.service.update_tenant(&root(), &tenant("acme"), &change, &none).await.unwrap();
        }
        let made = world.service.generate_data_key(&root(), &tenant("acme"), LENGTH, &whole).await.unwrap();
        made.release().await.unwrap();
        let record = world.audit.records().pop().unwrap();
        let kept: Vec<_> = record.context.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(kept, expected);
        assert!(record.context_digest.is_some());
    }
}

#[tokio::test]
async fn a_check_is_recorded_as_a_check() {
    let world = World::with_acme().await;
    let skip = world.audit.records().len();
    let options = ChangeOptions { mode: Mode::ValidateOnly, ..ChangeOptions::default() };
    world.service.suspend_tenant(&root(), &tenant("acme"), &options).await.unwrap();
    let [record] = &world.audit.records()[skip..] else { panic!("one record") };
    assert!(record.validate_only);
}

#[tokio::test]
async fn p8_records_hold_no_secret() {
    let world = World::with_acme().await;
    let key = *b"KEY-BYTES-THAT-NOBODY-MAY-RECORD";
    let marker = "VALUE-OF-A-CONTEXT";
    let secret_context = EncryptionContext::try_from_iter([("customer", marker)]).unwrap();
    let (service, acme) = (&world.service, tenant("acme"));
    let wrapped = service.wrap_key(&root(), &acme, world.key(&key), &secret_context).await.unwrap();
    let wrapped = wrapped.release().await.unwrap().value;
    for _ in 0..2 {
        let served = service.unwrap_key(&root(), &acme, &wrapped, &secret_context).await.unwrap();
        assert_eq!(served.release().await.unwrap().value.expose(), key);
    }
    service
        .rewrap_key(&root(), &acme, &wrapped, &secret_context, None)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    service.unwrap_key(&root(), &acme, &wrapped, &context()).await.unwrap_err();
    world.cloud.deny_key(true);
    service.generate_data_key(&root(), &acme, LENGTH, &secret_context).await.map(drop).unwrap_err();
    try_everything(&world, &root(), &acme).await;

    let records = world.audit.records();
    assert!(records.len() > 20, "there was much to record");
    let registry = serde_json::to_string(&*world.registry.record("acme").await).unwrap();
    let text = records.iter().map(|r| serde_json::to_string(r).unwrap()).collect::<String>() + &registry;
    let numbers = key.map(|b| b.to_string()).join(",");
    let spellings = [HEXLOWER.encode(&key), BASE64.encode(&key), BASE64_NOPAD.encode(&key), numbers];
    for secret in spellings.iter().map(String::as_str).chain([str::from_utf8(&key).unwrap(), marker]) {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(text.contains(&secret_context.commitment().to_string()), "what is kept is a digest");
    assert!(!format!("{:?}", records).contains(marker));
}
