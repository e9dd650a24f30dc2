//! Which documents have to allow, and which can forbid.

use serde_json::json;

use super::*;

/// What each document of a row says about the request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    /// There is no such document.
    Absent,
    /// It speaks of something else.
    Silent,
    Allow,
    Deny,
}
use Says::{Absent, Allow, Deny, Silent};

/// Whom the resource policy's statement names.
#[derive(Clone, Copy, Debug)]
enum Names {
    Session,
    Role,
    User,
    Account,
    Everyone,
    SomeoneElse,
}

impl Names {
    fn json(self, account: &str) -> serde_json::Value {
        match self {
            Self::Session => json!({"AWS": format!("arn:aws:sts::{account}:assumed-role/Worker/s1")}),
            Self::Role => json!({"AWS": format!("arn:aws:iam::{account}:role/Worker")}),
            Self::User => json!({"AWS": format!("arn:aws:iam::{account}:user/alice")}),
            Self::Account => json!({"AWS": format!("arn:aws:iam::{account}:root")}),
            Self::Everyone => json!("*"),
            Self::SomeoneElse => json!({"AWS": [
                format!("arn:aws:iam::{account}:role/Other"),
                format!("arn:aws:sts::{account}:assumed-role/Worker/s2"),
                format!("arn:aws:iam::{account}:user/bob"),
                "arn:aws:iam::777788889999:root",
            ]}),
        }
    }
}

struct Row {
    resource: (Names, Says),
    identity: Says,
    boundary: Says,
    session: Says,
    expected: char,
}

const fn row(resource: (Names, Says), identity: Says, boundary: Says, session: Says, expected: char) -> Row {
    Row { resource, identity, boundary, session, expected }
}

fn statement(says: Says, action: &str) -> Option<serde_json::Value> {
    match says {
        Absent => None,
        Silent => Some(json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"})),
        Allow => Some(json!({"Effect": "Allow", "Action": action, "Resource": "*"})),
        Deny => Some(json!([
            {"Effect": "Allow", "Action": action, "Resource": "*"},
            {"Effect": "Deny", "Action": action, "Resource": "*"},
        ])),
    }
}

fn plain(says: Says, action: &str) -> Vec<PolicyDocument> {
    let statement = statement(says, action);
    statement
        .map(|statement| document(&json!({"Version": "2012-10-17", "Statement": statement})))
        .into_iter()
        .collect()
}

fn resource(names: Names, says: Says, account: &str, action: &str) -> Option<PolicyDocument> {
    let mut statements = statement(says, action)?;
    let list = match &mut statements {
        serde_json::Value::Array(list) => list.iter_mut().collect(),
        one => vec![one],
    };
    for statement in list {
        statement["Principal"] = names.json(account);
        statement.as_object_mut().unwrap().remove("Resource");
    }
    Some(document(&json!({"Version": "2012-10-17", "Statement": statements})))
}

/// Runs the rows for a key and for a role: the documentation names these two together as the exceptions to the rule that a
/// resource policy need not allow.
fn check(caller: &Principal, rows: &[Row]) {
    let account = caller.account().unwrap();
    for (index, row) in rows.iter().enumerate() {
        for (action, target) in [("kms:Decrypt", KEY), ("sts:AssumeRole", ROLE)] {
            let context = ConditionContext::new();
            let request = Request {
                principal: caller,
                action,
                resource: target,
                resource_account: ACCOUNT,
                context: &context,
            };
            let identity = plain(row.identity, action);
            let boundary = plain(row.boundary, action);
            let session = plain(row.session, action);
            let resource = resource(row.resource.0, row.resource.1, account, action);
            let policies = Policies {
                identity: &identity,
                boundary: boundary.first(),
                session: &session,
                resource: resource.as_ref(),
                ..Policies::default()
            };
            let decision = match target {
                KEY => evaluate_kms(&request, &policies),
                _ => evaluate_assume_role(&request, &policies),
            };
            assert_eq!(letter(&decision), row.expected, "row {index} for {action}: {decision:?}");
        }
    }
}

#[test]
fn within_an_account_a_session_needs_what_the_evaluation_table_says() {
    use Names::*;
    check(
        &session_of(ACCOUNT),
        &[
            // Without the resource policy nothing helps.
            row((Role, Absent), Allow, Absent, Absent, 'i'),
            row((Role, Silent), Allow, Absent, Absent, 'i'),
            row((SomeoneElse, Says::Allow), Allow, Absent, Absent, 'i'),
            // The account delegates to identity policies, and these are narrowed.
            row((Account, Says::Allow), Allow, Absent, Absent, 'A'),
            row((Account, Says::Allow), Absent, Absent, Absent, 'i'),
            row((Account, Says::Allow), Silent, Absent, Absent, 'i'),
            row((Account, Says::Allow), Allow, Silent, Absent, 'i'),
            row((Account, Says::Allow), Allow, Allow, Absent, 'A'),
            row((Account, Says::Allow), Allow, Absent, Silent, 'i'),
            row((Account, Says::Allow), Allow, Absent, Allow, 'A'),
            row((Account, Says::Allow), Allow, Allow, Allow, 'A'),
            row((Account, Says::Allow), Absent, Allow, Allow, 'i'),
            // The role's ARN stands for an identity policy and is narrowed as one.
            row((Role, Says::Allow), Absent, Absent, Absent, 'A'),
            row((Role, Says::Allow), Silent, Absent, Absent, 'A'),
            row((Role, Says::Allow), Absent, Silent, Absent, 'i'),
            row((Role, Says::Allow), Absent, Allow, Absent, 'A'),
            row((Role, Says::Allow), Absent, Absent, Silent, 'i'),
            row((Role, Says::Allow), Absent, Absent, Allow, 'A'),
            row((Role, Says::Allow), Absent, Allow, Silent, 'i'),
            row((Role, Says::Allow), Absent, Silent, Allow, 'i'),
            // The session's ARN, and everyone, are not narrowed by what is merely left out.
            row((Session, Says::Allow), Absent, Absent, Absent, 'A'),
            row((Session, Says::Allow), Silent, Silent, Silent, 'A'),
            row((Everyone, Says::Allow), Absent, Absent, Absent, 'A'),
            row((Everyone, Says::Allow), Silent, Silent, Silent, 'A'),
            // An explicit deny wins wherever it stands.
            row((Session, Says::Allow), Deny, Absent, Absent, 'X'),
            row((Session, Says::Allow), Absent, Deny, Absent, 'X'),
            row((Session, Says::Allow), Absent, Absent, Deny, 'X'),
            row((Role, Says::Allow), Deny, Absent, Absent, 'X'),
            row((Account, Says::Allow), Allow, Deny, Allow, 'X'),
            row((Session, Deny), Allow, Allow, Allow, 'X'),
            row((Role, Deny), Allow, Allow, Allow, 'X'),
            row((Account, Deny), Allow, Allow, Allow, 'X'),
            row((Everyone, Deny), Allow, Allow, Allow, 'X'),
            row((SomeoneElse, Deny), Allow, Allow, Allow, 'i'),
        ],
    );
}

#[test]
fn within_an_account_a_user_named_by_its_arn_needs_nothing_else() {
    use Names::*;
    check(
        &user_of(ACCOUNT),
        &[
            row((User, Says::Allow), Absent, Absent, Absent, 'A'),
            row((User, Says::Allow), Silent, Silent, Absent, 'A'),
            row((Everyone, Says::Allow), Absent, Silent, Absent, 'A'),
            row((Account, Says::Allow), Absent, Absent, Absent, 'i'),
            row((Account, Says::Allow), Allow, Absent, Absent, 'A'),
            row((Account, Says::Allow), Allow, Silent, Absent, 'i'),
            row((Role, Says::Allow), Allow, Absent, Absent, 'i'),
            row((User, Absent), Allow, Absent, Absent, 'i'),
            row((User, Says::Allow), Deny, Absent, Absent, 'X'),
            row((User, Says::Allow), Absent, Deny, Absent, 'X'),
            row((User, Deny), Allow, Absent, Absent, 'X'),
        ],
    );
}

#[test]
fn across_accounts_both_sides_have_to_allow() {
    use Names::*;
    let mut rows = Vec::new();
    for names in [Session, Role, Account, Everyone] {
        rows.extend([
            row((names, Says::Allow), Allow, Absent, Absent, 'A'),
            row((names, Says::Allow), Absent, Absent, Absent, 'i'),
            row((names, Says::Allow), Silent, Absent, Absent, 'i'),
            row((names, Says::Allow), Allow, Silent, Absent, 'i'),
            row((names, Says::Allow), Allow, Absent, Silent, 'i'),
            row((names, Says::Allow), Allow, Allow, Allow, 'A'),
            row((names, Absent), Allow, Absent, Absent, 'i'),
            row((names, Silent), Allow, Absent, Absent, 'i'),
            row((names, Deny), Allow, Absent, Absent, 'X'),
            row((names, Says::Allow), Deny, Absent, Absent, 'X'),
        ]);
    }
    check(&session_of(OTHER_ACCOUNT), &rows);
    check(
        &user_of(OTHER_ACCOUNT),
        &[
            row((User, Says::Allow), Allow, Absent, Absent, 'A'),
            row((User, Says::Allow), Absent, Absent, Absent, 'i'),
            row((User, Says::Allow), Allow, Silent, Absent, 'i'),
        ],
    );
}

#[test]
fn a_root_user_is_its_account_but_no_more_than_the_resource_lets_it_be() {
    use Names::*;
    for account in [ACCOUNT, OTHER_ACCOUNT] {
        check(
            &root_of(account),
            &[
                row((Account, Says::Allow), Absent, Absent, Absent, 'A'),
                row((Everyone, Says::Allow), Absent, Absent, Absent, 'A'),
                row((Role, Says::Allow), Absent, Absent, Absent, 'i'),
                row((Account, Absent), Absent, Absent, Absent, 'i'),
                row((Account, Deny), Absent, Absent, Absent, 'X'),
            ],
        );
    }
}

#[test]
fn a_web_identity_is_decided_by_the_trust_policy_alone() {
    let provider = "arn:aws:iam::111122223333:oidc-provider/issuer.example";
    let caller = Principal::WebIdentity { provider: provider.into() };
    let mut context = ConditionContext::new();
    context.set("issuer.example:sub", "system:serviceaccount:a:b");
    let decide = |principal: serde_json::Value, subject: &str| {
        let trust = document(&json!({"Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {"issuer.example:sub": subject}},
        }}));
        let request = Request {
            principal: &caller,
            action: "sts:AssumeRoleWithWebIdentity",
            resource: ROLE,
            resource_account: ACCOUNT,
            context: &context,
        };
        letter(&evaluate_assume_role(&request, &Policies { resource: Some(&trust), ..Policies::default() }))
    };
    let subject = "system:serviceaccount:a:b";
    assert_eq!(decide(json!({"Federated": provider}), subject), 'A');
    assert_eq!(decide(json!({"Federated": provider}), "system:serviceaccount:a:c"), 'i');
    assert_eq!(
        decide(json!({"Federated": "arn:aws:iam::111122223333:oidc-provider/other.example"}), subject),
        'i'
    );
    assert_eq!(decide(json!({"AWS": ACCOUNT}), subject), 'i');
}

#[test]
fn an_unsigned_request_never_reaches_a_key() {
    let everyone = document(&json!({"Statement": {
        "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"}}));
    let context = ConditionContext::new();
    let request = Request {
        principal: &Principal::Anonymous,
        action: "kms:Decrypt",
        resource: KEY,
        resource_account: ACCOUNT,
        context: &context,
    };
    let policies = Policies { resource: Some(&everyone), ..Policies::default() };
    assert_eq!(letter(&evaluate_kms(&request, &policies)), 'i');
}

#[test]
fn not_principal_spares_only_callers_listed_with_account_role_and_session() {
    let decide = |spared: serde_json::Value, boundary: bool| {
        let key_policy = document(&json!({"Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"},
            {"Effect": "Deny", "NotPrincipal": {"AWS": spared}, "Action": "kms:*", "Resource": "*"},
        ]}));
        let everything = document(&json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}));
        let context = ConditionContext::new();
        let caller = session_of(ACCOUNT);
        let request = Request {
            principal: &caller,
            action: "kms:Decrypt",
            resource: KEY,
            resource_account: ACCOUNT,
            context: &context,
        };
        let boundary = boundary.then_some(&everything);
        let policies = Policies { resource: Some(&key_policy), boundary, ..Policies::default() };
        letter(&evaluate_kms(&request, &policies))
    };
    let (root, role) = ("arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:role/Worker");
    let session = "arn:aws:sts::111122223333:assumed-role/Worker/s1";
    assert_eq!(decide(json!([root, role, session]), false), 'A');
    assert_eq!(decide(json!([ACCOUNT, role, session]), false), 'A');
    assert_eq!(decide(json!([root, role, session]), true), 'X');
    assert_eq!(decide(json!([role, session]), false), 'X');
    assert_eq!(decide(json!([root, session]), false), 'X');
    assert_eq!(decide(json!([root, role]), false), 'X');
}

#[test]
fn identity_policies_alone_decide_where_there_is_no_resource_policy() {
    let context = ConditionContext::new();
    let caller = session_of(ACCOUNT);
    let action = "iam:GetRole";
    for (identity, boundary, session, expected) in [
        (Allow, Absent, Absent, 'A'),
        (Absent, Absent, Absent, 'i'),
        (Silent, Absent, Absent, 'i'),
        (Allow, Silent, Absent, 'i'),
        (Allow, Absent, Silent, 'i'),
        (Allow, Allow, Allow, 'A'),
        (Deny, Allow, Allow, 'X'),
        (Allow, Deny, Absent, 'X'),
        (Allow, Absent, Deny, 'X'),
    ] {
        let (identity, boundary, session) =
            (plain(identity, action), plain(boundary, action), plain(session, action));
        let policies = Policies {
            identity: &identity,
            boundary: boundary.first(),
            session: &session,
            ..Policies::default()
        };
        let request = Request {
            principal: &caller,
            action,
            resource: ROLE,
            resource_account: ACCOUNT,
            context: &context,
        };
        assert_eq!(letter(&evaluate_identity(&request, &policies)), expected, "{policies:?}");
    }
}

#[test]
fn reasons_read_as_aws_writes_them() {
    let context = ConditionContext::new();
    let caller = session_of(ACCOUNT);
    let request = |action| Request {
        principal: &caller,
        action,
        resource: KEY,
        resource_account: ACCOUNT,
        context: &context,
    };
    let (allow, deny) = (plain(Allow, "kms:Decrypt"), plain(Deny, "kms:Decrypt"));
    let delegating = resource(Names::Account, Allow, ACCOUNT, "kms:Decrypt").unwrap();
    let base = Policies { identity: &allow, resource: Some(&delegating), ..Policies::default() };
    let silent = plain(Silent, "");
    let kms = |policies: &Policies<'_>| match evaluate_kms(&request("kms:Decrypt"), policies) {
        Decision::Allow => String::from("allowed"),
        Decision::ImplicitDeny { reason } | Decision::ExplicitDeny { reason } => reason,
    };
    assert_eq!(kms(&base), "allowed");
    for (policies, reason) in [
        (
            Policies { identity: &[], ..base },
            "because no identity-based policy allows the kms:Decrypt action",
        ),
        (
            Policies { resource: None, ..base },
            "because no resource-based policy allows the kms:Decrypt action",
        ),
        (
            Policies { boundary: silent.first(), ..base },
            "because no permissions boundary allows the kms:Decrypt action",
        ),
        (Policies { session: &silent, ..base }, "because no session policy allows the kms:Decrypt action"),
        (
            Policies { service_control: silent.first(), ..base },
            "because no service control policy allows the kms:Decrypt action",
        ),
        (
            Policies { service_control: deny.first(), ..base },
            "with an explicit deny in a service control policy",
        ),
        (Policies { identity: &deny, ..base }, "with an explicit deny in an identity-based policy"),
        (Policies { resource: deny.first(), ..base }, "with an explicit deny in a resource-based policy"),
        (Policies { boundary: deny.first(), ..base }, "with an explicit deny in a permissions boundary"),
        (Policies { session: &deny, ..base }, "with an explicit deny in a session policy"),
    ] {
        assert_eq!(kms(&policies), reason);
    }
    let assume = evaluate_assume_role(&request("sts:AssumeRole"), &Policies { resource: None, ..base });
    let reason = "because no role trust policy allows the sts:AssumeRole action".into();
    assert_eq!(assume, Decision::ImplicitDeny { reason });
}

#[test]
fn names_count_only_in_their_own_account() {
    let context = ConditionContext::new();
    let worker = json!({"AWS": [
        format!("arn:aws:iam::{OTHER_ACCOUNT}:role/Worker"),
        format!("arn:aws:sts::{OTHER_ACCOUNT}:assumed-role/Worker/s1"),
        format!("arn:aws:iam::{OTHER_ACCOUNT}:user/alice"),
    ]});
    let key_policy = document(&json!({"Statement": {
        "Effect": "Allow", "Principal": worker, "Action": "kms:*", "Resource": "*"}}));
    for caller in [session_of(ACCOUNT), user_of(ACCOUNT), root_of(ACCOUNT)] {
        let request = Request {
            principal: &caller,
            action: "kms:Decrypt",
            resource: KEY,
            resource_account: ACCOUNT,
            context: &context,
        };
        let policies = Policies { resource: Some(&key_policy), ..Policies::default() };
        assert_eq!(letter(&evaluate_kms(&request, &policies)), 'i', "{caller}");
    }
}
