//! Broken set-ups: what verification finds, what it says the cause is, and that the change it names mends it.

use std::time::Duration;

use leasehold_cloudsim::azure::edits::Edit;
use leasehold_cloudsim::azure::{Firewall, FirewallAction, Propagation};
use leasehold_provider::{Cause, Depth, FailedStage, Finding, KeyProvider, ProviderError, Stage, Verdict};
use leasehold_provider_azure::AzureProvider;
use leasehold_secret::{KeyLength, PlaintextKey};
use leasehold_tenant::Binding;

use crate::tenant::{Step, Tenant};
use crate::world::{World, binding_in, bound, dek};

/// The first stage that fails, as a verification goes through them.
async fn first_failure(
    world: &World,
    provider: &AzureProvider,
    binding: &Binding,
) -> Option<(Stage, ProviderError)> {
    let fail = |stage| move |error| Some((stage, error));
    match steps(world, provider, binding).await {
        Ok(()) => None,
        Err((stage, error)) => fail(stage)(error),
    }
}

async fn steps(
    world: &World,
    provider: &AzureProvider,
    binding: &Binding,
) -> Result<(), (Stage, ProviderError)> {
    let at = |stage| move |error| (stage, error);
    provider.own_identity().await.map_err(at(Stage::OwnIdentity))?;
    provider.check(binding).map_err(at(Stage::Settings))?;
    let session = provider.assume(binding).await.map_err(at(Stage::Assume))?.value;
    provider.check_deputy(binding, &session).await.map_err(at(Stage::Deputy))?;
    let described = provider.describe(&session).await.map_err(at(Stage::Describe))?;
    let (version, bound) = (described.value.current_version, bound());
    let key = PlaintextKey::generate(&world.arena, KeyLength::B32).unwrap();
    let wrapped = provider.wrap(&session, &key, &version, dek(&bound)).await.map_err(at(Stage::Wrap))?.value;
    provider.unwrap(&session, &wrapped, dek(&bound)).await.map(drop).map_err(at(Stage::Unwrap))
}

async fn diagnosed(world: &World, provider: &AzureProvider, binding: &Binding) -> (Stage, Vec<Cause>) {
    let (stage, error) = first_failure(world, provider, binding).await.unwrap();
    let own = provider.own_identity().await.ok();
    let failed = FailedStage { binding, own: own.as_ref(), stage, error: &error };
    (stage, provider.explain(&failed).await)
}

/// What was done to a tenant for whom everything worked.
enum Broken {
    Edit(Edit),
    NoStep(Step),
    Closed,
    Operations,
    SecretReplaced,
    OtherDirectory,
    NoSuchDirectory,
    WrongName,
    WrongChallenge,
    WrongKind,
}

/// What breaks, where it shows, and the likeliest cause.
fn rows(world: &World, tenant: &Tenant) -> Vec<(Broken, Stage, &'static str)> {
    use Broken::*;
    let (directory, app, key) =
        (tenant.directory.clone(), world.scenario.client_id.clone(), tenant.key.clone());
    let (d, a) = (|| directory.clone(), || app.clone());
    vec![
        (NoStep(Step::Consent), Stage::Assume, "NO_CONSENT"),
        (Edit(self::Edit::RemoveConsent { directory: d(), app: a() }), Stage::Assume, "NO_CONSENT"),
        (
            Edit(self::Edit::DisableServicePrincipal { directory: d(), app: a() }),
            Stage::Assume,
            "PRINCIPAL_DISABLED",
        ),
        (
            Edit(self::Edit::ConditionalAccessBlock { directory: d(), app: a() }),
            Stage::Assume,
            "CONDITIONAL_ACCESS",
        ),
        (Edit(self::Edit::ExpireSecret { app: a() }), Stage::OwnIdentity, "SECRET_EXPIRED"),
        (SecretReplaced, Stage::OwnIdentity, "SECRET_WRONG"),
        (NoSuchDirectory, Stage::Assume, "DIRECTORY_DIFFERS"),
        (OtherDirectory, Stage::Deputy, "DIRECTORY_DIFFERS"),
        (NoStep(Step::Role), Stage::Deputy, "ROLE_MISSING"),
        (Edit(self::Edit::RemoveRoleAssignments { directory: d(), app: a() }), Stage::Deputy, "ROLE_MISSING"),
        (Closed, Stage::Deputy, "FIREWALL"),
        (NoStep(Step::Tag), Stage::Deputy, "CHALLENGE_MISSING"),
        (WrongChallenge, Stage::Deputy, "CHALLENGE_DIFFERS"),
        (Edit(self::Edit::KeyDisabled { key: key.clone() }), Stage::Describe, "KEY_DISABLED"),
        (Edit(self::Edit::KeyExpired { key: key.clone() }), Stage::Describe, "KEY_EXPIRED"),
        (Edit(self::Edit::KeyDeleted { key }), Stage::Deputy, "KEY_NAME_WRONG"),
        (WrongName, Stage::Deputy, "ROLE_MISSING"),
        (Operations, Stage::Describe, "OPERATION_NOT_ALLOWED"),
        (WrongKind, Stage::Describe, "KEY_UNFIT"),
    ]
}

/// A tenant who is broken in this way, and their binding.
async fn broken(world: &World, provider: &AzureProvider, how: &Broken) -> Binding {
    let tenant = match how {
        Broken::NoStep(step) => {
            let tenant = Tenant::new(world, "acme", 1);
            let others: Vec<_> = Step::ALL.into_iter().filter(|other| other != step).collect();
            tenant.paste(world, provider, &others).await;
            tenant
        }
        _ => Tenant::onboard(world, provider, "acme", 1).await,
    };
    let key = tenant.key.to_string();
    match how {
        Broken::Edit(edit) => drop(world.azure().edit(edit.clone()).unwrap()),
        Broken::Closed => {
            let closed = Firewall { default_action: FirewallAction::Deny, ip_rules: Vec::new() };
            world.azure().set_firewall(tenant.key.vault(), closed).unwrap();
        }
        Broken::Operations => world.azure().set_key_ops(&tenant.key, &["sign".to_owned()]).unwrap(),
        Broken::SecretReplaced => std::fs::write(world.file("secret"), "an-id-taken-for-a-secret").unwrap(),
        Broken::WrongChallenge => {
            world.azure().put_tag(&tenant.key, "leasehold-challenge", "lh-other").unwrap()
        }
        Broken::OtherDirectory => {
            let other = Tenant::onboard(world, provider, "other", 2).await;
            return binding_in("acme", &key, other.directory);
        }
        Broken::NoSuchDirectory => return binding_in("acme", &key, "20000000-0000-4000-8000-00000000ffff"),
        Broken::WrongName => {
            return binding_in("acme", &key.replace("/keys/main", "/keys/mian"), tenant.directory);
        }
        Broken::WrongKind => {
            let directory = "20000000-0000-4000-8000-000000000009".parse().unwrap();
            crate::tenant::put_directory(world, &directory, "odd");
            let kind = leasehold_cloudsim::azure::KeyKind::Ec;
            let key = crate::tenant::new_key(world, &directory, "odd", kind, None);
            let binding = binding_in("odd", &key.to_string(), &directory);
            let odd = Tenant { binding, directory, key };
            odd.paste(world, provider, &Step::ALL).await;
            return odd.binding;
        }
        Broken::NoStep(_) => {}
    }
    tenant.binding
}

#[tokio::test]
async fn each_broken_set_up_is_diagnosed() {
    let probe = World::start().await;
    let tenant = Tenant::new(&probe, "acme", 1);
    for (how, stage, reason) in rows(&probe, &tenant) {
        let world = World::start().await;
        let provider = world.provider().await;
        let binding = broken(&world, &provider, &how).await;
        let (found, causes) = diagnosed(&world, &provider, &binding).await;
        assert_eq!((found, causes[0].reason), (stage, reason), "{causes:?}");
        assert!(!causes[0].mend.is_empty());
    }
}

#[tokio::test]
async fn a_role_that_was_given_just_now_is_among_the_causes_and_waiting_mends_it() {
    let world = World::start().await;
    let provider = world.provider().await;
    world.azure().set_propagation(Propagation { rbac_ms: 600_000, ..Propagation::default() });
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let (stage, causes) = diagnosed(&world, &provider, &tenant.binding).await;
    let reasons: Vec<_> = causes.iter().map(|cause| cause.reason).collect();
    assert_eq!(
        (stage, reasons),
        (Stage::Deputy, vec!["ROLE_MISSING", "ROLE_NOT_PROPAGATED", "KEY_NAME_WRONG"])
    );
    world.control().advance(Duration::from_secs(600));
    assert!(first_failure(&world, &provider, &tenant.binding).await.is_none());
}

#[tokio::test]
async fn the_mend_of_a_missing_role_names_the_principal_that_the_directory_knows() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::new(&world, "acme", 1);
    tenant.paste(&world, &provider, &[Step::Consent, Step::Tag]).await;
    let (_, causes) = diagnosed(&world, &provider, &tenant.binding).await;
    let principal = tenant.principal(&world).unwrap();
    assert!(causes[0].mend.contains(&format!("--assignee-object-id {principal}")), "{}", causes[0].mend);
}

async fn inspected(provider: &AzureProvider, tenant: &Tenant, depth: Depth) -> Vec<Finding> {
    let session = provider.assume(&tenant.binding).await.unwrap().value;
    provider.inspect(&tenant.binding, None, &session, depth).await
}

fn verdict(findings: &[Finding], check: &str) -> Verdict {
    findings.iter().find(|finding| finding.check == check).unwrap().verdict
}

#[tokio::test]
async fn a_least_privileged_principal_is_refused_whatever_it_does_not_need() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let findings = inspected(&provider, &tenant, Depth::ExcessPermissions).await;
    assert_eq!(verdict(&findings, "TOKEN"), Verdict::Passed);
    assert_eq!(verdict(&findings, "MAY_LIST_KEYS"), Verdict::Passed);
    assert_eq!(verdict(&findings, "MAY_LIST_DELETED_KEYS"), Verdict::Passed);
    let shallow = inspected(&provider, &tenant, Depth::Access).await;
    assert!(shallow.iter().all(|finding| !finding.check.starts_with("MAY_")), "nobody asked for probes");
}

#[tokio::test]
async fn a_role_at_the_whole_vault_is_found_to_be_too_much() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let scope = world.azure().key_scope(&tenant.key).unwrap();
    let (vault, _) = scope.rsplit_once("/keys/").unwrap();
    let role = "/providers/Microsoft.Authorization/roleDefinitions/e147488a-f6f5-4113-8e2d-b22465e65bf6";
    let properties = serde_json::json!({
        "roleDefinitionId": role, "principalId": tenant.principal(&world).unwrap(), "principalType": "ServicePrincipal",
    });
    world
        .azure()
        .put_role_assignment(&serde_json::json!({ "properties": properties, "scope": vault }))
        .unwrap();
    let findings = inspected(&provider, &tenant, Depth::ExcessPermissions).await;
    let listed = findings.iter().find(|finding| finding.check == "MAY_LIST_KEYS").unwrap();
    assert_eq!((listed.verdict, listed.causes[0].reason), (Verdict::Warning, "EXCESS_PERMISSIONS"));
}

#[tokio::test]
async fn an_old_key_in_software_without_purge_protection_is_warned_of() {
    let world = World::start().await;
    let provider = world.provider().await;
    let tenant = Tenant::onboard(&world, &provider, "acme", 1).await;
    let findings = inspected(&provider, &tenant, Depth::Access).await;
    assert_eq!(verdict(&findings, "PROTECTION"), Verdict::Warning);
    assert_eq!(verdict(&findings, "EXPIRY"), Verdict::Passed);
    assert_eq!(verdict(&findings, "ROTATION"), Verdict::Passed);
    let causes: Vec<_> = findings.iter().flat_map(|finding| &finding.causes).collect();
    assert!(
        causes
            .iter()
            .all(|cause| cause.mend.contains(tenant.key.vault().as_str()) || cause.mend.contains("hsm"))
    );
}
