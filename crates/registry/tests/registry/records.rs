//! Tenants to keep.

use std::time::{Duration, SystemTime};

use leasehold_envelope::{Body, EncryptionContext, Envelope, Header, Hierarchy, WrappedKey};
use leasehold_ids::TenantId;
use leasehold_tenant::{
    Binding, CacheMode, CloudSettings, LeaseTerms, LoggableContext, NewBinding, Page, Tenant,
};

/// A moment that no unit coarser than a nanosecond can tell.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_790_000_000, 123_456_789)
}

pub(crate) fn id(text: &str) -> TenantId {
    text.parse().unwrap()
}

/// A tenant without bindings.
pub(crate) fn tenant(id: &str) -> Tenant {
    Tenant::new(id.parse().unwrap(), format!("{id} \u{fc}ber 'alles'"), LeaseTerms::default(), now())
}

/// Terms of which none is the default.
pub(crate) fn odd_terms() -> LeaseTerms {
    LeaseTerms::with_bound(Duration::from_millis(15_001).try_into().unwrap())
        .idle_after_of(Duration::new(61, 1))
        .and_then(|terms| terms.entry_max_age_of(Duration::from_secs(24 * 3600)))
        .unwrap()
        .cache_mode(CacheMode::Off)
}

pub(crate) fn with_binding(tenant: Tenant, id: &str) -> Tenant {
    let settings =
        serde_json::json!({ "role_arn": "arn:aws:iam::1:role/x", "chain": [{ "depth": 1 }, null] });
    let new = NewBinding {
        provider: "aws".parse().unwrap(),
        key: format!("arn:aws:kms:eu-central-1:1:key/{id}").parse().unwrap(),
        settings: CloudSettings(settings.as_object().unwrap().clone()),
        canary_context: EncryptionContext::try_from_iter([("tenant", "acme"), ("\u{e4}", "\"")]).unwrap(),
        hierarchy: Hierarchy::Direct,
    };
    tenant.with_binding(id.parse().unwrap(), new, &"test".parse().unwrap(), now()).unwrap()
}

pub(crate) fn activated(tenant: Tenant, id: &str) -> Tenant {
    let id = id.parse().unwrap();
    let verified = tenant.binding(&id).unwrap().version;
    let canary = canary(tenant.binding(&id).unwrap());
    tenant.with_activated(&id, verified, canary, now()).unwrap()
}

/// An envelope as activation makes it, whose ciphertext has every byte there is.
fn canary(binding: &Binding) -> WrappedKey {
    let header = Header {
        hierarchy: binding.hierarchy,
        provider: binding.provider.clone(),
        key_id: binding.key.clone(),
        key_version: "".parse().unwrap(),
        tenant: binding.name.tenant().clone(),
        binding: binding.name.binding().clone(),
        context: binding.canary_context.commitment(),
    };
    let ciphertext = (0..=255).collect::<Vec<u8>>().into();
    Envelope::new(header, Body::Direct { ciphertext }).unwrap().encode()
}

/// A tenant with a binding in every state, and every field other than it begins with.
pub(crate) fn eventful(id: &str) -> Tenant {
    let tenant =
        ["pending", "retired", "retiring", "active"].iter().fold(tenant(id), |t, b| with_binding(t, b));
    let tenant = activated(tenant, "retired").with_retired(&"retired".parse().unwrap(), now()).unwrap();
    let tenant = tenant.with_retired(&"retired".parse().unwrap(), now()).unwrap();
    let tenant = activated(activated(tenant, "retiring"), "active");
    let loggable_context = LoggableContext::try_from_iter(["branch", "\u{1f511}'"]).unwrap();
    let tenant = Tenant { loggable_context, ..tenant };
    let before_the_epoch = SystemTime::UNIX_EPOCH - Duration::new(3, 7);
    tenant
        .updated_to("\u{1f511} \u{0}".into(), odd_terms(), now())
        .and_then(|tenant| tenant.suspended(before_the_epoch))
        .and_then(|tenant| tenant.deleted(now()))
        .unwrap()
}

pub(crate) fn ids(page: &Page) -> Vec<&str> {
    page.tenants.iter().map(|tenant| tenant.id.as_str()).collect()
}
