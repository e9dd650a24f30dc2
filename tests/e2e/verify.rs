//! What a tenant is told: the whole kit, and why a binding does not work, over the wire and on the command line.

use leasehold_api::v1::{self, BindingState, ErrorReason, Verdict};
use leasehold_cloudsim::aws::KeyState;
use serde_json::Value;
use tokio::process::Command;
use tonic::Code;

use crate::world::{BINDING, World, refused};

async fn verify(world: &World, excess_permissions: bool) -> v1::VerifyBindingResponse {
    let name = format!("tenants/acme/bindings/{BINDING}");
    let verify = v1::VerifyBindingRequest { name, excess_permissions };
    world.tenants(verify, |mut t, q| async move { t.verify_binding(q).await }).await.unwrap()
}

/// The checks with this verdict.
fn with(report: &v1::VerifyBindingResponse, verdict: Verdict) -> Vec<&str> {
    report.findings.iter().filter(|f| f.verdict() == verdict).map(|f| f.check.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_says_which_edge_refused_and_under_which_id_the_tenant_finds_the_call() {
    let (world, aws) = World::on_aws(&["acme"], |_| {}).await;
    let external_id = world.hand_over("acme").await;

    let closed = verify(&world, false).await;
    assert_eq!((closed.verdict(), closed.reason()), (Verdict::Failed, ErrorReason::BindingDenied));
    assert_eq!(with(&closed, Verdict::Failed), ["ASSUME"]);
    let assume = closed.findings.iter().find(|f| f.check == "ASSUME").unwrap();
    assert_eq!((assume.edge.as_str(), assume.hop, assume.cloud_code.as_str()), ("trust", 1, "AccessDenied"));
    assert!(!assume.cloud_request_id.is_empty() && assume.latency.is_some());
    assert!(!assume.causes.is_empty() && assume.causes.iter().all(|cause| !cause.mend.is_empty()));

    world.estate.let_in("acme", &external_id);
    let pending = verify(&world, false).await;
    assert_eq!(with(&pending, Verdict::Failed), [""; 0], "{:#?}", pending.findings);
    assert_eq!((pending.state(), pending.reason()), (BindingState::Pending, ErrorReason::Unspecified));
    world.activate("acme").await.unwrap();
    let active = verify(&world, false).await;
    assert!(with(&active, Verdict::Passed).contains(&"CANARY"), "{:#?}", active.findings);

    aws.control().set_key_state(&aws.tenant("acme").key, KeyState::Disabled).unwrap();
    let disabled = verify(&world, false).await;
    assert_eq!((disabled.verdict(), disabled.reason()), (Verdict::Failed, ErrorReason::KeyUnusable));
    let refused_at = |check: &str| disabled.findings.iter().find(|f| f.check == check).unwrap().edge.clone();
    assert_eq!(refused_at("CANARY"), "key");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_bindings_that_there_are_and_that_are_not_retired_are_verified() {
    let (world, _aws) = World::on_aws(&["acme"], |_| {}).await;
    world.hand_over("acme").await;
    let name = format!("tenants/acme/bindings/{BINDING}");
    let retire = v1::RetireBindingRequest { name: name.clone(), ..Default::default() };
    world.tenants(retire, |mut t, q| async move { t.retire_binding(q).await }).await.unwrap();
    for (name, code, reason) in [
        (name, Code::FailedPrecondition, ErrorReason::WrongState),
        ("tenants/acme/bindings/none".to_owned(), Code::NotFound, ErrorReason::BindingNotFound),
        ("tenants/none/bindings/main".to_owned(), Code::NotFound, ErrorReason::TenantNotFound),
        ("acme/main".to_owned(), Code::InvalidArgument, ErrorReason::InvalidField),
    ] {
        let verify = v1::VerifyBindingRequest { name, excess_permissions: false };
        refused(
            world.tenants(verify, |mut t, q| async move { t.verify_binding(q).await }).await,
            code,
            reason,
        );
    }
    assert_eq!(world.count(Default::default()), 0, "no cloud was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kit_says_what_to_paste_how_to_revoke_and_what_the_proofs_cost() {
    let (world, _aws) = World::on_aws(&["acme"], |_| {}).await;
    world.hand_over("acme").await;
    let kit = v1::GetOnboardingKitRequest { name: format!("tenants/acme/bindings/{BINDING}") };
    let kit = world.tenants(kit, |mut t, q| async move { t.get_onboarding_kit(q).await }).await.unwrap();
    let kit = kit.kit.unwrap();
    let known = ["json", "shell", "hcl", "text"];
    assert!(!kit.sections.is_empty());
    assert!(kit.sections.iter().all(|s| known.contains(&s.format.as_str()) && !s.body.is_empty()));
    assert!(kit.levers.len() > 1 && kit.levers.iter().all(|l| !l.revoke.is_empty() && !l.restore.is_empty()));
    let costs = kit.costs.unwrap();
    let per_proof: u64 = costs.calls.iter().map(|call| u64::from(call.per_proof)).sum();
    assert!(per_proof >= 2, "a proof is at least an assume and an unwrap");
    assert_eq!(costs.log_events_per_month, costs.proofs_per_month * per_proof);
    assert!(costs.proofs_per_month > 0);
}

// === The command line ===

/// Runs `leasehold` against the world's server; its exit code, and what it prints where.
async fn leasehold(world: &World, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    let ended = command.args(arguments).env("LEASEHOLD_ADDR", &world.running.endpoints()[0]).output();
    let ended = ended.await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (ended.status.code().unwrap(), text(ended.stdout), text(ended.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_can_go_by_the_exit_code_of_a_verification() {
    let (world, _aws) = World::on_aws(&["acme"], |_| {}).await;
    let external_id = world.hand_over("acme").await;

    let (code, out, error) = leasehold(&world, &["binding", "verify", "acme/main"]).await;
    assert_eq!(code, 5, "{out}{error}");
    assert!(out.contains("FAILED") && out.contains("cloud code: AccessDenied"), "{out}");
    assert!(!out.contains('\x1b'), "no colours where nobody sees them");
    assert!(error.contains("does not work (BINDING_DENIED)"), "{error}");
    let (code, out, _) = leasehold(&world, &["binding", "verify", "acme/main", "--json"]).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["verdict"], &report["reason"]),
        (5, &"FAILED".into(), &"BINDING_DENIED".into())
    );
    let (code, _, error) = leasehold(&world, &["binding", "activate", "acme/main"]).await;
    assert!(code == 3 && error.contains("leasehold binding verify acme/main"), "{code} {error}");

    world.estate.let_in("acme", &external_id);
    let (code, out, error) = leasehold(&world, &["binding", "verify", "acme/main"]).await;
    assert!(code == 0 && error.contains("leasehold binding activate acme/main"), "{code} {out}{error}");
    let (code, ..) = leasehold(&world, &["binding", "verify", "acme/none"]).await;
    assert_eq!(code, 1, "that there is no such binding is another failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_section_of_a_kit_is_printed_as_it_can_be_pasted() {
    let (world, _aws) = World::on_aws(&["acme"], |_| {}).await;
    let external_id = world.hand_over("acme").await;
    let (code, out, error) = leasehold(&world, &["binding", "kit", "acme/main", "--section", "1"]).await;
    assert_eq!(code, 0, "{error}");
    let policy: Value = serde_json::from_str(&out).unwrap();
    assert!(policy.to_string().contains(&external_id), "{out}");
    let (code, _, error) = leasehold(&world, &["binding", "kit", "acme/main", "--section", "no such"]).await;
    assert!(code == 1 && error.contains("1. "), "{error}");
}
