//! What lets a server start, and is not likely to be meant.

use std::time::SystemTime;

use leasehold_authz::{IdentityPattern, Rule};
use leasehold_secret::KeyLength;

use super::limits::{Room, bytes};
use crate::config::{Config, Listen, Registry, TlsFiles, VouchesFor};
use crate::tls;

pub(super) fn of(config: &Config, now: SystemTime) -> Vec<String> {
    let mut warnings = bounds(config);
    warnings.extend(dangers(config));
    warnings.extend(certificates(config).filter_map(|files| expired(files, now)));
    warnings.extend(rules(config));
    warnings
}

fn bounds(config: &Config) -> Vec<String> {
    let (limits, room) = (&config.limits, Room::of(config));
    let mut warnings = Vec::new();
    if room.needed() > room.there_is {
        warnings.push(format!(
            "memory.arena_bytes has room for {} keys, and limits.calls and the leases that lease.proofs_per_second allows at a bound of \
             300 s need {}: when it is full, calls get RESOURCE_EXHAUSTED. {} would be enough",
            room.there_is,
            room.needed(),
            bytes(room.needed().saturating_mul(KeyLength::MAX_BYTES))
        ));
    }
    if limits.drain.0 < limits.deadline.0 {
        let text = "limits.drain is shorter than limits.deadline: calls are cut when the process ends";
        warnings.push(text.to_owned());
    }
    if config.lease.cache_bytes_per_tenant > config.lease.cache_bytes {
        let text =
            "lease.cache_bytes_per_tenant is more than there is in all: one tenant can crowd out the others";
        warnings.push(text.to_owned());
    }
    warnings
}

fn dangers(config: &Config) -> impl Iterator<Item = String> {
    let loopback_beside_tls =
        config.listen.tls.is_some() && config.listen.tcp.iter().any(|at| at.ip().is_loopback());
    let dangers = [
        (config.memory.danger_allow_unlocked, "memory.danger_allow_unlocked: keys may be swapped to disk"),
        (
            config.audit.danger_serve_unrecorded,
            "audit.danger_serve_unrecorded: what cannot be recorded is served",
        ),
        (
            config.registry == Registry::Memory,
            "registry.kind is memory: tenants and bindings are gone when the process ends",
        ),
        (
            loopback_beside_tls,
            "listen.tcp lets any local user in besides the callers with certificates: set it to [] if nobody needs it",
        ),
        (
            config.sentinels.is_empty(),
            "no sentinels: if our own identity breaks, every tenant's keys are wiped at once as if they had revoked",
        ),
    ];
    dangers.into_iter().filter(|(there, _)| *there).map(|(_, text)| text.to_owned())
}

// === certificates ===

/// Those that the service shows.
fn certificates(config: &Config) -> impl Iterator<Item = &TlsFiles> {
    let callers = config.listen.tls.iter().map(|tls| &tls.files);
    callers.chain(config.reprove.iter().filter_map(|reprove| reprove.tls.as_ref()))
}

fn expired(files: &TlsFiles, now: SystemTime) -> Option<String> {
    let over = tls::valid_until(files).is_some_and(|end| end < now);
    over.then(|| {
        format!("the certificate {} has expired: nobody who checks it connects", files.certificate.display())
    })
}

// === rules ===

fn rules(config: &Config) -> Vec<String> {
    let Some(rules) = &config.rules else {
        let text = "no [[rules]]: whoever connects on this machine may do everything, and whoever comes with a certificate nothing";
        return vec![text.to_owned()];
    };
    if rules.iter().next().is_none() {
        return vec!["rules is empty: nobody may do anything".to_owned()];
    }
    let idle = |rule: &Rule| {
        let why = allows_nothing(rule).or_else(|| meets_nobody(rule, &config.listen));
        why.map(|why| format!("the rule {} allows nothing: {why}", rule.name))
    };
    rules.iter().filter_map(idle).collect()
}

fn allows_nothing(rule: &Rule) -> Option<&'static str> {
    match (rule.operations.is_empty(), rule.tenants.is_empty()) {
        (true, _) => Some("its operations name none"),
        (_, true) => Some("its tenants name none"),
        _ => None,
    }
}

/// Why nobody turns out to be whom the rule is about.
fn meets_nobody(rule: &Rule, listen: &Listen) -> Option<&'static str> {
    let vouched = |wanted: &VouchesFor| {
        let authorities = listen.tls.iter().flat_map(|tls| &tls.authorities);
        authorities.map(|authority| &authority.vouches_for).any(|who| who == wanted)
    };
    match &rule.identity {
        IdentityPattern::Loopback if listen.tcp.is_empty() => Some("listen.tcp names no address"),
        IdentityPattern::AnyUnixPeer | IdentityPattern::UnixUser(_) | IdentityPattern::UnixGroup(_)
            if listen.unix.is_empty() =>
        {
            Some("listen.unix names no socket")
        }
        IdentityPattern::Spiffe(domain, _) if !vouched(&VouchesFor::TrustDomain(domain.clone())) => {
            Some("no authority in listen.tls vouches for its trust domain")
        }
        IdentityPattern::Dns(_) if !vouched(&VouchesFor::DnsNames) => {
            Some("no authority in listen.tls vouches for DNS names")
        }
        _ => None,
    }
}
