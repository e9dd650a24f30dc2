//! The listener on which feeds of the clouds' events ask for proofs; `docs/reprove.md` says how to set one up.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use leasehold_authz::{FeedName, Rule, TenantPattern};
use serde::Deserialize;
use url::{Host, Url};

use super::{Span, TlsFiles, bound};

/// Most feeds: each is compared with every secret that is presented, and 256 comparisons of 32 bytes take some 10 µs.
const MAX_CALLERS: usize = 256;

/// Most proofs that follow one event, and the latest of them. A lease of the longest bound is proven again within half an
/// hour anyway.
const MAX_FOLLOWING: usize = 4;
const LATEST_FOLLOWING: Duration = Duration::from_secs(30 * 60);

/// Why the section `[reprove]` cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReproveConfigError {
    /// Only one of the two files is given.
    #[error("certificate_file and key_file belong together: give both, or neither")]
    HalfTls,
    /// Plain HTTP beyond this machine.
    #[error(
        "{0} is not a loopback address, and without certificate_file and key_file a feed's secret would cross the network \
         in the clear: give both, or listen on loopback behind a proxy that terminates TLS"
    )]
    Clear(SocketAddr),
    /// Nothing to listen on.
    #[error("listen names no address")]
    Nowhere,
    /// Nobody could call, or too many.
    #[error("there must be from 1 to {MAX_CALLERS} callers")]
    Callers,
    /// Two callers of one name.
    #[error("two callers are called {0}")]
    SameName(FeedName),
    /// A caller has no credential, or more than one.
    #[error("the caller {0} needs exactly one of secret_file and oidc")]
    Credential(FeedName),
    /// Two callers are known by the same tokens.
    #[error(
        "the callers {0} and {1} are known by the same tokens: merge them, or give each a holder of its own"
    )]
    SameTokens(FeedName, FeedName),
    /// A caller may have no tenant proven.
    #[error("the caller {0} needs tenants")]
    NoTenants(FeedName),
    /// A token's holder is not named, or named twice.
    #[error("oidc needs exactly one of subject and email, and every value must be given")]
    Holder,
    /// Keys would come from anywhere, or in the clear.
    #[error("jwks_url must be an https URL; http is for loopback addresses, in tests")]
    JwksUrl,
    /// Too many following proofs, or too late ones.
    #[error(
        "again_after may have at most {MAX_FOLLOWING} spans, each from 1s to 30m and longer than the one before"
    )]
    Following,
}

/// The listener for event feeds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Section")]
pub struct Reprove {
    /// Where to listen; required. Port 0 lets the system choose. Anything but loopback needs `tls`.
    pub listen: Vec<SocketAddr>,
    /// `certificate_file` and `key_file`. Default: none, and plain HTTP on loopback.
    pub tls: Option<TlsFiles>,
    /// Who may ask, for whom; required.
    pub callers: Vec<ReproveCaller>,
    /// When an event is followed by further proofs. Default 10 s and 60 s: an event may overtake the change that it tells
    /// of, which IAM applies within seconds and KMS mostly within seconds, and a proof that succeeds too early must not
    /// be the last word. Empty: never.
    pub again_after: Vec<Span>,
    /// Bounds.
    pub limits: ReproveLimits,
}

/// One feed. It can do nothing but have these tenants proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReproveCaller {
    /// What it is called in records.
    pub name: FeedName,
    /// How it is known.
    pub credential: Credential,
    /// Whom it may have proven, written as in rules.
    pub tenants: Vec<TenantPattern>,
}

/// How a feed is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// `secret_file`: a file with the secret, which only its owner may read. It is read again when it changes. Up to four
    /// secrets, one a line, so that a new one is known before the old one is gone.
    Secret(PathBuf),
    /// `oidc`: a token.
    Token(TokenTerms),
}

/// Which tokens a feed is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTerms {
    /// The token's `iss`, exactly: `https://accounts.google.com`, for example.
    pub issuer: String,
    /// What its `aud` must have.
    pub audience: String,
    /// Whose it must be.
    pub holder: Holder,
    /// Where the issuer's keys are.
    pub jwks_url: Url,
}

/// Whose a token must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// `subject`: its `sub`.
    Subject(String),
    /// `email`: its `email`, which must be verified.
    Email(String),
}

/// Bounds of what event feeds may use.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReproveLimits {
    /// Connections open at once. Default 256. When there are more, one that never showed a valid credential gives way.
    #[serde(deserialize_with = "bound::count")]
    pub connections: usize,
    /// Requests under way at once. Default 64: each holds at most 80 KiB, so 5 MiB in all.
    #[serde(deserialize_with = "bound::count")]
    pub requests: usize,
    /// Requests per second about one tenant, in the long run. Default 0.2, twelve a minute: an edit leaves one to five
    /// events, and people make few.
    #[serde(deserialize_with = "bound::event_rate")]
    pub tenant_rate: f64,
    /// Requests about one tenant at once. Default 10: two edits of five events.
    #[serde(deserialize_with = "bound::count")]
    pub tenant_burst: u32,
    /// Requests per second of one feed, in the long run. Default 10. Each has every lease of one tenant that is in use
    /// proven, and again by the two that follow: 30 of the 300 proofs per second that there are, if every request is about
    /// another tenant with one lease each.
    #[serde(deserialize_with = "bound::event_rate")]
    pub caller_rate: f64,
    /// Requests of one feed at once. Default 100, for what a feed held back during an outage.
    #[serde(deserialize_with = "bound::count")]
    pub caller_burst: u32,
}

impl Default for ReproveLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            requests: 64,
            tenant_rate: 0.2,
            tenant_burst: 10,
            caller_rate: 10.0,
            caller_burst: 100,
        }
    }
}

impl Reprove {
    /// What its feeds may do.
    pub fn rules(&self) -> impl Iterator<Item = Rule> {
        self.callers.iter().map(|caller| Rule::reprove(caller.name.clone(), caller.tenants.clone()))
    }
}

// === as it is written ===

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    listen: Vec<SocketAddr>,
    certificate_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    callers: Vec<CallerSection>,
    again_after: Option<Vec<Span>>,
    #[serde(default)]
    limits: ReproveLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerSection {
    name: FeedName,
    secret_file: Option<PathBuf>,
    oidc: Option<OidcSection>,
    tenants: Vec<TenantPattern>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OidcSection {
    issuer: String,
    audience: String,
    subject: Option<String>,
    email: Option<String>,
    jwks_url: String,
}

impl TryFrom<Section> for Reprove {
    type Error = ReproveConfigError;

    fn try_from(section: Section) -> Result<Self, ReproveConfigError> {
        let tls = match (section.certificate_file, section.key_file) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
            (None, None) => None,
            _ => return Err(ReproveConfigError::HalfTls),
        };
        let is_local = |address: &&SocketAddr| address.ip().to_canonical().is_loopback();
        if let (None, Some(beyond)) = (&tls, section.listen.iter().find(|address| !is_local(address))) {
            return Err(ReproveConfigError::Clear(*beyond));
        }
        if section.listen.is_empty() {
            return Err(ReproveConfigError::Nowhere);
        }
        let callers: Vec<ReproveCaller> =
            section.callers.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        if !(1..=MAX_CALLERS).contains(&callers.len()) {
            return Err(ReproveConfigError::Callers);
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = callers.iter().find(|caller| !names.insert(&caller.name)) {
            return Err(ReproveConfigError::SameName(twice.name.clone()));
        }
        for (index, caller) in callers.iter().enumerate() {
            let token = |caller: &ReproveCaller| match &caller.credential {
                Credential::Token(terms) => {
                    Some((terms.issuer.clone(), terms.audience.clone(), terms.holder.clone()))
                }
                Credential::Secret(_) => None,
            };
            let same = |other: &&ReproveCaller| token(other).is_some() && token(other) == token(caller);
            if let Some(other) = callers[..index].iter().find(same) {
                return Err(ReproveConfigError::SameTokens(other.name.clone(), caller.name.clone()));
            }
        }
        let usual = || [10, 60].map(|seconds| Span(Duration::from_secs(seconds))).to_vec();
        let again_after = following(section.again_after.unwrap_or_else(usual))?;
        Ok(Self { listen: section.listen, tls, callers, again_after, limits: section.limits })
    }
}

fn following(spans: Vec<Span>) -> Result<Vec<Span>, ReproveConfigError> {
    let bounded = spans.iter().all(|span| (Duration::from_secs(1)..=LATEST_FOLLOWING).contains(&span.0));
    let rising = spans.is_sorted_by(|earlier, later| earlier.0 < later.0);
    match bounded && rising && spans.len() <= MAX_FOLLOWING {
        true => Ok(spans),
        false => Err(ReproveConfigError::Following),
    }
}

impl TryFrom<CallerSection> for ReproveCaller {
    type Error = ReproveConfigError;

    fn try_from(section: CallerSection) -> Result<Self, ReproveConfigError> {
        let CallerSection { name, secret_file, oidc, tenants } = section;
        let credential = match (secret_file, oidc) {
            (Some(file), None) => Credential::Secret(file),
            (None, Some(oidc)) => Credential::Token(oidc.try_into()?),
            _ => return Err(ReproveConfigError::Credential(name)),
        };
        if tenants.is_empty() {
            return Err(ReproveConfigError::NoTenants(name));
        }
        Ok(Self { name, credential, tenants })
    }
}

impl TryFrom<OidcSection> for TokenTerms {
    type Error = ReproveConfigError;

    fn try_from(section: OidcSection) -> Result<Self, ReproveConfigError> {
        let OidcSection { issuer, audience, subject, email, jwks_url } = section;
        let given = |text: &String| !text.is_empty();
        let holder = match (subject.filter(given), email.filter(given)) {
            (Some(subject), None) => Holder::Subject(subject),
            (None, Some(email)) => Holder::Email(email),
            _ => return Err(ReproveConfigError::Holder),
        };
        if issuer.is_empty() || audience.is_empty() {
            return Err(ReproveConfigError::Holder);
        }
        let jwks_url = Url::parse(&jwks_url).map_err(|_| ReproveConfigError::JwksUrl)?;
        let loopback = match jwks_url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            _ => false,
        };
        match jwks_url.scheme() {
            "https" => Ok(Self { issuer, audience, holder, jwks_url }),
            "http" if loopback => Ok(Self { issuer, audience, holder, jwks_url }),
            _ => Err(ReproveConfigError::JwksUrl),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "[[callers]]\nname = 'acme'\nsecret_file = '/run/secret'\ntenants = ['acme']\n";

    fn read(head: &str, callers: &str) -> Result<Reprove, String> {
        toml::from_str(&format!("{head}\n{callers}")).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn the_shortest_section_has_the_documented_defaults() {
        let reprove = read("listen = ['127.0.0.1:0']", CALLER).unwrap();
        assert_eq!((reprove.tls, reprove.limits), (None, ReproveLimits::default()));
        assert_eq!(reprove.again_after, [10, 60].map(|s| Span(Duration::from_secs(s))));
        assert_eq!(reprove.callers[0].credential, Credential::Secret("/run/secret".into()));
    }

    #[test]
    fn no_secret_crosses_the_network_in_the_clear() {
        for beyond in ["0.0.0.0:443", "[::]:443", "10.0.0.1:443"] {
            let listen = format!("listen = ['127.0.0.1:0', '{beyond}']");
            let error = read(&listen, CALLER).unwrap_err();
            assert!(error.contains(beyond) && error.contains("in the clear"), "{error}");
            let tls = format!("{listen}\ncertificate_file = 'c'\nkey_file = 'k'");
            assert!(read(&tls, CALLER).is_ok(), "{beyond}");
            let half = format!("{listen}\ncertificate_file = 'c'");
            assert!(read(&half, CALLER).unwrap_err().contains("belong together"));
        }
    }

    #[test]
    fn what_cannot_work_is_refused_and_named() {
        let listen = "listen = ['127.0.0.1:0']";
        let caller = |fields: &str| format!("[[callers]]\nname = 'acme'\n{fields}\n");
        let oidc = |fields: &str| caller(&format!("tenants = ['a']\noidc = {{ {fields} }}"));
        let good = "issuer = 'i', audience = 'a', email = 'e', jwks_url = 'https://i/keys'";
        assert!(read(listen, &oidc(good)).is_ok());
        assert!(read(listen, &oidc(&good.replace("https://i", "http://127.0.0.1:1"))).is_ok());
        for (head, callers, named) in [
            ("listen = []", CALLER.to_owned(), "no address"),
            ("listen = ['127.0.0.1:0']\ncallers = []", String::new(), "from 1 to 256"),
            (listen, CALLER.repeat(2), "two callers are called acme"),
            (listen, CALLER.replace("'acme'", "'Acme!'"), "event feed"),
            (listen, caller("tenants = ['a']"), "exactly one of secret_file and oidc"),
            (listen, caller("secret_file = 's'\ntenants = []"), "needs tenants"),
            (listen, caller("secret_file = 's'\ntenants = ['A']"), "tenant pattern"),
            (listen, caller("secret_file = 's'\ntenants = ['a']\nsecret = 'x'"), "secret"),
            (listen, oidc(good) + &oidc(good).replace("'acme'", "'other'"), "known by the same tokens"),
            (listen, oidc(&format!("{good}, subject = 's'")), "exactly one of subject and email"),
            (listen, oidc(&good.replace("email = 'e'", "email = ''")), "exactly one of subject and email"),
            (listen, oidc(&good.replace("https://i", "http://i")), "https URL"),
            (listen, oidc(&good.replace("https://i", "file:///i")), "https URL"),
            ("listen = ['127.0.0.1:0']\nagain_after = ['60s', '10s']", CALLER.to_owned(), "again_after"),
            ("listen = ['127.0.0.1:0']\nagain_after = ['0s']", CALLER.to_owned(), "again_after"),
            ("listen = ['127.0.0.1:0']\nlimits = { requests = 0 }", CALLER.to_owned(), "must be from 1"),
        ] {
            let error = read(head, &callers).unwrap_err();
            assert!(error.contains(named), "{head} {callers}: {error}");
        }
    }
}
