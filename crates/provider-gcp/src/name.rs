//! Names that Google gives: keys, service accounts, principals. Parsed strictly, so that none can mean anything to a URL, a
//! shell or a policy.

use std::fmt;
use std::str::FromStr;

/// Text that is not the name that was asked for; says what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(&'static str);

/// The id of a project: 6 to 30 characters of `[a-z0-9-]`, or that behind an organisation's domain and a colon. Never the
/// project's number: a project has one id, and so two names of one project are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct ProjectId(Box<str>);

/// Where a key ring is, for example `europe-west3`, `eu` or `global`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Location(Box<str>);

/// A Cloud KMS key: `projects/{project}/locations/{location}/keyRings/{ring}/cryptoKeys/{key}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName {
    whole: Box<str>,
    project: ProjectId,
    location: Location,
    ring: Box<str>,
    key: Box<str>,
}

/// A service account that somebody made, `name@project.iam.gserviceaccount.com`. Not one that Google makes by default: those
/// are shared by everything in their project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct ServiceAccount {
    email: Box<str>,
    project: ProjectId,
}

/// Who Leasehold is, as a policy's `members` name it: `serviceAccount:…`, `principal://iam.googleapis.com/…` or `user:…`. The
/// bare email of a service account is taken as well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Principal {
    member: Box<str>,
    account: Box<str>,
}

// === impl ProjectId ===

impl ProjectId {
    /// As given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (domain, id) = match text.split_once(':') {
            Some((domain, id)) => (Some(domain), id),
            None => (None, text),
        };
        if !domain.is_none_or(is_domain) || !is_slug(id, 6..=30) {
            return Err(NameError(
                "a project is named by its id, 6 to 30 characters of [a-z0-9-] that begin with a letter, not by its \
                 number",
            ));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ProjectId {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

// === impl Location ===

impl Location {
    /// As given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Location {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if !is_slug(text, 2..=63) {
            return Err(NameError("a location is a word of [a-z0-9-], for example europe-west3"));
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Location {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

// === impl KeyName ===

impl KeyName {
    /// As given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// The project that the key is in.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.project
    }

    /// Where the key is.
    #[must_use]
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The key ring's own name.
    #[must_use]
    pub fn ring(&self) -> &str {
        &self.ring
    }

    /// The key's own name.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const FORM: NameError = NameError(
            "a key is named projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY, without a version",
        );
        let parts: Vec<_> = text.split('/').collect();
        let ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", key] =
            parts.as_slice()
        else {
            return Err(FORM);
        };
        if !is_resource(ring) || !is_resource(key) {
            return Err(NameError("key rings and keys are named with 1 to 63 characters of [A-Za-z0-9_-]"));
        }
        Ok(Self {
            whole: text.into(),
            project: project.parse()?,
            location: location.parse()?,
            ring: (*ring).into(),
            key: (*key).into(),
        })
    }
}

// === impl ServiceAccount ===

impl ServiceAccount {
    /// Its email, which is what it is called everywhere.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    /// The project that it is in.
    #[must_use]
    pub fn project(&self) -> &ProjectId {
        &self.project
    }

    /// As a policy's `members` name it.
    pub(crate) fn member(&self) -> String {
        format!("serviceAccount:{}", self.email)
    }

    /// As the IAM Credentials API names it.
    pub(crate) fn resource(&self) -> String {
        format!("projects/-/serviceAccounts/{}", self.email)
    }
}

impl FromStr for ServiceAccount {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const FORM: NameError = NameError(
            "a service account is named by its email, NAME@PROJECT.iam.gserviceaccount.com; make one for Leasehold rather \
             than using a default one",
        );
        let (name, host) = text.split_once('@').ok_or(FORM)?;
        let project = host.strip_suffix(".iam.gserviceaccount.com").ok_or(FORM)?;
        // A project of an organisation's domain, `example.com:id`, is written `id.example.com` here.
        let project = match project.split_once('.') {
            Some((id, domain)) => format!("{domain}:{id}"),
            None => project.to_owned(),
        };
        if !is_slug(name, 6..=30) {
            return Err(FORM);
        }
        Ok(Self { email: text.into(), project: project.parse().map_err(|_| FORM)? })
    }
}

impl TryFrom<String> for ServiceAccount {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

// === impl Principal ===

impl Principal {
    /// As a policy's `members` name us.
    #[must_use]
    pub fn as_member(&self) -> &str {
        &self.member
    }

    /// Where we live: a project's id, or its number where the name says no more than that, or the domain of a person.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The project that we are of, if the name says its id.
    #[must_use]
    pub fn project(&self) -> Option<ProjectId> {
        // Neither a number nor a domain is an id: the one begins with a digit, the other has a dot.
        self.account.parse().ok()
    }
}

impl FromStr for Principal {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const FORM: NameError = NameError(
            "a principal is the email of a service account, or what a policy's members name: serviceAccount:EMAIL, \
             principal://iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/subject/SUBJECT or \
             user:EMAIL",
        );
        // Written into policies and commands: nothing that could end a word or a quotation.
        if text.len() > 512 || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~:/@%+=".contains(&b))
        {
            return Err(FORM);
        }
        if let Some(path) = text.strip_prefix("principal://iam.googleapis.com/projects/") {
            let (number, rest) = path.split_once("/locations/global/workloadIdentityPools/").ok_or(FORM)?;
            let (_, subject) = rest.split_once("/subject/").ok_or(FORM)?;
            let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            return if is_number && !subject.is_empty() {
                Ok(Self { member: text.into(), account: number.into() })
            } else {
                Err(FORM)
            };
        }
        if let Some(email) = text.strip_prefix("user:") {
            let (_, domain) = email.split_once('@').filter(|(_, domain)| is_domain(domain)).ok_or(FORM)?;
            return Ok(Self { member: text.into(), account: domain.into() });
        }
        let email = text.strip_prefix("serviceAccount:").unwrap_or(text);
        let account = account_of(email).ok_or(FORM)?;
        Ok(Self { member: format!("serviceAccount:{email}").into(), account: account.into() })
    }
}

impl TryFrom<String> for Principal {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

/// The project of one of our own service accounts, which may be a default one.
fn account_of(email: &str) -> Option<String> {
    if let Ok(made) = email.parse::<ServiceAccount>() {
        return Some(made.project.0.into());
    }
    let (name, host) = email.split_once('@')?;
    match host {
        "developer.gserviceaccount.com" => {
            let number = name.split_once('-').map_or(name, |(number, _)| number);
            (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then(|| number.to_owned())
        }
        "appspot.gserviceaccount.com" => name.parse::<ProjectId>().ok().map(|project| project.0.into()),
        _ => None,
    }
}

macro_rules! display {
    ($type:ty, $self:ident => $text:expr) => {
        impl fmt::Display for $type {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }
    };
}
display!(ProjectId, self => &self.0);
display!(Location, self => &self.0);
display!(KeyName, self => &self.whole);
display!(ServiceAccount, self => &self.email);
display!(Principal, self => &self.member);

/// Lower-case letters, digits and hyphens; a letter first, no hyphen last.
fn is_slug(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.contains('.') && text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_resource(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "projects/acme-prod/locations/europe-west3/keyRings/Ring_1/cryptoKeys/key-1";

    #[test]
    fn a_key_is_taken_apart() {
        let key: KeyName = KEY.parse().unwrap();
        assert_eq!((key.project().as_str(), key.location().as_str()), ("acme-prod", "europe-west3"));
        assert_eq!((key.ring(), key.key(), key.as_str()), ("Ring_1", "key-1", KEY));
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for bad in [
            "",
            "key-1",
            &format!("{KEY}/cryptoKeyVersions/1"),
            &format!("/{KEY}"),
            &format!("//cloudkms.googleapis.com/{KEY}"),
            &KEY.replace("acme-prod", "123456789012"),
            &KEY.replace("acme-prod", "acme"),
            &KEY.replace("acme-prod", "../../x"),
            &KEY.replace("Ring_1", "a b"),
            &KEY.replace("key-1", "k?x=1"),
            &KEY.replace("key-1", ""),
            &KEY.replace("europe-west3", "Europe"),
        ] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_service_account_knows_its_project() {
        let plain: ServiceAccount = "leasehold@acme-prod.iam.gserviceaccount.com".parse().unwrap();
        assert_eq!(plain.project().as_str(), "acme-prod");
        let scoped: ServiceAccount =
            "leasehold@acme-prod.example.com.iam.gserviceaccount.com".parse().unwrap();
        assert_eq!(scoped.project().as_str(), "example.com:acme-prod");
        for bad in [
            "",
            "leasehold",
            "leasehold@acme-prod.example.com",
            "123-compute@developer.gserviceaccount.com",
            "acme-prod@appspot.gserviceaccount.com",
            "x@acme-prod.iam.gserviceaccount.com",
            "lease hold@acme-prod.iam.gserviceaccount.com",
            "leasehold@.iam.gserviceaccount.com",
            "leasehold/x@acme-prod.iam.gserviceaccount.com",
        ] {
            assert!(bad.parse::<ServiceAccount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_principal_is_what_policies_name() {
        let subject =
            "principal://iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/p/subject/s";
        for (text, member, account, project) in [
            (
                "leasehold@our-platform.iam.gserviceaccount.com",
                "serviceAccount:leasehold@our-platform.iam.gserviceaccount.com",
                "our-platform",
                Some("our-platform"),
            ),
            (
                "our-platform@appspot.gserviceaccount.com",
                "serviceAccount:our-platform@appspot.gserviceaccount.com",
                "our-platform",
                Some("our-platform"),
            ),
            (
                "serviceAccount:123-compute@developer.gserviceaccount.com",
                "serviceAccount:123-compute@developer.gserviceaccount.com",
                "123",
                None,
            ),
            (subject, subject, "123", None),
            ("user:ops@example.com", "user:ops@example.com", "example.com", None),
        ] {
            let principal: Principal = text.parse().unwrap();
            assert_eq!((principal.as_member(), principal.account()), (member, account));
            assert_eq!(principal.project().as_ref().map(ProjectId::as_str), project);
        }
        for bad in [
            "",
            "leasehold",
            "user:",
            "user:x@'",
            "principal://evil.example/projects/1",
            "allUsers",
            "a b@c.d",
        ] {
            assert!(bad.parse::<Principal>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_a_parser(text in any::<String>()) {
            let _ = text.parse::<KeyName>();
            let _ = text.parse::<ServiceAccount>();
            let _ = text.parse::<Principal>();
        }

        #[test]
        fn what_is_parsed_means_nothing_to_a_shell_or_a_url(
            text in "projects/[a-z0-9:.-]{4,20}/locations/[a-z0-9-]{2,9}/keyRings/.{1,9}/cryptoKeys/.{1,9}"
        ) {
            if let Ok(key) = text.parse::<KeyName>() {
                prop_assert_eq!(key.as_str(), &text);
                prop_assert!(!text.contains([' ', '\'', '"', '$', '`', '?', '#', '%', '\\', '\n', ';', '&', '*']));
            }
        }
    }
}
