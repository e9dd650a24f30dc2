//! Becoming the tenant's principal, hop by hop, and trying to as a confused deputy would.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_sts::types::Tag;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use leasehold_provider::{Answer, Edge, Fault, OwnIdentity, ProviderError, Session};

use crate::arn::{KeyArn, RoleArn};
use crate::clients::Clients;
use crate::error::{Call, failure};
use crate::settings::{Hop, Plan};

/// How long a session lasts by AWS's word: the least that STS gives. A session that we lose is of no use for long.
const SESSION_SECONDS: i32 = 900;

/// When an access key expires that never does: the year 9999.
const FAR_AWAY: Duration = Duration::from_secs(253_402_300_799);

/// An external id that we never issue, in the form of those that we do, so that a trust policy which takes any of ours
/// (`StringLike lh-*`) is caught as well.
const WRONG_EXTERNAL_ID: &str = "lh-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// What a session of this provider holds. The credentials wipe themselves when the last clone is dropped.
pub(crate) struct RoleSession {
    pub(crate) credentials: Credentials,
    pub(crate) key: KeyArn,
    /// Its connections, which are closed with it.
    pub(crate) http: SharedHttpClient,
}

/// Our code for a role that lets in whoever comes through us.
pub(crate) const LETS_ANYBODY_IN: &str = "LETS_ANYBODY_IN";
/// Our code for a role of the account that we live in.
pub(crate) const ROLE_IN_OUR_ACCOUNT: &str = "ROLE_IN_OUR_ACCOUNT";

/// What an assume leaves out of all that its hop declares, to find out what stands in the way or what is superfluous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Less {
    /// Nothing.
    Nothing,
    ExternalId,
    Tags,
    SourceIdentity,
    /// The policy that cuts the session down.
    SessionPolicy,
}

/// One hop, taken.
struct Taken {
    credentials: Credentials,
    expires_at: SystemTime,
    request_id: Option<Box<str>>,
}

/// Becomes the plan's principal. Each hop is asked of STS, every time.
pub(crate) async fn assume(clients: &Clients, plan: &Plan) -> Result<Answer<Session>, ProviderError> {
    let mut taken: Option<Taken> = None;
    for (index, hop) in plan.hops.iter().enumerate() {
        let signed_by = taken.as_ref().map(|taken| &taken.credentials);
        taken = Some(take(clients, plan, index, hop.external_id.as_deref(), Less::Nothing, signed_by).await?);
    }
    let Taken { credentials, expires_at, request_id } =
        taken.ok_or_else(|| ProviderError::new(Fault::Misconfigured, "the binding names no role"))?;
    let session =
        Session::new(expires_at, RoleSession { credentials, key: plan.key.clone(), http: clients.pool() });
    Ok(Answer { value: session, request_id })
}

/// Ourselves, for the platform's own keys: our credentials, loaded anew, if AWS still takes them.
pub(crate) async fn as_ourselves(clients: &Clients, key: &KeyArn) -> Result<Answer<Session>, ProviderError> {
    let loaded = clients.base.provide_credentials().await;
    let credentials = loaded.map_err(|_| {
        ProviderError::new(Fault::OwnIdentity, "our own base credentials could not be loaded")
    })?;
    let (client, signed) = clients.sts(Some(&credentials));
    let answer = client.get_caller_identity().customize().config_override(signed).send().await;
    let answer = answer.map_err(|e| failure(Call::WhoAmI, &e))?;
    let request_id = aws_sdk_sts::operation::RequestId::request_id(&answer).map(Into::into);
    let expires_at = credentials.expiry().unwrap_or(SystemTime::UNIX_EPOCH + FAR_AWAY);
    let session =
        Session::new(expires_at, RoleSession { credentials, key: key.clone(), http: clients.pool() });
    Ok(Answer { value: session, request_id })
}

/// Becomes the role of hop `index`, the last step with `less` than it declares. Leaves nothing behind but log lines.
pub(crate) async fn reach(
    clients: &Clients,
    plan: &Plan,
    index: usize,
    less: Less,
) -> Result<Credentials, ProviderError> {
    let mut credentials: Option<Credentials> = None;
    for (at, hop) in plan.hops.iter().enumerate().take(index + 1) {
        let less = if at == index { less } else { Less::Nothing };
        let taken = take(clients, plan, at, hop.external_id.as_deref(), less, credentials.as_ref()).await?;
        credentials = Some(taken.credentials);
    }
    credentials.ok_or_else(incomplete)
}

/// Tries every hop that has an external id without it, and with a wrong one.
///
/// The roles of our own account are refused first: they may trust us for reasons that have nothing to do with the
/// tenant who names them.
pub(crate) async fn check_deputy(
    clients: &Clients,
    plan: &Plan,
    own: &OwnIdentity,
) -> Result<(), ProviderError> {
    if let Some(hop) = plan.hops.iter().find(|hop| hop.role.account().as_str() == own.account) {
        let detail =
            format!("{} is in the account that Leasehold runs in: use a role of the tenant's own", hop.role);
        return Err(ProviderError::new(Fault::Misconfigured, detail).with_code(Some(ROLE_IN_OUR_ACCOUNT)));
    }
    let mut taken: Option<Taken> = None;
    for (index, hop) in plan.hops.iter().enumerate() {
        let signed_by = taken.as_ref().map(|taken| &taken.credentials);
        if hop.external_id.is_some() {
            let (without, wrong) = tokio::join!(
                take(clients, plan, index, None, Less::Nothing, signed_by),
                take(clients, plan, index, Some(WRONG_EXTERNAL_ID), Less::Nothing, signed_by),
            );
            must_be_denied(without, hop, "without an external id")?;
            must_be_denied(wrong, hop, "with a wrong external id")?;
        }
        if index + 1 < plan.hops.len() {
            let external_id = hop.external_id.as_deref();
            taken = Some(take(clients, plan, index, external_id, Less::Nothing, signed_by).await?);
        }
    }
    Ok(())
}

/// Who we are by AWS's word.
pub(crate) async fn own_identity(
    clients: &Clients,
    configured: Option<&RoleArn>,
) -> Result<OwnIdentity, ProviderError> {
    let answer =
        clients.base_sts.get_caller_identity().send().await.map_err(|e| failure(Call::WhoAmI, &e))?;
    let (Some(arn), Some(account)) = (answer.arn, answer.account) else {
        return Err(incomplete());
    };
    let principal = configured.map_or_else(|| principal_of(&arn), |role| role.as_str().to_owned());
    Ok(OwnIdentity { principal, account })
}

async fn take(
    clients: &Clients,
    plan: &Plan,
    index: usize,
    external_id: Option<&str>,
    less: Less,
    signed_by: Option<&Credentials>,
) -> Result<Taken, ProviderError> {
    let hop = plan.hops.get(index).ok_or_else(incomplete)?;
    let (client, credentials) = clients.sts(signed_by);
    let answer = client
        .assume_role()
        .role_arn(hop.role.as_str())
        .role_session_name(&plan.session_name)
        .duration_seconds(SESSION_SECONDS)
        .set_policy((less != Less::SessionPolicy).then(|| hop.policy.clone()))
        .set_external_id(external_id.filter(|_| less != Less::ExternalId).map(str::to_owned))
        .set_tags(tags(hop)?.filter(|_| less != Less::Tags))
        .set_transitive_tag_keys(some_if_any(hop.transitive_tag_keys.clone()).filter(|_| less != Less::Tags))
        .set_source_identity(hop.source_identity.clone().filter(|_| less != Less::SourceIdentity))
        .customize()
        .config_override(credentials)
        .send()
        .await
        .map_err(|e| failure(Call::Assume { hop: index }, &e))?;
    let request_id = aws_sdk_sts::operation::RequestId::request_id(&answer).map(Into::into);
    let given = answer.credentials.ok_or_else(incomplete)?;
    let parts = [&given.access_key_id, &given.secret_access_key, &given.session_token];
    // The SDK makes 1970 of an expiry that is not there.
    if parts.iter().any(|part| part.is_empty()) || given.expiration.secs() <= 0 {
        return Err(incomplete());
    }
    let expires_at = SystemTime::try_from(given.expiration).map_err(|_| incomplete())?;
    let credentials = Credentials::new(
        given.access_key_id,
        given.secret_access_key,
        Some(given.session_token),
        Some(expires_at),
        "leasehold",
    );
    Ok(Taken { credentials, expires_at, request_id })
}

fn must_be_denied(tried: Result<Taken, ProviderError>, hop: &Hop, how: &str) -> Result<(), ProviderError> {
    match tried {
        Ok(_) => {
            let advice = format!(
                "the role {} lets us in {how}: add the condition \"StringEquals\": {{\"sts:ExternalId\": \"{}\"}} to its trust policy",
                hop.role,
                hop.external_id.as_deref().unwrap_or_default()
            );
            Err(ProviderError::new(Fault::Misconfigured, advice).with_code(Some(LETS_ANYBODY_IN)))
        }
        Err(error) if matches!(error.fault(), Fault::Denied { edge: Edge::Trust { .. } }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn tags(hop: &Hop) -> Result<Option<Vec<Tag>>, ProviderError> {
    let tag = |(key, value): &(String, String)| Tag::builder().key(key).value(value).build();
    let tags: Vec<_> = hop.tags.iter().map(tag).collect::<Result<_, _>>().map_err(|_| incomplete())?;
    Ok(some_if_any(tags))
}

/// An empty list is not sent: it would count as tagging, which a trust policy may refuse.
fn some_if_any<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// What a trust policy names for who `arn` is: the role, if it is a session of one. AWS leaves the role's path out of a
/// session's ARN.
fn principal_of(arn: &str) -> String {
    let role = || {
        let (front, session) = arn.split_once(":assumed-role/")?;
        let front = front.replacen(":sts:", ":iam:", 1);
        let (role, _) = session.split_once('/')?;
        Some(format!("{front}:role/{role}"))
    };
    role().unwrap_or_else(|| arn.to_owned())
}

fn incomplete() -> ProviderError {
    ProviderError::new(Fault::Unavailable, "the answer of STS is incomplete")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_policies_name_the_role_behind_a_session() {
        for (arn, principal) in [
            (
                "arn:aws:sts::111122223333:assumed-role/leasehold/i-0abc",
                "arn:aws:iam::111122223333:role/leasehold",
            ),
            ("arn:aws-cn:sts::111122223333:assumed-role/r/s/t", "arn:aws-cn:iam::111122223333:role/r"),
            ("arn:aws:iam::111122223333:user/ops", "arn:aws:iam::111122223333:user/ops"),
            ("arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root"),
            ("", ""),
            (":assumed-role/", ":assumed-role/"),
        ] {
            assert_eq!(principal_of(arn), principal);
        }
    }
}
