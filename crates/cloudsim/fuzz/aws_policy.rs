//! Policies of AWS IAM: one document, used as every kind.

#![no_main]

use std::sync::LazyLock;

use leasehold_cloudsim::aws::policy::{
    ConditionContext, Decision, Policies, PolicyDocument, PolicyKind, Principal, Request,
    evaluate_assume_role, evaluate_identity, evaluate_kms,
};
use libfuzzer_sys::fuzz_target;

const ACCOUNT: &str = "111122223333";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/k";

static EVERYTHING: LazyLock<[PolicyDocument; 2]> = LazyLock::new(|| {
    ["Allow", "Deny"].map(|effect| {
        let text = format!(r#"{{"Statement":{{"Effect":"{effect}","Action":"*","Resource":"*"}}}}"#);
        text.parse().expect("a document")
    })
});

fuzz_target!(|text: &str| {
    let Ok(document) = text.parse::<PolicyDocument>() else { return };
    let again: PolicyDocument = document.to_string().parse().expect("what was read can be read again");
    assert_eq!(again, document);
    for kind in [PolicyKind::Identity, PolicyKind::Trust, PolicyKind::Key] {
        assert_eq!(document.check(kind), again.check(kind));
    }
    let account = ACCOUNT.to_owned();
    let callers = [
        Principal::Root { account: account.clone() },
        Principal::AssumedRole { account: account.clone(), role: "leasehold".into(), session: "s".into() },
        Principal::User { account: "999900001111".into(), name: "ops".into() },
        Principal::Anonymous,
    ];
    for caller in &callers {
        decide(caller, &document);
    }
});

fn decide(principal: &Principal, document: &PolicyDocument) {
    let mut context = ConditionContext::new();
    context.set("sts:ExternalId", "lh-1");
    context.set("aws:PrincipalArn", principal.arn());
    context.set("aws:SecureTransport", "true");
    context.set("aws:CurrentTime", "2026-01-31T12:00:00Z");
    context.set("kms:EncryptionContext:tenant", "acme");
    context.set_many("aws:TagKeys", vec!["team".into(), "tenant".into()]);
    for (action, resource) in [
        ("kms:Decrypt", KEY),
        ("sts:AssumeRole", "arn:aws:iam::111122223333:role/leasehold"),
        ("sts:GetCallerIdentity", "*"),
    ] {
        let request = Request { principal, action, resource, resource_account: ACCOUNT, context: &context };
        let [allow, deny] = &*EVERYTHING;
        let (this, none) = (std::slice::from_ref(document), Policies::default());
        let kinds: [fn(&Request<'_>, &Policies<'_>) -> Decision; 3] =
            [evaluate_kms, evaluate_assume_role, evaluate_identity];
        for (kind, evaluate) in kinds.into_iter().enumerate() {
            let evaluate = |policies: Policies<'_>| evaluate(&request, &policies);
            // A root user may do what nobody forbids; nobody in particular has no policies that could.
            let (is_root, is_nobody) =
                (matches!(principal, Principal::Root { .. }), *principal == Principal::Anonymous);
            assert!(evaluate(none) != Decision::Allow || is_root && kind == 2, "nothing allows");
            let denied = std::slice::from_ref(deny);
            let forbidden =
                evaluate(Policies { identity: denied, resource: Some(document), session: this, ..none });
            assert!(forbidden != Decision::Allow, "a deny wins");
            assert!(
                is_nobody || matches!(forbidden, Decision::ExplicitDeny { .. }),
                "a deny is said to be one"
            );

            // More documents that have to allow never allow more.
            let plain = Policies { identity: std::slice::from_ref(allow), resource: Some(document), ..none };
            let cut = Policies {
                session: this,
                boundary: Some(document),
                service_control: Some(document),
                ..plain
            };
            if evaluate(plain) != Decision::Allow {
                assert_ne!(evaluate(cut), Decision::Allow, "a limit grants");
            }
        }
    }
}
