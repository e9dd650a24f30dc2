//! Arbitrary valid values.

use bytes::Bytes;
use leasehold_envelope::{
    Body, ContextCommitment, EncryptionContext, Envelope, Header, Hierarchy, KekScope, KeyId, KeyVersion,
};
use leasehold_ids::{BindingId, ProviderKind, TenantId};
use proptest::prelude::*;

fn parsed<T>(pattern: &'static str) -> impl Strategy<Value = T>
where
    T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug,
{
    pattern.prop_map(|text| text.parse().unwrap())
}

pub(crate) fn header(hierarchy: Hierarchy) -> impl Strategy<Value = Header> {
    let names = (parsed::<ProviderKind>("[a-z][-a-z0-9]{0,15}"), parsed::<TenantId>("[a-z0-9]{1,63}"));
    let key = (parsed::<KeyId>("[!-~]{1,512}"), parsed::<KeyVersion>("[!-~]{0,256}"));
    (names, key, parsed::<BindingId>("[a-z0-9]{1,63}"), any::<[u8; 32]>()).prop_map(
        move |((provider, tenant), (key_id, key_version), binding, context)| Header {
            hierarchy,
            provider,
            key_id,
            key_version,
            tenant,
            binding,
            context: ContextCommitment::from_bytes(context),
        },
    )
}

fn ciphertext(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 1..=max).prop_map(Bytes::from)
}

fn scope() -> impl Strategy<Value = KekScope> {
    prop_oneof![
        Just(KekScope::binding()),
        "[b-k][a-z]{0,40}".prop_map(|name| KekScope::entry(&name).unwrap()),
    ]
}

fn kek() -> impl Strategy<Value = Body> {
    let sealed = prop::sample::select(&[32usize, 40, 48, 64, 80][..])
        .prop_flat_map(|len| prop::collection::vec(any::<u8>(), len).prop_map(Bytes::from));
    (scope(), ciphertext(2000), any::<[u8; 32]>(), any::<[u8; 32]>(), sealed).prop_map(
        |(scope, wrapped_kek, salt, commitment, sealed_dek)| Body::Kek {
            scope,
            wrapped_kek,
            salt,
            commitment,
            sealed_dek,
        },
    )
}

pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    let direct = ciphertext(3000).prop_map(|ciphertext| Body::Direct { ciphertext });
    prop_oneof![(header(Hierarchy::Direct), direct), (header(Hierarchy::Kek), kek())]
        .prop_map(|(header, body)| Envelope::new(header, body).unwrap())
}

pub(crate) fn context() -> impl Strategy<Value = EncryptionContext> {
    // Few letters, so that contexts that nearly collide come up.
    let text = || "[ab]{1,3}|[^\\p{Cc}]{1,60}";
    let entries = prop::collection::btree_map(text(), text(), 0..=8);
    entries.prop_filter_map("reserved", |entries| EncryptionContext::try_from(entries).ok())
}
