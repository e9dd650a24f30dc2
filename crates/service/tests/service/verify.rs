//! Verification: what it may be asked about, what it says, and what it leaves alone.

use leasehold_audit::Outcome;
use leasehold_lease::LeaseState;
use leasehold_provider::{Depth, Verdict};
use leasehold_service::{ChangeOptions, ServiceError, Verified};
use leasehold_tenant::{BindingState, ChangeError};

use crate::cloud::DENIED_CODE;
use crate::world::{World, name, root, tenant};

async fn verify(world: &World, binding: &str) -> Result<Verified, ServiceError> {
    world.service.verify_binding(&root(), &name("acme", binding), Depth::Access).await
}

#[tokio::test]
async fn a_binding_is_verified_before_it_is_activated_and_afterwards() {
    let world = World::empty();
    world.create_tenant("acme").await;
    world.create_binding("acme", "main").await;
    let pending = verify(&world, "main").await.unwrap();
    assert_eq!((pending.state, pending.examination.verdict()), (BindingState::Pending, Verdict::Warning));
    assert_eq!(pending.reason(), None, "a warning keeps nothing from working");
    let none = ChangeOptions::default();
    world.service.activate_binding(&root(), &name("acme", "main"), &none).await.unwrap();
    let before = world.registry.record("acme").await;
    let active = verify(&world, "main").await.unwrap();
    assert_eq!((active.state, active.reason()), (BindingState::Active, None));
    assert_eq!(world.registry.record("acme").await, before, "nothing was changed");
    assert_eq!(world.lease("acme", "main"), LeaseState::Idle, "and nothing is held");
}

#[tokio::test]
async fn what_does_not_work_is_an_answer_with_the_reason_that_a_key_operation_would_give() {
    type Fail = fn(&World);
    let failures: [(Fail, &str); 4] = [
        (|w| w.cloud.deny_trust(true), "BINDING_DENIED"),
        (|w| w.cloud.deny_key(true), "BINDING_DENIED"),
        (|w| w.cloud.open_to_deputies(), "BINDING_MISCONFIGURED"),
        (|w| w.cloud.refuse_settings(), "BINDING_MISCONFIGURED"),
    ];
    for (fail, reason) in failures {
        let world = World::with_acme().await;
        fail(&world);
        let verified = verify(&world, "main").await.unwrap();
        assert_eq!(verified.examination.verdict(), Verdict::Failed);
        assert_eq!(verified.reason(), Some(reason));
    }
}

#[tokio::test]
async fn a_suspended_tenants_binding_can_be_verified_and_stays_suspended() {
    let world = World::with_acme().await;
    world.suspend("acme").await;
    let verified = verify(&world, "main").await.unwrap();
    assert_ne!(verified.examination.verdict(), Verdict::Failed);
    let (suspended, tenant) = (world.lease("acme", "main"), world.registry.record("acme").await);
    assert!(!tenant.is_served() && suspended != LeaseState::Live, "{suspended:?}");
}

#[tokio::test]
async fn the_cloud_of_a_retired_binding_or_a_deleted_tenant_is_not_asked() {
    let world = World::with_acme().await;
    world.create_binding("acme", "old").await;
    world.retire("acme", "old").await;
    let calls = world.cloud.calls("");
    let retired = verify(&world, "old").await;
    assert!(
        matches!(retired, Err(ServiceError::Change(ChangeError::WrongBindingState { .. }))),
        "{retired:?}"
    );
    assert!(matches!(verify(&world, "none").await, Err(ServiceError::UnknownBinding(_))));
    world.service.delete_tenant(&root(), &tenant("acme"), &ChangeOptions::default()).await.unwrap();
    assert!(matches!(verify(&world, "main").await, Err(ServiceError::TenantDeleted)));
    assert_eq!(world.cloud.calls(""), calls);
}

#[tokio::test]
async fn p9_a_tenants_bindings_are_verified_one_at_a_time() {
    let world = World::with_acme().await;
    world.create_tenant("globex").await;
    world.create_binding("globex", "main").await;
    world.cloud.be_silent_to("slow");
    world.create_binding("acme", "slow").await;
    let service = world.service.clone();
    let slow =
        tokio::spawn(
            async move { service.verify_binding(&root(), &name("acme", "slow"), Depth::Access).await },
        );
    world.clock.settle().await;
    assert!(matches!(verify(&world, "main").await, Err(ServiceError::OverLimit(_))));
    let other = world.service.verify_binding(&root(), &name("globex", "main"), Depth::Access).await;
    assert!(other.is_ok(), "others do not wait");
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    assert!(verify(&world, "main").await.is_ok(), "a caller that went away leaves no mark");
}

#[tokio::test]
async fn p7_a_verification_is_recorded_with_what_the_cloud_said() {
    let world = World::with_acme().await;
    world.cloud.deny_trust(true);
    let skip = world.audit.records().len();
    verify(&world, "main").await.unwrap();
    let [record] = &world.audit.records()[skip..] else { panic!("one record") };
    assert_eq!((&*record.operation, record.outcome), ("VerifyBinding", Outcome::Served));
    assert_eq!(record.binding.as_ref().map(|b| b.as_str()), Some("main"));
    assert_eq!(record.cloud_code.as_deref(), Some(DENIED_CODE));
    assert_eq!(record.cloud_request_id.as_deref(), Some("cloud-request-1"));
}
