//! From the names that callers give keys (id, ARN, alias name, alias ARN) to keys.

use crate::aws::arn::{AccountId, KeyArn, Region};
use crate::aws::auth::Caller;
use crate::aws::error::AwsError;
use crate::aws::world::State;
use crate::aws::world::key::Key;

/// A name as the caller wrote it, parsed.
enum Name {
    Key(KeyArn),
    Alias { region: Region, account: AccountId, alias: String },
}

/// The ARN that a name stands for, whether or not such a key exists; aliases have to exist.
pub(super) fn arn_of(
    state: &State,
    name: &str,
    account: Option<&AccountId>,
    region: &Region,
) -> Option<KeyArn> {
    match parse(name, account, region)? {
        Name::Key(arn) => Some(arn),
        Name::Alias { region, account, alias } => {
            let id = state.accounts.get(&account)?.aliases.get(&(region.clone(), alias))?.clone();
            Some(KeyArn { region, account, id })
        }
    }
}

/// Resolves a name to an ARN in the caller's region.
///
/// # Errors
/// NotFoundException for an alias that does not exist, and for an ARN of another region, in KMS's own words.
pub(super) fn resolve(state: &State, caller: &Caller, name: &str) -> Result<KeyArn, AwsError> {
    let invalid = || AwsError::new("NotFoundException", format!("Invalid keyId '{name}'"));
    let parsed = parse(name, Some(&caller.account), &caller.region).ok_or_else(invalid)?;
    let region = match &parsed {
        Name::Key(arn) => &arn.region,
        Name::Alias { region, .. } => region,
    };
    if *region != caller.region {
        return Err(AwsError::new("NotFoundException", format!("Invalid arn {region}")));
    }
    match parsed {
        Name::Key(arn) => Ok(arn),
        Name::Alias { region, account, alias } => {
            let arn = format!("arn:aws:kms:{region}:{account}:{alias}");
            arn_of(state, &arn, None, &region)
                .ok_or_else(|| AwsError::new("NotFoundException", format!("Alias {arn} is not found.")))
        }
    }
}

/// The key of an ARN, unless it does not exist or has been deleted for good.
pub(super) fn existing<'a>(state: &'a State, caller: &Caller, arn: &KeyArn) -> Option<&'a Key> {
    state.key(arn).filter(|key| !key.is_deleted(caller.now))
}

fn parse(name: &str, account: Option<&AccountId>, region: &Region) -> Option<Name> {
    if let Ok(arn) = name.parse() {
        return Some(Name::Key(arn));
    }
    if let Some(rest) = name.strip_prefix("arn:aws:kms:") {
        let mut parts = rest.splitn(3, ':');
        let (region, account, alias) = (parts.next()?, parts.next()?, parts.next()?);
        let alias = alias.starts_with("alias/").then(|| alias.to_owned())?;
        return Some(Name::Alias { region: region.parse().ok()?, account: account.parse().ok()?, alias });
    }
    if name.starts_with("alias/") {
        return Some(Name::Alias {
            region: region.clone(),
            account: account?.clone(),
            alias: name.to_owned(),
        });
    }
    let well_formed =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let arn = KeyArn { region: region.clone(), account: account?.clone(), id: name.to_owned() };
    well_formed.then_some(Name::Key(arn))
}
