//! What a caller's certificate says about the caller.

use std::time::{Duration, SystemTime};

use leasehold_authz::{DnsNames, Identity};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate makes nobody a caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LeafError {
    #[error("it is not an X.509 certificate, an extension occurs twice, or one of its names cannot be read")]
    Malformed,
    #[error("it is an authority's, and those sign instead of calling")]
    Authority,
    #[error(
        "it has a URI among its names, and so it must have exactly one, which must be a SPIFFE id with a path"
    )]
    NotAnSvid,
    #[error("it has neither a SPIFFE id nor DNS names, or more than 16 names, or a wildcard")]
    Nameless,
}

/// Whose certificate it is, if who signed it may say so.
///
/// With a URI among its names it is an X509-SVID, and its DNS names mean nothing
/// (<https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md>, sections 2 and 5.2).
///
/// # Errors
/// [`LeafError`].
pub(super) fn identity(der: &CertificateDer<'_>) -> Result<Identity, LeafError> {
    let certificate = parse(der)?;
    let authority = certificate.basic_constraints().map_err(|_| LeafError::Malformed)?;
    let usage = certificate.key_usage().map_err(|_| LeafError::Malformed)?;
    let signs = usage.is_some_and(|usage| usage.value.key_cert_sign() || usage.value.crl_sign());
    if signs || authority.is_some_and(|basic| basic.value.ca) {
        return Err(LeafError::Authority);
    }
    let names = certificate.subject_alternative_name().map_err(|_| LeafError::Malformed)?;
    let names = names.map(|names| &names.value.general_names[..]).unwrap_or_default();
    // A URI that cannot be read is a URI all the same: without it, the DNS names beside it would become the identity.
    if names.iter().any(|name| matches!(name, GeneralName::Invalid(..))) {
        return Err(LeafError::Malformed);
    }
    let uris: Vec<_> = names.iter().filter_map(uri).collect();
    match uris[..] {
        [] => DnsNames::new(names.iter().filter_map(dns)).map(Identity::Dns).map_err(|_| LeafError::Nameless),
        [uri] => uri.parse().map(Identity::Spiffe).map_err(|_| LeafError::NotAnSvid),
        _ => Err(LeafError::NotAnSvid),
    }
}

/// The last moment at which a certificate is valid; none if it cannot be told.
pub(super) fn valid_until(der: &CertificateDer<'_>) -> Option<SystemTime> {
    let seconds = parse(der).ok()?.validity().not_after.timestamp();
    // What ended before 1970 is over whichever second that was.
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, LeafError> {
    let parsed = X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty());
    parsed.map(|(_, certificate)| certificate).ok_or(LeafError::Malformed)
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::URI(uri) => Some(uri),
        _ => None,
    }
}

fn dns<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    match name {
        GeneralName::DNSName(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, KeyUsagePurpose, SanType,
    };

    use super::*;

    fn of(names: &[&str], adapt: impl FnOnce(&mut CertificateParams)) -> Result<String, LeafError> {
        let mut params = CertificateParams::default();
        let san = |name: &&str| match name.contains(':') {
            true => SanType::URI(name.to_string().try_into().unwrap()),
            false => SanType::DnsName(name.to_string().try_into().unwrap()),
        };
        params.subject_alt_names = names.iter().map(san).collect();
        adapt(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        identity(certificate.der()).map(|identity| identity.to_string())
    }

    #[test]
    fn p6_the_identity_is_the_one_spiffe_id_or_else_the_dns_names() {
        for (names, expected) in [
            (&["spiffe://prod/tenant/acme"][..], Ok("spiffe://prod/tenant/acme")),
            (&["spiffe://prod/a", "dns.example"], Ok("spiffe://prod/a")),
            (&["Engine.example", "engine"], Ok("dns:engine.example,engine")),
            (&["spiffe://prod/a", "spiffe://prod/b"], Err(LeafError::NotAnSvid)),
            (&["spiffe://prod/a", "https://prod/a"], Err(LeafError::NotAnSvid)),
            (&["https://prod/a", "dns.example"], Err(LeafError::NotAnSvid)),
            (&["spiffe://prod"], Err(LeafError::NotAnSvid)),
            (&["spiffe://prod/a/"], Err(LeafError::NotAnSvid)),
            (&["*.example"], Err(LeafError::Nameless)),
            (&["engine.example", "*.example"], Err(LeafError::Nameless)),
            (&[], Err(LeafError::Nameless)),
        ] {
            assert_eq!(of(names, |_| {}), expected.map(str::to_owned), "{names:?}");
        }
    }

    /// The identity of a certificate with these names, each a tag and bytes, whatever they are.
    fn of_raw(names: &[(u8, &[u8])]) -> Result<String, LeafError> {
        let der = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
        let names = names.iter().flat_map(|(tag, content)| der(0x80 | tag, content)).collect::<Vec<_>>();
        of(&[], |params| {
            let names = CustomExtension::from_oid_content(&[2, 5, 29, 17], der(0x30, &names));
            params.custom_extensions = vec![names];
        })
    }

    #[test]
    fn p6_a_name_that_cannot_be_read_makes_nobody_of_the_others() {
        const URI: u8 = 6;
        let dns: (u8, &[u8]) = (2, b"engine.example");
        assert_eq!(
            of_raw(&[dns, (1, b"a@b.example")]).unwrap(),
            "dns:engine.example",
            "this is how it is made"
        );
        for odd in
            [(URI, &b"spiffe://prod/\xff"[..]), (2, b"\xff.example"), (1, b"\xff"), (4, b"\x01"), (9, b"x")]
        {
            for names in [[odd, dns], [dns, odd]] {
                assert_eq!(of_raw(&names), Err(LeafError::Malformed), "{names:?}");
            }
        }
    }

    #[test]
    fn p6_who_may_sign_is_no_caller() {
        let authority = |p: &mut CertificateParams| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let signer = |p: &mut CertificateParams| p.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let revoker = |p: &mut CertificateParams| p.key_usages = vec![KeyUsagePurpose::CrlSign];
        let caller = |p: &mut CertificateParams| p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        assert_eq!(of(&["spiffe://prod/a"], authority), Err(LeafError::Authority));
        assert_eq!(of(&["spiffe://prod/a"], signer), Err(LeafError::Authority));
        assert_eq!(of(&["a.example"], revoker), Err(LeafError::Authority));
        assert!(of(&["spiffe://prod/a"], caller).is_ok());
    }

    #[test]
    fn what_is_no_certificate_is_nobodys() {
        assert_eq!(identity(&CertificateDer::from(vec![1, 2, 3])), Err(LeafError::Malformed));
        assert_eq!(valid_until(&CertificateDer::from(vec![])), None);
    }
}
