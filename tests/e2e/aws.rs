//! What only AWS has: sessions that outlive the trust that they came of, and key policies that see the encryption context.

use aws_credential_types::Credentials;
use aws_sdk_kms::primitives::Blob;
use leasehold_api::v1::{self, ErrorReason, LeaseState, WatchMode};
use leasehold_cloudsim::aws::edits::Edit;
use leasehold_cloudsim::log::CallMatch;
use tonic::Code;

use crate::cloud::{Aws, Lever, of};
use crate::world::{World, refused};

/// Decrypts under an encryption context with this entry.
fn decrypts(name: &str, value: &str) -> CallMatch {
    CallMatch { encryption_context: [(name.to_owned(), value.to_owned())].into(), ..of("Decrypt") }
}

/// Decrypts of canaries, or of keys.
fn purpose(purpose: &str) -> CallMatch {
    decrypts("leasehold:purpose", purpose)
}

/// Decrypts of keys of this branch.
fn for_branch(branch: &str) -> CallMatch {
    decrypts("branch", branch)
}

/// A session of the tenant's role, taken by hand, and KMS as that session.
async fn session_in_kms(world: &World, aws: &Aws, tenant: &str) -> aws_sdk_kms::Client {
    let name = "tenants/acme/bindings/main".to_owned();
    let get = v1::GetBindingRequest { name };
    let binding = world.tenants(get, |mut t, q| async move { t.get_binding(q).await }).await.unwrap();
    let region = aws_sdk_sts::config::Region::new(aws.scenario.region.to_string());
    let key = &aws.scenario.access_key;
    let base = Credentials::new(key.access_key_id.clone(), key.secret_access_key.expose(), None, None, "t");
    let sts = aws_sdk_sts::Config::builder()
        .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
        .region(region.clone())
        .endpoint_url(&world.cloud.endpoints().aws)
        .credentials_provider(base)
        .build();
    let assume = aws_sdk_sts::Client::from_conf(sts)
        .assume_role()
        .role_arn(aws.tenant(tenant).role.to_string())
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
async fn p1_a_trust_policy_edit_is_refused_though_sessions_live_on() {
    let (world, aws) = World::on_aws(&["acme"], |_| {}).await;
    world.onboard("acme").await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    world.generate("acme", "main").await;
    watcher.until(LeaseState::Live).await;
    let kms = session_in_kms(&world, &aws, "acme").await;
    world.pull(Lever::Trust, "acme");
    let _ = world.reprove("acme").await;
    watcher.until(LeaseState::Denied).await;
    // Only a fresh assume shows what the tenant wants: an older session still works.
    let by_hand = kms.encrypt().key_id(aws.tenant("acme").key.to_string());
    by_hand.plaintext(Blob::new([7; 32])).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_encryption_context_is_denied_alone() {
    let (world, aws) = World::on_aws(&["acme"], |_| {}).await;
    world.onboard("acme").await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (_, doomed) = world.generate("acme", "doomed").await;
    let (_, second) = world.generate("acme", "doomed").await;
    let (key, fine) = world.generate("acme", "fine").await;
    for (wrapped, branch) in [(&doomed, "doomed"), (&fine, "fine")] {
        world.unwrap("acme", wrapped, branch).await.unwrap();
    }
    watcher.until(LeaseState::Live).await;
    world.forget_calls();

    aws.deny_branch("acme", "doomed");
    let denied = world.unwrap("acme", &second, "doomed").await;
    let refusal = refused(denied, Code::FailedPrecondition, ErrorReason::RequestDenied);
    assert_eq!(refusal.metadata()["cloud_code"], "AccessDeniedException");
    world.calls(purpose("canary"), 1).await;
    let cached = world.unwrap("acme", &doomed, "doomed").await;
    refused(cached, Code::FailedPrecondition, ErrorReason::RequestDenied);
    assert!(world.unwrap("acme", &fine, "fine").await.unwrap().value.matches(&key));
    assert_eq!(world.count(for_branch("fine")), 0, "from the cache");
    assert_eq!(watcher.renew().await.state, LeaseState::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_every_other_lever_of_aws_is_noticed_by_the_next_proof() {
    let (world, aws) = World::on_aws(&["acme"], |_| {}).await;
    world.onboard("acme").await;
    let mut watcher = world.watch("acme", WatchMode::Hold).await;
    let (key, wrapped) = world.generate("acme", "main").await;
    let role = aws.tenant("acme").role.clone();
    let principal = aws.scenario.base_user.clone();
    let remove_us = Edit::TrustRemovePrincipal { role: role.clone(), principal };
    for (edge, lever) in [
        ("trust", remove_us),
        ("key", Edit::RoleDetachPolicies { role: role.clone() }),
        ("key", Edit::RoleDeny { role, actions: vec!["kms:Decrypt".to_owned()] }),
    ] {
        watcher.until(LeaseState::Live).await;
        let edit = aws.control().edit(lever).unwrap();
        let _ = world.reprove("acme").await;
        let told = watcher.until(LeaseState::Denied).await.status.denial.clone().unwrap();
        assert_eq!(told.edge, edge);
        let asked = world.unwrap("acme", &wrapped, "main").await;
        refused(asked, Code::FailedPrecondition, ErrorReason::BindingDenied);
        aws.control().undo(edit).unwrap();
        let _ = world.reprove("acme").await;
        assert!(world.unwrap("acme", &wrapped, "main").await.unwrap().value.matches(&key));
    }
}
