//! Where callers are listened for, and how they are known.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use leasehold_authz::{Identity, TrustDomain};
use serde::Deserialize;

use super::bound;

/// The port that Leasehold uses unless told otherwise.
pub const DEFAULT_PORT: u16 = 7420;

/// Most authorities' files: all of them are looked at every 2 s.
const MAX_AUTHORITIES: usize = 64;

/// Where to listen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Loopback addresses, without TLS: any local user can connect. Default: `["127.0.0.1:7420"]`. Port 0 lets the system
    /// choose.
    pub tcp: Vec<SocketAddr>,
    /// Unix sockets. A socket that a former process left behind is replaced. Default: none.
    pub unix: Vec<PathBuf>,
    /// Permissions of the sockets' files: who may write to one may connect. Default `"0660"`.
    pub unix_mode: UnixMode,
    /// Addresses with TLS, for callers with certificates. Default: none.
    pub tls: Option<Tls>,
}

impl Default for Listen {
    fn default() -> Self {
        let tcp = vec![SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT))];
        Self { tcp, unix: Vec::new(), unix_mode: UnixMode(0o660), tls: None }
    }
}

/// Permissions of a file, written as `"0660"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UnixMode(pub(crate) u32);

impl TryFrom<String> for UnixMode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // Without the owner's write permission nobody but root could connect.
        let usual = |mode: &u32| *mode <= 0o777 && mode & 0o200 != 0;
        let octal = text.bytes().all(|byte| byte.is_ascii_digit());
        let mode = octal.then(|| u32::from_str_radix(&text, 8).ok()).flatten().filter(usual);
        mode.map(Self).ok_or(
            "must be permissions in octal digits, such as \"0660\", with write permission for the owner",
        )
    }
}

/// What a listener proves itself with. Both are read again when they change; connections that are open stay open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that it is signed with, PEM, its own first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// A listener for callers with certificates: TLS 1.3, and nobody without a certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Section")]
pub struct Tls {
    /// `addresses`: where to listen; required. Port 0 lets the system choose.
    pub addresses: Vec<SocketAddr>,
    /// `certificate_file` and `key_file`; required.
    pub files: TlsFiles,
    /// Who may vouch for callers; required.
    pub authorities: Vec<Authority>,
    /// Handshakes under way at once; when there are more, the oldest gives way after 1 s. Default 128: some 8 MiB at worst.
    pub handshakes: usize,
}

/// Who may vouch for some callers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// Certificates of authorities, PEM, each as good as the other. Read again when it changes; connections whose certificate
    /// no authority vouches for any more are closed. While it cannot be used, what it was before stays in force.
    pub ca_file: PathBuf,
    /// For whom: `spiffe://DOMAIN`, for the SPIFFE ids of that trust domain, or `dns`, for certificates with DNS names and no
    /// URI.
    pub vouches_for: VouchesFor,
}

/// Whom an authority may vouch for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum VouchesFor {
    /// SPIFFE ids of this trust domain.
    TrustDomain(TrustDomain),
    /// DNS names.
    DnsNames,
}

impl VouchesFor {
    /// Whether `identity` is one of those.
    #[must_use]
    pub fn cover(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::TrustDomain(domain), Identity::Spiffe(id)) => domain == id.trust_domain(),
            (Self::DnsNames, Identity::Dns(_)) => true,
            _ => false,
        }
    }
}

impl TryFrom<String> for VouchesFor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let domain = text.strip_prefix("spiffe://").and_then(|domain| domain.parse().ok());
        match domain {
            Some(domain) => Ok(Self::TrustDomain(domain)),
            None if text == "dns" => Ok(Self::DnsNames),
            None => Err("vouches_for must be spiffe://DOMAIN or dns"),
        }
    }
}

// === as it is written ===

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    addresses: Vec<SocketAddr>,
    certificate_file: PathBuf,
    key_file: PathBuf,
    authorities: Vec<Authority>,
    #[serde(default = "handshakes", deserialize_with = "bound::count")]
    handshakes: usize,
}

fn handshakes() -> usize {
    128
}

impl TryFrom<Section> for Tls {
    type Error = &'static str;

    fn try_from(section: Section) -> Result<Self, Self::Error> {
        let Section { addresses, certificate_file, key_file, authorities, handshakes } = section;
        if addresses.is_empty() {
            return Err("addresses names no address");
        }
        if !(1..=MAX_AUTHORITIES).contains(&authorities.len()) {
            return Err("there must be from 1 to 64 authorities");
        }
        let mut vouched = BTreeSet::new();
        if !authorities.iter().all(|authority| vouched.insert(&authority.vouches_for)) {
            return Err("two authorities vouch for the same; put the certificates of both in one ca_file");
        }
        let files = TlsFiles { certificate: certificate_file, key: key_file };
        Ok(Self { addresses, files, authorities, handshakes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: &str = "[tls]\naddresses = ['0.0.0.0:7421']\ncertificate_file = 'c'\nkey_file = 'k'\n";
    const PROD: &str = "[[tls.authorities]]\nca_file = 'a'\nvouches_for = 'spiffe://prod'\n";

    fn read(text: &str) -> Result<Listen, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_listener_for_certificates_needs_its_own_and_an_authority() {
        let dns = PROD.replace("spiffe://prod", "dns");
        let tls = read(&format!("{TLS}{PROD}{dns}")).unwrap().tls.unwrap();
        assert_eq!((tls.authorities.len(), tls.handshakes), (2, 128));
        for (text, named) in [
            (TLS.to_owned(), "authorities"),
            (format!("{TLS}authorities = []"), "from 1 to 64"),
            (format!("{TLS}{PROD}{PROD}"), "two authorities vouch for the same"),
            (format!("{}{PROD}", TLS.replace("'0.0.0.0:7421'", "")), "no address"),
            (format!("{}{PROD}", TLS.replace("key_file = 'k'", "")), "key_file"),
            (format!("{TLS}{}", PROD.replace("spiffe://prod", "prod")), "vouches_for must be"),
            (format!("{TLS}{}", PROD.replace("spiffe://prod", "spiffe://Prod")), "vouches_for must be"),
            (format!("{TLS}{}", PROD.replace("spiffe://prod", "spiffe://prod/a")), "vouches_for must be"),
            (format!("{TLS}handshakes = 0\n{PROD}"), "from 1 to"),
            (format!("{TLS}{PROD}x = 1"), "unknown field"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn the_mode_of_a_socket_is_written_as_chmod_has_it() {
        assert_eq!(read("unix_mode = '0600'").unwrap().unix_mode, UnixMode(0o600));
        for bad in ["", "rw", "0999", "01777", "0440", "+600"] {
            assert!(read(&format!("unix_mode = '{bad}'")).is_err(), "{bad}");
        }
    }
}
