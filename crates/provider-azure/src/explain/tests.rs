//! Each refusal, and what people are told about it.

use leasehold_provider::{Edge, KeyState, Throttler};

use super::*;
use crate::cloud::Store;
use crate::ids::{ClientId, KeyUrl};
use crate::settings::Plan;

const CLIENT: &str = "11111111-2222-3333-4444-555555555555";
const DIRECTORY: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
const KEY: &str = "https://acme.vault.azure.net/keys/main";

fn explained(stage: Stage, fault: Fault, code: Option<&str>) -> Vec<Cause> {
    let key: KeyUrl = KEY.parse().unwrap();
    let challenge = Some("lh-issued".to_owned());
    let plan = Plan { directory: DIRECTORY.parse().unwrap(), key, store: Store::Vault, challenge };
    let client: ClientId = CLIENT.parse().unwrap();
    let commands = Commands { plan: &plan, client: &client, cloud: Cloud::Public, reply_url: None };
    let error = ProviderError::new(fault, "refused").with_code(code);
    // Whoever unwraps a canary did it before.
    let worked = stage == Stage::Canary;
    causes(
        &commands,
        stage,
        &error,
        Known { object_id: Some("99999999-0000-0000-0000-000000000000"), worked },
    )
}

/// A step, how it failed, the reasons in order, and what the first mend must say.
type Row = (Stage, Fault, Option<&'static str>, &'static [&'static str], &'static str);

/// Our own identity failed.
fn own_rows() -> Vec<Row> {
    use Fault::OwnIdentity;
    use Stage::Assume;
    vec![
        (
            Assume,
            OwnIdentity,
            Some("AADSTS7000215"),
            &["SECRET_WRONG"],
            "az ad app credential reset --id 11111111",
        ),
        (
            Assume,
            OwnIdentity,
            Some("AADSTS7000222"),
            &["SECRET_EXPIRED"],
            "az ad app credential reset --id 11111111",
        ),
        (Assume, OwnIdentity, Some("AADSTS700027"), &["CERTIFICATE_UNKNOWN"], "--cert"),
        (Assume, OwnIdentity, Some("AADSTS700024"), &["ASSERTION_OUT_OF_TIME"], "clock"),
        (Assume, OwnIdentity, Some("AADSTS700211"), &["FEDERATED_ISSUER"], "federated-credential"),
        (Assume, OwnIdentity, Some("AADSTS700212"), &["FEDERATED_AUDIENCE"], "audience"),
        (Assume, OwnIdentity, Some("AADSTS700213"), &["FEDERATED_SUBJECT"], "subject"),
        (Assume, OwnIdentity, Some("AADSTS70021"), &["FEDERATED_CREDENTIAL"], CLIENT),
        (
            Stage::OwnIdentity,
            OwnIdentity,
            Some("AADSTS700016"),
            &["OWN_APPLICATION"],
            "az ad app show --id 11111111",
        ),
        (Stage::OwnIdentity, OwnIdentity, None, &["OWN_CREDENTIALS"], "managed identity"),
    ]
}

/// The tenant's directory refused.
fn assume_rows() -> Vec<Row> {
    use Fault::Unavailable;
    use Stage::Assume;
    let trust = || Fault::Denied { edge: Edge::Trust { hop: 0 } };
    let throttled = || Fault::Throttled { by: Throttler::Cloud, retry_after: None };
    vec![
        (
            Assume,
            trust(),
            Some("AADSTS700016"),
            &["NO_CONSENT", "DIRECTORY_DIFFERS"],
            "az ad sp create --id 11111111",
        ),
        (
            Assume,
            trust(),
            Some("AADSTS7000229"),
            &["NO_CONSENT", "DIRECTORY_DIFFERS"],
            "az ad sp create --id 11111111",
        ),
        (Assume, trust(), Some("AADSTS7000112"), &["PRINCIPAL_DISABLED"], "accountEnabled=true"),
        (Assume, trust(), Some("AADSTS53003"), &["CONDITIONAL_ACCESS"], DIRECTORY),
        (Assume, trust(), Some("AADSTS501051"), &["ASSIGNMENT_REQUIRED"], CLIENT),
        (Assume, trust(), Some("AADSTS500014"), &["KEY_VAULT_DISABLED"], "cfa8b339"),
        (Assume, trust(), Some("AADSTS90002"), &["DIRECTORY_DIFFERS"], "az keyvault show --name acme"),
        (Assume, trust(), Some("AADSTS500011"), &["DIRECTORY_DIFFERS", "KEY_VAULT_MISSING"], DIRECTORY),
        (Assume, throttled(), Some("AADSTS50196"), &["THROTTLED"], "minute"),
        (Assume, Unavailable, None, &["UNREACHABLE"], "https://login.microsoftonline.com"),
    ]
}

/// The vault refused.
fn vault_rows() -> Vec<Row> {
    use Fault::{Misconfigured, SessionExpired, Unavailable};
    use Stage::{Canary, Deputy, Describe, Unwrap, Wrap};
    let key = || Fault::Denied { edge: Edge::Key };
    let throttled = || Fault::Throttled { by: Throttler::Cloud, retry_after: None };
    let assign = "az role assignment create --role e147488a-f6f5-4113-8e2d-b22465e65bf6 --assignee-object-id \
                  99999999-0000-0000-0000-000000000000";
    let tag = "az keyvault key set-attributes --id https://acme.vault.azure.net/keys/main --tags \
               leasehold-challenge=lh-issued";
    vec![
        (
            Describe,
            key(),
            Some("ForbiddenByRbac"),
            &["ROLE_MISSING", "ROLE_NOT_PROPAGATED", "KEY_NAME_WRONG"],
            assign,
        ),
        (Wrap, key(), Some("ForbiddenByRbac"), &["ROLE_INCOMPLETE", "ROLE_NOT_PROPAGATED"], assign),
        (Canary, key(), Some("ForbiddenByRbac"), &["ROLE_MISSING"], assign),
        (
            Describe,
            key(),
            Some("ForbiddenByPolicy"),
            &["ACCESS_POLICY"],
            "az keyvault set-policy --name acme",
        ),
        (Describe, key(), Some("AccessDenied"), &["ACCESS_POLICY"], "--enable-rbac-authorization"),
        (
            Describe,
            key(),
            Some("ForbiddenByFirewall"),
            &["FIREWALL"],
            "az keyvault network-rule add --name acme",
        ),
        (
            Describe,
            key(),
            Some("ForbiddenByConnection"),
            &["PUBLIC_ACCESS_OFF"],
            "--public-network-access Enabled",
        ),
        (Unwrap, key(), Some("KeyOperationForbidden"), &["OPERATION_NOT_ALLOWED"], "--ops wrapKey unwrapKey"),
        (Deputy, Misconfigured, Some("CHALLENGE_MISSING"), &["CHALLENGE_MISSING"], tag),
        (Deputy, Misconfigured, Some("CHALLENGE_DIFFERS"), &["CHALLENGE_DIFFERS"], tag),
        (Deputy, Misconfigured, Some("HOME_DIRECTORY"), &["DIRECTORY_DIFFERS"], DIRECTORY),
        (Describe, key(), Some("Unauthorized"), &["DIRECTORY_DIFFERS"], "properties.tenantId"),
        (Describe, Misconfigured, None, &["KEY_UNFIT"], "--kty RSA --size 3072 --ops wrapKey unwrapKey"),
        (
            Describe,
            Misconfigured,
            Some("OPERATIONS_MISSING"),
            &["OPERATION_NOT_ALLOWED"],
            "set-attributes --id https://acme.vault.azure.net/keys/main --ops wrapKey unwrapKey",
        ),
        (Describe, SessionExpired, Some("Unauthorized"), &["TOKEN_REFUSED"], KEY),
        (Describe, throttled(), Some("Throttled"), &["THROTTLED"], "hierarchy kek"),
        (Describe, Unavailable, None, &["VAULT_AWAY"], "az keyvault show --name acme"),
    ]
}

/// Nobody can use the key.
fn key_rows() -> Vec<Row> {
    use Fault::KeyUnusable;
    use Stage::{Canary, Describe, Unwrap, Wrap};
    vec![
        (Unwrap, KeyUnusable(KeyState::Disabled), Some("KeyDisabled"), &["KEY_DISABLED"], "--enabled true"),
        (Describe, KeyUnusable(KeyState::Disabled), None, &["KEY_DISABLED"], "az keyvault key list-versions"),
        (Describe, KeyUnusable(KeyState::Disabled), Some("KeyDisabled"), &["KEY_DISABLED"], KEY),
        (
            Describe,
            KeyUnusable(KeyState::NotYetValid),
            None,
            &["NOT_YET_VALID"],
            "--not-before 2020-01-01T00:00:00Z",
        ),
        (
            Wrap,
            KeyUnusable(KeyState::NotYetValid),
            Some("KeyNotYetValid"),
            &["NOT_YET_VALID"],
            "--not-before",
        ),
        (
            Wrap,
            KeyUnusable(KeyState::Expired),
            Some("KeyExpired"),
            &["KEY_EXPIRED"],
            "az keyvault key rotate --id",
        ),
        (Describe, KeyUnusable(KeyState::Expired), None, &["KEY_EXPIRED"], "--expires"),
        (
            Describe,
            KeyUnusable(KeyState::NotFound),
            Some("KeyNotFound"),
            &["KEY_NAME_WRONG", "KEY_DELETED"],
            "az keyvault key list --vault-name acme",
        ),
        (
            Canary,
            KeyUnusable(KeyState::NotFound),
            Some("KeyNotFound"),
            &["KEY_DELETED"],
            "az keyvault key recover --vault-name acme --name main",
        ),
        (
            Describe,
            KeyUnusable(KeyState::PendingDeletion),
            Some("ObjectIsDeletedButRecoverable"),
            &["KEY_DELETED"],
            "recover",
        ),
    ]
}

#[test]
fn every_refusal_has_its_causes_and_the_change_that_mends_it() {
    for (stage, fault, code, reasons, mend) in [own_rows(), assume_rows(), vault_rows(), key_rows()].concat()
    {
        let causes = explained(stage, fault, code);
        let found: Vec<_> = causes.iter().map(|cause| cause.reason).collect();
        assert_eq!(found, reasons, "{stage:?} {code:?}");
        assert!(causes[0].mend.contains(mend), "{stage:?} {code:?}: {}", causes[0].mend);
        assert!(causes.iter().all(|cause| cause.text.ends_with('.')), "{stage:?} {code:?}");
    }
}

#[test]
fn what_is_the_callers_mistake_has_no_cause_in_the_tenants_account() {
    assert!(explained(Stage::Unwrap, Fault::Rejected, Some("BadParameter")).is_empty());
}
