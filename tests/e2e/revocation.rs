//! The tenant says no, by each of the levers that AWS gives them.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_kms::primitives::Blob;
use leasehold_api::v1::{self, ErrorReason, LeaseState, WatchMode};
use leasehold_client::{ClientError, KeyLength, PlaintextKey};
use leasehold_clock::TimeSource;
use leasehold_cloudsim::aws::KeyState;
use leasehold_cloudsim::aws::edits::Edit;
use tonic::Code;

use crate::cloud::{canaries, for_branch, of, unwraps};
use crate::world::{BOUND, World, context, id, refused};

/// Half of the bound: the latest that a lease in use is proven anew.
const HALF: Duration = Duration::from_millis(7500);

/// A session of the tenant's role, taken by hand, and KMS as that session.
async fn session_in_kms(world: &World, tenant: &str) -> aws_sdk_kms::Client {
    let name = "tenants/acme/bindings/main".to_owned();
    let get = v1::GetBindingRequest { name };
    let binding = world.tenants(get, |mut t, q| async move { t.get_binding(q).await }).await.unwrap();
    let region = aws_sdk_sts::config::Region::new(world.scenario.region.to_string());
    let key = &world.scenario.access_key;
    let base = Credentials::new(key.access_key_id.clone(), key.secret_access_key.expose(), None, None, "t");
    let sts = aws_sdk_sts::Config::builder()
        .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
        .region(region.clone())
        .endpoint_url(&world.cloud.endpoints().aws)
        .credentials_provider(base)
        .build();
    let assume = aws_sdk_sts::Client::from_conf(sts)
        .assume_role()
        .role_arn(world.tenant(tenant).role.to_string())
        .role_session_name("by-hand")
        .external_id(binding.binding.unwrap().external_id);
    let issued = assume.send().await.unwrap().credentials.unwrap();
    let session = Credentials::new(
        issued.access_key_id,
        issued.secret_access_key,
        Some(issued.session_token),
        None,
        "test",
    );
    let kms = aws_sdk_kms::Config::builder()
        .behavior_version(aws_sdk_kms::config::BehaviorVersion::latest())
        .region(region)
        .endpoint_url(&world.cloud.endpoints().aws)
        .credentials_provider(session)
        .build();
    aws_sdk_kms::Client::from_conf(kms)
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_trust_policy_edit_is_refused_within_the_bound_though_sessions_live_on() {
    let world = World::start(&["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;
    let kms = session_in_kms(&world, "acme").await;

    world.revoke_trust("acme");
    let edited = world.clock.now();
    assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key), "not noticed yet");
    world.clock.jump(HALF);
    let told = watcher.until(LeaseState::Denied).await;
    assert!(world.clock.now().since(edited) <= BOUND);
    let denial = told.status.denial.clone().unwrap();
    assert_eq!((denial.reason(), &*denial.edge), (ErrorReason::BindingDenied, "trust"));
    assert_eq!(denial.cloud_code, "AccessDenied");

    world.forget_calls();
    let cached = world.unwrap("acme", &wrapped, "main").await;
    refused(cached, Code::FailedPrecondition, ErrorReason::BindingDenied);
    let made = world.client.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await;
    refused(made, Code::FailedPrecondition, ErrorReason::BindingDenied);
    let own = PlaintextKey::generate(world.client.arena(), KeyLength::B32).unwrap();
    let wrap = world.client.wrap_key(&id("acme"), own, &context("main")).await;
    refused(wrap, Code::FailedPrecondition, ErrorReason::BindingDenied);
    let rewrap = world.client.rewrap_key(&id("acme"), &wrapped, &context("main"), None).await;
    refused(rewrap, Code::FailedPrecondition, ErrorReason::BindingDenied);
    assert_eq!(world.count(unwraps()), 0, "nothing was asked with the session that is still valid");

    // Which it is: only a fresh assume shows what the tenant wants.
    let by_hand = kms.encrypt().key_id(world.tenant("acme").key.to_string());
    by_hand.plaintext(Blob::new([7; 32])).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_without_anybody_noticing_earlier_the_lease_ends_at_its_bound() {
    let world = World::start(&["acme"]).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    let proven = world.clock.now();
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.revoke_trust("acme");
    // Everything in between is skipped, as by a process that was stopped.
    world.clock.jump_to(proven + BOUND);
    world.forget_calls();
    let Err(ClientError::Refused(late)) = world.unwrap("acme", &wrapped, "main").await else {
        panic!("served beyond the bound")
    };
    // Which of the two depends on whether the proof that is tried anew has ended yet.
    assert!(matches!(late.reason(), Some(ErrorReason::LeaseLapsed | ErrorReason::BindingDenied)), "{late}");
    world.calls(of("AssumeRole"), 1).await;
    assert_eq!(world.count(unwraps()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_key_policy_edit_wipes_everything_as_soon_as_a_proof_meets_it() {
    let world = World::start(&["acme", "globex"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    let (other, wrapped_other) = world.generate("globex", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.unwrap("globex", &wrapped_other, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;

    world.deny_key("acme", None);
    let leases = world.reprove("acme").await;
    // No time was made to pass: a proof that begins now is enough.
    let told = watcher.until(LeaseState::Denied).await.status.denial.clone().unwrap();
    assert_eq!((&*told.edge, &*told.cloud_code), ("key", "AccessDeniedException"));
    drop(leases);
    let cached = world.unwrap("acme", &wrapped, "main").await;
    let refusal = refused(cached, Code::FailedPrecondition, ErrorReason::BindingDenied);
    assert_eq!(refusal.metadata()["edge"], "key");

    world.forget_calls();
    let served = world.unwrap("globex", &wrapped_other, "main").await.unwrap();
    assert!(served.value.matches(&other) && world.count(Default::default()) == 0, "globex keeps its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_denied_request_has_the_whole_binding_proven_at_once() {
    let world = World::start(&["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Observe).await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;
    world.deny_key("acme", None);
    let made = world.client.generate_data_key(&id("acme"), KeyLength::B32, &context("other")).await;
    refused(made, Code::FailedPrecondition, ErrorReason::RequestDenied);
    watcher.until(LeaseState::Denied).await;
    let cached = world.unwrap("acme", &wrapped, "main").await;
    refused(cached, Code::FailedPrecondition, ErrorReason::BindingDenied);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_encryption_context_is_denied_alone() {
    let world = World::start(&["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (_, doomed) = world.generate("acme", "doomed").await;
    let (_, second) = world.generate("acme", "doomed").await;
    let (key, fine) = world.generate("acme", "fine").await;
    for (wrapped, branch) in [(&doomed, "doomed"), (&fine, "fine")] {
        world.unwrap("acme", wrapped, branch).await.unwrap();
    }
    watcher.until(LeaseState::Live).await;
    world.forget_calls();

    world.deny_key("acme", Some("doomed"));
    let denied = world.unwrap("acme", &second, "doomed").await;
    let refusal = refused(denied, Code::FailedPrecondition, ErrorReason::RequestDenied);
    assert_eq!(refusal.metadata()["cloud_code"], "AccessDeniedException");
    world.calls(canaries(), 1).await;
    let cached = world.unwrap("acme", &doomed, "doomed").await;
    refused(cached, Code::FailedPrecondition, ErrorReason::RequestDenied);
    assert!(world.unwrap("acme", &fine, "fine").await.unwrap().value.matches(&key));
    assert_eq!(world.count(for_branch("Decrypt", "fine")), 0, "from the cache");
    assert_eq!(watcher.renew().await.state, LeaseState::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_key_that_nobody_can_use_any_more_is_a_denial() {
    for (state, word) in [(KeyState::Disabled, "disabled"), (KeyState::PendingDeletion, "deletion")] {
        let world = World::start(&["acme"]).await;
        let mut watcher = world.watch("acme", WatchMode::Observe).await;
        let (_, cold) = world.generate("acme", "cold").await;
        let (_, warm) = world.generate("acme", "warm").await;
        world.unwrap("acme", &warm, "warm").await.unwrap();
        watcher.until(LeaseState::Live).await;
        world.edit(Edit::KeyState { key: world.tenant("acme").key.clone(), state });
        let refusal = refused(
            world.unwrap("acme", &cold, "cold").await,
            Code::FailedPrecondition,
            ErrorReason::KeyUnusable,
        );
        assert!(refusal.message().to_lowercase().contains(word), "{refusal}");
        let told = watcher.until(LeaseState::Denied).await.status.denial.clone().unwrap();
        assert_eq!(told.reason(), ErrorReason::KeyUnusable);
        let cached = world.unwrap("acme", &warm, "warm").await;
        refused(cached, Code::FailedPrecondition, ErrorReason::KeyUnusable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_holds_keeps_a_lease_proving() {
    let world = World::start(&["acme", "globex"]).await;
    let idle_after = Some(prost_types::Duration { seconds: 5, nanos: 0 });
    for tenant in ["acme", "globex"] {
        let terms = v1::LeaseTerms { idle_after, ..Default::default() };
        world.set_terms(tenant, terms, "lease_terms.idle_after").await;
    }
    let mut holder = world.watch("acme", WatchMode::Hold).await;
    let mut observer = world.watch("globex", WatchMode::Observe).await;
    for (tenant, watcher) in [("acme", &mut holder), ("globex", &mut observer)] {
        world.generate(tenant, "main").await;
        watcher.until(LeaseState::Live).await;
    }
    let proofs = world.count(canaries());
    // Nobody asks for anything.
    world.clock.jump(HALF);
    observer.until(LeaseState::Idle).await;
    world.calls(canaries(), proofs + 1).await;
    assert_eq!(holder.renew().await.state, LeaseState::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_is_wiped_and_its_watchers_told_at_once() {
    let world = World::start(&["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    watcher.until(LeaseState::Live).await;
    let name = "tenants/acme".to_owned();
    let suspend = v1::SuspendTenantRequest { name: name.clone(), ..Default::default() };
    world.tenants(suspend, |mut t, q| async move { t.suspend_tenant(q).await }).await.unwrap();
    watcher.until(LeaseState::Suspended).await;
    let asked = world.unwrap("acme", &wrapped, "main").await;
    refused(asked, Code::FailedPrecondition, ErrorReason::TenantSuspended);
    let resume = v1::ResumeTenantRequest { name, ..Default::default() };
    world.tenants(resume, |mut t, q| async move { t.resume_tenant(q).await }).await.unwrap();
    assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
    watcher.until(LeaseState::Live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_connections_that_carried_what_was_wiped_are_closed() {
    let world = World::start(&["acme"]).await;
    let carrier = crate::world::client_of(&world.running.endpoints()[0], &world.clock);
    let mut watcher = crate::watcher::Watcher::open(&carrier, &id("acme"), WatchMode::Hold).await;
    carrier.generate_data_key(&id("acme"), KeyLength::B32, &context("main")).await.unwrap();
    watcher.until(LeaseState::Live).await;
    world.deny_key("acme", None);
    let _ = world.reprove("acme").await;
    watcher.until(LeaseState::Denied).await;
    // The stream is on the connection that carried the key: it is told why it ends, and then the connection is closed.
    world.clock.jump(Duration::from_secs(3));
    let end = watcher.end().await;
    let Some(leasehold_client::ClientError::Refused(refusal)) = &end else { panic!("{end:?}") };
    assert_eq!((refusal.code(), refusal.reason()), (Code::Unavailable, Some(ErrorReason::ConnectionClosing)));
    assert!(carrier.leases().await.is_ok(), "and another one is welcome");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_every_other_lever_is_noticed_by_the_next_proof() {
    let world = World::start(&["acme"]).await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    let role = world.tenant("acme").role.clone();
    for (edge, lever) in [
        ("trust", Edit::TrustDenyPrincipal { role: role.clone(), principal: "*".to_owned() }),
        ("key", Edit::RoleDetachPolicies { role: role.clone() }),
        ("key", Edit::RoleDeny { role, actions: vec!["kms:Decrypt".to_owned()] }),
    ] {
        watcher.until(LeaseState::Live).await;
        let edit = world.edit(lever);
        let _ = world.reprove("acme").await;
        let told = watcher.until(LeaseState::Denied).await.status.denial.clone().unwrap();
        assert_eq!(told.edge, edge);
        let asked = world.unwrap("acme", &wrapped, "main").await;
        refused(asked, Code::FailedPrecondition, ErrorReason::BindingDenied);
        world.undo(edit);
        let _ = world.reprove("acme").await;
        assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_lower_bound_applies_to_live_leases_at_once() {
    let world = World::start(&["acme"]).await;
    let bound = |seconds| v1::LeaseTerms {
        revocation_bound: Some(prost_types::Duration { seconds, nanos: 0 }),
        ..Default::default()
    };
    world.set_terms("acme", bound(60), "lease_terms.revocation_bound").await;
    let (_, wrapped) = world.generate("acme", "main").await;
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.revoke_trust("acme");
    // The next proof is due 24 s after the first at the earliest.
    world.clock.jump(Duration::from_secs(20));
    world.unwrap("acme", &wrapped, "main").await.unwrap();
    world.set_terms("acme", bound(15), "lease_terms.revocation_bound").await;
    let Err(ClientError::Refused(refusal)) = world.unwrap("acme", &wrapped, "main").await else {
        panic!("served beyond the bound")
    };
    let over = matches!(refusal.reason(), Some(ErrorReason::LeaseLapsed | ErrorReason::BindingDenied));
    assert!(over, "{refusal}");
}
