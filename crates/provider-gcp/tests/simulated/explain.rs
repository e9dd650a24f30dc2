//! Broken set-ups of the clouds' own making, which no owner's edit brings about: each is told by its code.

use leasehold_provider::{Cause, FailedStage, Fault, KeyProvider, OwnIdentity, ProviderError, Stage};
use leasehold_provider_gcp::{BaseIdentity, Endpoints, FixedToken, GcpConfig, GcpProvider};
use leasehold_secret::{Arena, ArenaConfig};
use leasehold_tenant::Binding;
use serde_json::{Value, json};

use crate::binding::{activated, binding};
use crate::wire::Wire;

const KEY: &str = "projects/acme-prod/locations/europe-west3/keyRings/ring/cryptoKeys/key";
const ACCOUNT: &str = "leasehold@acme-prod.iam.gserviceaccount.com";
const DELEGATE: &str = "delegate@hop-project.iam.gserviceaccount.com";

struct Bench {
    wire: Wire,
    provider: GcpProvider,
    binding: Binding,
}

impl Bench {
    async fn start() -> Self {
        let wire = Wire::start().await;
        let arena =
            Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, ..ArenaConfig::default() }).unwrap();
        let url = || Some(wire.url.clone());
        let config = GcpConfig {
            identity: BaseIdentity::Fixed(FixedToken::new("token")),
            principal: Some("leasehold@our-platform.iam.gserviceaccount.com".parse().unwrap()),
            endpoints: Endpoints { kms: url(), iam_credentials: url(), sts: None, metadata: None },
            ..GcpConfig::default()
        };
        let provider = GcpProvider::build(config, arena).await.unwrap();
        let binding = binding("acme", KEY, &json!({ "service_account": ACCOUNT, "delegates": [DELEGATE] }));
        Self { wire, provider, binding }
    }

    /// How an assume fails that is answered like this.
    async fn assume(&self, status: u16, code: &str, message: &str, details: Value) -> ProviderError {
        self.wire.answer(status, refusal(code, message, details));
        self.provider.assume(&self.binding).await.unwrap_err()
    }

    /// How a look at the key fails that is answered like this.
    async fn describe(&self, status: u16, code: &str, message: &str, details: Value) -> ProviderError {
        self.wire.answer_session();
        let session = self.provider.assume(&self.binding).await.unwrap().value;
        self.wire.answer(status, refusal(code, message, details));
        self.provider.describe(&session).await.unwrap_err()
    }

    async fn causes(&self, stage: Stage, error: &ProviderError) -> Vec<Cause> {
        let own = OwnIdentity {
            principal: "serviceAccount:leasehold@our-platform.iam.gserviceaccount.com".to_owned(),
            account: "our-platform".to_owned(),
        };
        let failed = FailedStage { binding: &self.binding, own: Some(&own), stage, error };
        self.provider.explain(&failed).await
    }

    /// Answers the questions that explaining a denied key asks: is it labelled, if the binding was not activated, and which
    /// permissions are there?
    fn answer_permissions(&self, permissions: &[&str]) {
        self.wire.answer_session();
        if self.binding.canary.is_none() {
            let labels = json!({ "leasehold-challenge": self.binding.external_id.as_str() });
            self.wire.answer(200, json!({ "name": KEY, "labels": labels }).to_string());
        }
        self.wire.answer(200, json!({ "permissions": permissions }).to_string());
    }
}

fn refusal(code: &str, message: &str, details: Value) -> String {
    json!({ "error": { "code": 0, "status": code, "message": message, "details": details } }).to_string()
}

fn info(reason: &str, metadata: Value) -> Value {
    json!([{
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
        "metadata": metadata,
    }])
}

fn reasons(causes: &[Cause]) -> Vec<&str> {
    causes.iter().map(|cause| cause.reason).collect()
}

const DENIED: &str = "PERMISSION_DENIED";

#[tokio::test]
async fn what_our_own_project_lacks_is_the_operators_to_mend() {
    let bench = Bench::start().await;
    for (code, details, reason, mend) in [
        (
            DENIED,
            info("SERVICE_DISABLED", json!({ "service": "iamcredentials.googleapis.com" })),
            "IAM_CREDENTIALS_API_OFF",
            "gcloud services enable iamcredentials.googleapis.com --project=our-platform",
        ),
        (DENIED, info("BILLING_DISABLED", json!({})), "OWN_PROJECT_REFUSED", "our-platform"),
        (DENIED, info("USER_PROJECT_DENIED", json!({})), "OWN_PROJECT_REFUSED", "serviceUsageConsumer"),
        (DENIED, info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", json!({})), "OWN_SCOPE_TOO_SMALL", "cloud-platform"),
        ("UNAUTHENTICATED", info("ACCOUNT_STATE_INVALID", json!({})), "OWN_ACCOUNT_DISABLED", "our-platform"),
    ] {
        // Twice, because a token of our own that is not fresh is renewed and tried again.
        bench.wire.answer(403, refusal(code, "no", details.clone()));
        let error = bench.assume(403, code, "no", details).await;
        assert_eq!(error.fault(), &Fault::OwnIdentity, "{reason}");
        let causes = bench.causes(Stage::Assume, &error).await;
        assert_eq!(causes[0].reason, reason);
        assert!(causes[0].mend.starts_with("# Operator") && causes[0].mend.contains(mend), "{causes:?}");
        while bench.wire.drain() {}
    }
}

#[tokio::test]
async fn a_refusal_that_names_its_hop_is_explained_for_that_hop() {
    let bench = Bench::start().await;
    let about =
        info("IAM_PERMISSION_DENIED", json!({ "resource": format!("projects/-/serviceAccounts/{ACCOUNT}") }));
    let error =
        bench.assume(403, DENIED, "Permission denied on resource (or it may not exist).", about).await;
    let causes = bench.causes(Stage::Assume, &error).await;
    assert_eq!(
        reasons(&causes),
        [
            "NO_TOKEN_CREATOR",
            "NO_DELEGATION",
            "NOT_PROPAGATED",
            "SERVICE_ACCOUNT_MISSING",
            "SERVICE_ACCOUNT_DISABLED",
            "DENY_POLICY"
        ]
    );
    let mend = &causes[0].mend;
    assert!(
        mend.contains(ACCOUNT) && mend.contains(&format!("--member='serviceAccount:{DELEGATE}'")),
        "{mend}"
    );
    assert!(causes[1].mend.contains("leaseholdDelegate") && causes[1].mend.contains("our-platform"));
}

#[tokio::test]
async fn what_the_answer_proves_comes_alone() {
    let bench = Bench::start().await;
    let message = format!("Not found; Gaia id not found for email {ACCOUNT}");
    let gone = bench.assume(404, "NOT_FOUND", &message, json!([])).await;
    assert_eq!(reasons(&bench.causes(Stage::Assume, &gone).await), ["SERVICE_ACCOUNT_MISSING"]);
    let message = format!("Service account {ACCOUNT} is disabled.");
    let disabled = bench.assume(400, "FAILED_PRECONDITION", &message, json!([])).await;
    let causes = bench.causes(Stage::Assume, &disabled).await;
    assert_eq!(reasons(&causes), ["SERVICE_ACCOUNT_DISABLED"]);
    assert!(causes[0].mend.contains(&format!("enable {ACCOUNT}")), "{causes:?}");
}

#[tokio::test]
async fn a_service_perimeter_is_told_from_a_missing_grant() {
    let bench = Bench::start().await;
    let message =
        "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: abc123";
    let error = bench.describe(403, DENIED, message, info("SECURITY_POLICY_VIOLATED", json!({}))).await;
    assert!(error.is_denial());
    let causes = bench.causes(Stage::Describe, &error).await;
    assert_eq!(reasons(&causes), ["VPC_SERVICE_CONTROLS"]);
    assert!(causes[0].mend.contains("abc123") && causes[0].mend.contains(ACCOUNT), "{causes:?}");
}

#[tokio::test]
async fn a_service_that_is_switched_off_is_told_from_a_missing_grant() {
    let bench = Bench::start().await;
    for (reason, cause, mend) in [
        (
            "SERVICE_DISABLED",
            "KMS_API_OFF",
            "gcloud services enable cloudkms.googleapis.com --project=acme-prod",
        ),
        ("BILLING_DISABLED", "BILLING_OFF", "acme-prod"),
        ("CONSUMER_INVALID", "BILLING_OFF", "acme-prod"),
    ] {
        let error = bench.describe(403, DENIED, "no", info(reason, json!({}))).await;
        assert!(error.is_denial(), "the tenant's project says no");
        let causes = bench.causes(Stage::Describe, &error).await;
        assert_eq!(reasons(&causes), [cause]);
        assert!(causes[0].mend.contains(mend), "{causes:?}");
    }
}

#[tokio::test]
async fn an_external_key_managers_no_is_told_from_a_missing_grant() {
    let bench = Bench::start().await;
    for (kind, reason) in [
        ("EXTERNAL_PERMISSION_DENIED", "EXTERNAL_KEY_DENIED"),
        ("EXTERNAL_NOT_FOUND", "EXTERNAL_KEY_MISSING"),
    ] {
        let violations = [("KEY_ENABLED", "state"), (kind, "attempt")];
        let violations = violations.map(|(kind, about)| json!({ "type": kind, "subject": about }));
        let details = json!([{ "@type": "type.googleapis.com/google.rpc.PreconditionFailure", "violations": violations }]);
        let error = bench.describe(400, "FAILED_PRECONDITION", "no", details).await;
        assert!(error.is_denial(), "{error:?}");
        let causes = bench.causes(Stage::Describe, &error).await;
        assert_eq!(reasons(&causes), [reason]);
        assert!(causes[0].mend.contains("gcp-sa-ekms") && causes[0].mend.contains(KEY), "{causes:?}");
    }
}

#[tokio::test]
async fn exactly_the_permissions_that_are_missing_are_named() {
    const ENCRYPT: &str = "cloudkms.cryptoKeyVersions.useToEncrypt";
    const DECRYPT: &str = "cloudkms.cryptoKeyVersions.useToDecrypt";
    const GET: &str = "cloudkms.cryptoKeys.get";
    let mut bench = Bench::start().await;
    let error =
        bench.describe(403, DENIED, "Permission denied", info("IAM_PERMISSION_DENIED", json!({}))).await;
    for pending in [true, false] {
        if !pending {
            bench.binding = activated(&bench.binding);
        }
        for (has, expected) in [
            (&[ENCRYPT, DECRYPT][..], &["NO_KEY_GET", "NOT_PROPAGATED", "DENY_POLICY"][..]),
            (&[DECRYPT, GET], &["NO_USE_TO_ENCRYPT", "NOT_PROPAGATED", "DENY_POLICY"]),
            (&[ENCRYPT, GET], &["NO_USE_TO_DECRYPT", "NOT_PROPAGATED", "DENY_POLICY"]),
            (&[], &["NO_KEY_GRANT", "NOT_PROPAGATED", "DENY_POLICY"]),
            (&[ENCRYPT, DECRYPT, GET], &["NOT_PROPAGATED", "DENY_POLICY"]),
        ] {
            bench.answer_permissions(has);
            let causes = bench.causes(Stage::Describe, &error).await;
            assert_eq!(reasons(&causes), expected, "{has:?}");
            assert!(causes.iter().any(|cause| cause.mend.contains("gcloud kms keys")), "{causes:?}");
        }
    }
}

#[tokio::test]
async fn p6_no_permission_is_named_before_the_label_was_seen() {
    let bench = Bench::start().await;
    let error =
        bench.describe(403, DENIED, "Permission denied", info("IAM_PERMISSION_DENIED", json!({}))).await;
    let before = bench.wire.requests().len();
    for (status, body) in [
        (200, json!({ "name": KEY, "labels": { "leasehold-challenge": "lh-other" } }).to_string()),
        (200, json!({ "name": KEY }).to_string()),
        (403, refusal(DENIED, "Permission denied", json!([]))),
    ] {
        bench.wire.answer_session();
        bench.wire.answer(status, body);
        let causes = bench.causes(Stage::Describe, &error).await;
        assert_eq!(reasons(&causes), ["NO_KEY_GRANT", "KEY_MISSING", "NOT_PROPAGATED", "DENY_POLICY"]);
        assert!(causes[0].text.contains("does not have all of"), "{causes:?}");
    }
    let asked: Vec<_> = bench.wire.requests().split_off(before);
    assert!(asked.iter().all(|seen| !seen.line.contains("testIamPermissions")), "{asked:?}");
}

#[tokio::test]
async fn a_settings_complaint_says_itself_what_to_change() {
    let bench = Bench::start().await;
    let broken = binding("acme", KEY, &json!({ "service_account": "leasehold" }));
    let error = bench.provider.check(&broken).unwrap_err();
    let failed = FailedStage { binding: &broken, own: None, stage: Stage::Settings, error: &error };
    let causes = bench.provider.explain(&failed).await;
    assert_eq!(reasons(&causes), ["SETTINGS_INVALID"]);
    assert!(causes[0].mend.contains("email"), "{causes:?}");
}
