//! Set-ups as tenants and operators break them, each of them diagnosed, and mended by doing what the diagnosis says.

use std::time::Duration;

use leasehold_cloudsim::GcpControl;
use leasehold_cloudsim::gcp::edits::Edit;
use leasehold_cloudsim::gcp::{Propagation, VersionState};
use leasehold_envelope::{EncryptionContext, HeaderDigest, Purpose};
use leasehold_provider::{
    Cause, Depth, FailedStage, KeyProvider, ProviderError, Stage, Verdict, WrapContext,
};
use leasehold_provider_gcp::GcpProvider;
use leasehold_secret::KeyLength;
use leasehold_tenant::Binding;
use serde_json::json;

use crate::tenant::{Tenant, documents, paste};
use crate::world::World;

/// The stage at which a verification of `binding` fails, and how.
async fn verify(provider: &GcpProvider, binding: &Binding) -> Option<(Stage, ProviderError)> {
    steps(provider, binding).await.err()
}

async fn steps(provider: &GcpProvider, binding: &Binding) -> Result<(), (Stage, ProviderError)> {
    let at = |stage| move |error| (stage, error);
    provider.own_identity().await.map_err(at(Stage::OwnIdentity))?;
    provider.check(binding).map_err(at(Stage::Settings))?;
    let session = provider.assume(binding).await.map_err(at(Stage::Assume))?.value;
    provider.check_deputy(binding, &session).await.map_err(at(Stage::Deputy))?;
    let described = provider.describe(&session).await.map_err(at(Stage::Describe))?.value;
    let (header, context) = (HeaderDigest::from_bytes([0; 32]), EncryptionContext::empty());
    let context = WrapContext { purpose: Purpose::Dek, header: &header, context: &context };
    let made = provider.generate(&session, KeyLength::B32, &described.current_version, context).await;
    let made = made.map_err(at(Stage::Wrap))?.value;
    provider.unwrap(&session, &made.ciphertext, context).await.map_err(at(Stage::Unwrap))?;
    Ok(())
}

async fn causes(
    provider: &GcpProvider,
    binding: &Binding,
    stage: Stage,
    error: &ProviderError,
) -> Vec<Cause> {
    let own = provider.own_identity().await.ok();
    provider.explain(&FailedStage { binding, own: own.as_ref(), stage, error }).await
}

fn role(gcp: &GcpControl, tenant: &Tenant, id: &str, permissions: &[&str]) {
    let name = format!("projects/{}/roles/{id}", tenant.account().project).parse().unwrap();
    gcp.put_custom_role(&name, json!({ "title": id, "includedPermissions": permissions })).unwrap();
}

/// What is broken; at which stage it is found; the likeliest cause; a word of the change that mends it.
type Row = (&'static str, fn(&World, &Tenant), Stage, &'static str, &'static str);

const ENCRYPT: &str = "cloudkms.cryptoKeyVersions.useToEncrypt";
const DECRYPT: &str = "cloudkms.cryptoKeyVersions.useToDecrypt";
const GET: &str = "cloudkms.cryptoKeys.get";

/// A service account that we cannot become.
fn trust_rows() -> Vec<Row> {
    vec![
        (
            "no grant on the service account",
            |world, tenant| {
                let member = format!("serviceAccount:{}", world.scenario.base);
                let service_account = tenant.account().clone();
                world.gcp().edit(Edit::RemoveTokenCreator { service_account, member }).unwrap();
            },
            Stage::Assume,
            "NO_TOKEN_CREATOR",
            "gcloud iam service-accounts add-iam-policy-binding acme-leasehold@",
        ),
        (
            "a role that allows something else",
            |world, tenant| {
                role(&world.gcp(), tenant, "leaseholdTokenCreator", &["iam.serviceAccounts.getOpenIdToken"]);
            },
            Stage::Assume,
            "NO_TOKEN_CREATOR",
            "leaseholdTokenCreator",
        ),
        (
            "a disabled service account",
            |world, tenant| world.gcp().set_service_account_disabled(tenant.account(), true).unwrap(),
            Stage::Assume,
            "SERVICE_ACCOUNT_DISABLED",
            "gcloud iam service-accounts enable acme-leasehold@",
        ),
        (
            "a deleted service account",
            |world, tenant| world.gcp().delete_service_account(tenant.account()).unwrap(),
            Stage::Assume,
            "SERVICE_ACCOUNT_MISSING",
            "gcloud iam service-accounts create acme-leasehold",
        ),
    ]
}

/// What the operator broke, so that nothing works for anybody.
fn own_rows() -> Vec<Row> {
    vec![
        (
            "our own service account is disabled",
            |world, _| world.gcp().set_service_account_disabled(&world.scenario.base, true).unwrap(),
            Stage::OwnIdentity,
            "OWN_ACCOUNT_DISABLED",
            "# Operator",
        ),
        (
            "our machine has no service account",
            |world, _| world.gcp().set_instance_service_account(None),
            Stage::OwnIdentity,
            "NO_OWN_CREDENTIALS",
            "# Operator",
        ),
    ]
}

/// A key that the service account cannot use, or that is not labelled.
fn key_rows() -> Vec<Row> {
    vec![
        (
            "no grant on the key",
            |world, tenant| {
                let key = tenant.key.clone();
                world.gcp().edit(Edit::RemoveKeyGrants { key, member: None }).unwrap();
            },
            Stage::Deputy,
            "NO_KEY_GRANT",
            "gcloud kms keys add-iam-policy-binding acme ",
        ),
        (
            "no useToEncrypt",
            |world, tenant| role(&world.gcp(), tenant, "leaseholdKeyUser", &[DECRYPT, GET]),
            Stage::Wrap,
            "NO_USE_TO_ENCRYPT",
            ENCRYPT,
        ),
        (
            "no useToDecrypt",
            |world, tenant| role(&world.gcp(), tenant, "leaseholdKeyUser", &[ENCRYPT, GET]),
            Stage::Unwrap,
            "NO_USE_TO_DECRYPT",
            DECRYPT,
        ),
        (
            "no get",
            |world, tenant| role(&world.gcp(), tenant, "leaseholdKeyUser", &[ENCRYPT, DECRYPT]),
            Stage::Deputy,
            // Whether the key has our label cannot be seen, and so nothing is said about it.
            "NO_KEY_GRANT",
            GET,
        ),
        (
            "no label",
            |world, tenant| world.gcp().set_labels(&tenant.key, std::collections::BTreeMap::new()).unwrap(),
            Stage::Deputy,
            "LABEL_MISSING",
            "--update-labels=leasehold-challenge=lh-",
        ),
        (
            "another binding's label",
            |world, tenant| world.gcp().set_label(&tenant.key, "leasehold-challenge", "lh-other").unwrap(),
            Stage::Deputy,
            "LABEL_DIFFERS",
            "--update-labels=leasehold-challenge=lh-",
        ),
    ]
}

/// A key that cannot be used, or not by us.
fn state_rows() -> Vec<Row> {
    vec![
        (
            "a disabled version",
            |world, tenant| {
                world.gcp().set_version_state(&tenant.key, 1, VersionState::Disabled).unwrap();
            },
            Stage::Describe,
            "KEY_VERSION_DISABLED",
            "versions enable",
        ),
        (
            "a version that is scheduled for destruction",
            |world, tenant| {
                world.gcp().set_version_state(&tenant.key, 1, VersionState::DestroyScheduled).unwrap();
            },
            Stage::Describe,
            "KEY_VERSION_DESTROY_SCHEDULED",
            "versions restore",
        ),
        (
            "a version that awaits its material",
            |world, tenant| {
                world.gcp().set_version_state(&tenant.key, 1, VersionState::PendingImport).unwrap();
            },
            Stage::Describe,
            "KEY_MATERIAL_MISSING",
            "versions import",
        ),
        (
            "a destroyed version",
            |world, tenant| {
                world.gcp().set_version_state(&tenant.key, 1, VersionState::Destroyed).unwrap();
            },
            Stage::Describe,
            "KEY_VERSION_DESTROYED",
            "versions create",
        ),
        (
            "a deny policy",
            |world, tenant| {
                let (project, none) = (tenant.account().project.clone(), Vec::new());
                world
                    .gcp()
                    .edit(Edit::Deny { project, principals: none.clone(), permissions: none })
                    .unwrap();
            },
            Stage::Wrap,
            "NO_KEY_GRANT",
            "--kind=denypolicies --attachment-point=cloudresourcemanager.googleapis.com/projects/",
        ),
    ]
}

async fn diagnosed(world: &World, project: &str, (what, break_it, stage, reason, mend): Row) {
    let provider = world.provider().await;
    let tenant = Tenant::onboard(world, &provider, "acme", project).await;
    assert!(verify(&provider, &tenant.binding).await.is_none(), "{what}: it worked before");
    break_it(world, &tenant);
    let (failed, error) = verify(&provider, &tenant.binding).await.expect(what);
    assert_eq!(failed, stage, "{what}: {error}");
    let causes = causes(&provider, &tenant.binding, failed, &error).await;
    let Some(likeliest) = causes.first() else { panic!("{what}: nothing is known of {error:?}") };
    assert_eq!(likeliest.reason, reason, "{what}: {causes:?}");
    assert!(causes.iter().any(|cause| cause.mend.contains(mend)), "{what}: {causes:?}");
}

#[tokio::test]
async fn every_set_up_that_a_tenant_broke_is_diagnosed() {
    let world = World::start().await;
    for (index, row) in trust_rows().into_iter().chain(key_rows()).chain(state_rows()).enumerate() {
        diagnosed(&world, &format!("tenant-{index:02}"), row).await;
    }
}

#[tokio::test]
async fn every_set_up_that_the_operator_broke_is_diagnosed() {
    for row in own_rows() {
        diagnosed(&World::start().await, "tenant-project", row).await;
    }
}

#[tokio::test]
async fn a_grant_that_google_has_not_applied_yet_is_among_the_causes() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::bare(&world, "acme", "tenant-project", &[]);
    let iam_policy_ms = 120_000;
    world.gcp().set_propagation(Propagation { iam_policy_ms, ..Propagation::default() });
    documents(&tenant.kit(&provider).await).iter().for_each(|section| paste(&world.gcp(), section));
    let (stage, error) = verify(&provider, &tenant.binding).await.unwrap();
    assert_eq!(stage, Stage::Assume);
    let causes = causes(&provider, &tenant.binding, stage, &error).await;
    assert!(causes[..2].iter().any(|cause| cause.reason == "NOT_PROPAGATED"), "{causes:?}");
    world.control().advance(Duration::from_millis(iam_policy_ms));
    assert!(verify(&provider, &tenant.binding).await.is_none(), "waiting mends it");
}

#[tokio::test]
async fn a_missing_grant_in_a_chain_is_among_the_causes_whichever_hop_it_is_at() {
    let world = World::start().await;
    let provider = world.provider().await;
    let hops = ["hop-one-project", "hop-two-project"];
    let tenant = Tenant::onboard_through(&world, &provider, "acme", "tenant-project", &hops).await;
    let mut member = format!("serviceAccount:{}", world.scenario.base);
    for account in &tenant.accounts {
        let edit = Edit::RemoveTokenCreator { service_account: account.clone(), member: member.clone() };
        let edit = world.gcp().edit(edit).unwrap();
        let (stage, error) = verify(&provider, &tenant.binding).await.unwrap();
        assert!(error.is_denial() && stage == Stage::Assume);
        let causes = causes(&provider, &tenant.binding, stage, &error).await;
        let mends = |cause: &Cause| {
            cause.mend.contains(&format!("add-iam-policy-binding {account}")) && cause.mend.contains(&member)
        };
        assert!(causes[..3].iter().any(mends), "{account}: {causes:?}");
        world.gcp().undo(edit).unwrap();
        member = format!("serviceAccount:{account}");
    }
}

#[tokio::test]
async fn a_closer_look_says_what_is_not_needed_and_what_is_not_protected() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", "tenant-project").await;
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    let verdict = |findings: &[leasehold_provider::Finding], check: &str| {
        findings.iter().find(|finding| finding.check == check).map(|finding| finding.verdict)
    };
    let findings = provider.inspect(&tenant.binding, None, &session, Depth::Access).await;
    assert_eq!(verdict(&findings, "ROTATION"), Some(Verdict::Warning));
    assert_eq!(verdict(&findings, "DELETION_PROTECTION"), Some(Verdict::Passed));
    assert_eq!(verdict(&findings, "EXCESS_PERMISSIONS"), None, "not asked for");
    let findings = provider.inspect(&tenant.binding, None, &session, Depth::ExcessPermissions).await;
    assert_eq!(verdict(&findings, "EXCESS_PERMISSIONS"), Some(Verdict::Passed));
    let place = leasehold_cloudsim::control::gcp::PolicyPlace::Key(tenant.key.clone());
    let member = format!("serviceAccount:{}", tenant.account());
    world.gcp().grant(&place, "roles/cloudkms.admin", &member).unwrap();
    let findings = provider.inspect(&tenant.binding, None, &session, Depth::ExcessPermissions).await;
    let excess = findings.iter().find(|finding| finding.check == "EXCESS_PERMISSIONS").unwrap();
    assert_eq!(excess.verdict, Verdict::Warning);
    assert!(excess.detail.contains("cloudkms.cryptoKeyVersions.destroy"), "{excess:?}");
}
