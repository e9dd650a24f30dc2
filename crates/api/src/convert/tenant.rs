//! Tenants and lease terms.

use std::time::Duration;

use leasehold_tenant::{
    CacheMode, LeaseTerms, LoggableContext, RevocationBound, Tenant, TenantState, TermsError, UNDELETE_WINDOW,
};

use super::{duration, duration_to_proto, tenant_name, timestamp};
use crate::{FieldError, v1};

/// Longest display name, in characters.
const MAX_DISPLAY_NAME: usize = 128;

/// Which parts of a tenant an update changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TenantMask {
    /// `display_name`.
    pub display_name: bool,
    /// `lease_terms.revocation_bound`.
    pub revocation_bound: bool,
    /// `lease_terms.idle_after`.
    pub idle_after: bool,
    /// `lease_terms.entry_max_age`.
    pub entry_max_age: bool,
    /// `lease_terms.cache`.
    pub cache: bool,
    /// `loggable_context`.
    pub loggable_context: bool,
}

/// What a message says about a tenant: valid values, with those that it leaves out at their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantPatch {
    /// For people.
    pub display_name: String,
    /// The terms under which its leases run.
    pub terms: LeaseTerms,
    /// The entries of encryption contexts whose values may be recorded.
    pub loggable_context: LoggableContext,
    /// Which of these the message means.
    pub mask: TenantMask,
}

/// What `tenant` asks for. Without a mask, what is set is meant.
///
/// # Errors
/// [`FieldError`] with a path that begins with `tenant.` or is `update_mask`.
pub fn tenant_patch(
    tenant: v1::Tenant,
    mask: Option<&prost_types::FieldMask>,
) -> Result<TenantPatch, FieldError> {
    if tenant.display_name.chars().count() > MAX_DISPLAY_NAME {
        return Err(FieldError::new("tenant.display_name", "must have at most 128 characters"));
    }
    let mask = match mask.filter(|mask| !mask.paths.is_empty()) {
        Some(mask) => mask_of_paths(mask)?,
        None => mask_of_what_is_set(&tenant),
    };
    let terms = terms_from_proto(tenant.lease_terms.unwrap_or_default())
        .map_err(|error| error.inside("tenant.lease_terms"))?;
    let loggable_context = LoggableContext::try_from_iter(tenant.loggable_context)
        .map_err(|error| FieldError::new("tenant.loggable_context", error))?;
    Ok(TenantPatch { display_name: tenant.display_name, terms, loggable_context, mask })
}

fn mask_of_paths(mask: &prost_types::FieldMask) -> Result<TenantMask, FieldError> {
    let terms = TenantMask {
        revocation_bound: true,
        idle_after: true,
        entry_max_age: true,
        cache: true,
        display_name: false,
        loggable_context: false,
    };
    mask.paths.iter().try_fold(TenantMask::default(), |known, path| match path.as_str() {
        "*" => Ok(TenantMask { display_name: true, loggable_context: true, ..terms }),
        "display_name" => Ok(TenantMask { display_name: true, ..known }),
        "loggable_context" => Ok(TenantMask { loggable_context: true, ..known }),
        "lease_terms" => {
            let TenantMask { display_name, loggable_context, .. } = known;
            Ok(TenantMask { display_name, loggable_context, ..terms })
        }
        "lease_terms.revocation_bound" => Ok(TenantMask { revocation_bound: true, ..known }),
        "lease_terms.idle_after" => Ok(TenantMask { idle_after: true, ..known }),
        "lease_terms.entry_max_age" => Ok(TenantMask { entry_max_age: true, ..known }),
        "lease_terms.cache" => Ok(TenantMask { cache: true, ..known }),
        _ => Err(FieldError::new(
            "update_mask",
            "may name display_name, loggable_context, lease_terms, and revocation_bound, idle_after, entry_max_age and cache \
             of lease_terms",
        )),
    })
}

fn mask_of_what_is_set(tenant: &v1::Tenant) -> TenantMask {
    let terms = tenant.lease_terms.unwrap_or_default();
    TenantMask {
        display_name: !tenant.display_name.is_empty(),
        revocation_bound: terms.revocation_bound.is_some(),
        idle_after: terms.idle_after.is_some(),
        entry_max_age: terms.entry_max_age.is_some(),
        cache: terms.cache() != v1::CacheMode::Unspecified,
        loggable_context: !tenant.loggable_context.is_empty(),
    }
}

/// Lease terms; what is absent has its default.
///
/// # Errors
/// [`FieldError`] that names the term.
pub fn terms_from_proto(terms: v1::LeaseTerms) -> Result<LeaseTerms, FieldError> {
    let span = |field, value: Option<prost_types::Duration>, default: Duration| {
        value.map_or(Ok(default), |value| duration(field, value))
    };
    let of = |field: &'static str| move |error: TermsError| FieldError::new(field, error);
    let bound = span("revocation_bound", terms.revocation_bound, RevocationBound::DEFAULT.get())?;
    let bound = RevocationBound::try_from(bound).map_err(of("revocation_bound"))?;
    let cache = match v1::CacheMode::try_from(terms.cache) {
        Ok(v1::CacheMode::Unspecified | v1::CacheMode::On) => CacheMode::On,
        Ok(v1::CacheMode::Off) => CacheMode::Off,
        Err(_) => return Err(FieldError::new("cache", "must be CACHE_MODE_ON or CACHE_MODE_OFF")),
    };
    LeaseTerms::with_bound(bound)
        .idle_after_of(span("idle_after", terms.idle_after, LeaseTerms::DEFAULT_IDLE_AFTER)?)
        .map_err(of("idle_after"))?
        .entry_max_age_of(span("entry_max_age", terms.entry_max_age, LeaseTerms::DEFAULT_ENTRY_MAX_AGE)?)
        .map_err(of("entry_max_age"))
        .map(|terms| terms.cache_mode(cache))
}

fn terms_to_proto(terms: &LeaseTerms) -> v1::LeaseTerms {
    let cache = match terms.cache() {
        CacheMode::On => v1::CacheMode::On,
        CacheMode::Off => v1::CacheMode::Off,
    };
    v1::LeaseTerms {
        revocation_bound: Some(duration_to_proto(terms.revocation_bound().get())),
        idle_after: Some(duration_to_proto(terms.idle_after())),
        entry_max_age: Some(duration_to_proto(terms.entry_max_age())),
        cache: cache.into(),
    }
}

/// A tenant as it travels, with the etag that the service gave it.
#[must_use]
pub fn tenant_from_model(tenant: &Tenant, etag: String) -> v1::Tenant {
    let state = match (tenant.deleted, tenant.state) {
        (Some(_), _) => v1::TenantState::Deleted,
        (None, TenantState::Active) => v1::TenantState::Active,
        (None, TenantState::Suspended) => v1::TenantState::Suspended,
    };
    v1::Tenant {
        name: tenant_name(&tenant.id),
        display_name: tenant.display_name.clone(),
        state: state.into(),
        lease_terms: Some(terms_to_proto(&tenant.terms)),
        active_binding: tenant.active_binding().map(|b| b.name.to_string()).unwrap_or_default(),
        etag,
        create_time: Some(timestamp(tenant.created)),
        update_time: Some(timestamp(tenant.updated)),
        delete_time: tenant.deleted.map(timestamp),
        purge_time: tenant.deleted.map(|at| timestamp(at + UNDELETE_WINDOW)),
        loggable_context: tenant.loggable_context.iter().map(Into::into).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: i64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos: 0 })
    }

    #[test]
    fn a_term_out_of_bounds_is_named_by_its_path() {
        for (terms, path) in [
            (v1::LeaseTerms { revocation_bound: seconds(14), ..Default::default() }, "revocation_bound"),
            (v1::LeaseTerms { revocation_bound: seconds(-1), ..Default::default() }, "revocation_bound"),
            (v1::LeaseTerms { idle_after: seconds(0), ..Default::default() }, "idle_after"),
            (v1::LeaseTerms { entry_max_age: seconds(100_000), ..Default::default() }, "entry_max_age"),
            (v1::LeaseTerms { cache: 9, ..Default::default() }, "cache"),
        ] {
            let tenant = v1::Tenant { lease_terms: Some(terms), ..Default::default() };
            let error = tenant_patch(tenant, None).unwrap_err();
            assert_eq!(error.field(), format!("tenant.lease_terms.{path}"));
        }
    }

    #[test]
    fn an_update_means_what_its_mask_names_or_else_what_is_set() {
        let asked = v1::Tenant {
            display_name: "New".into(),
            lease_terms: Some(v1::LeaseTerms { idle_after: seconds(30), ..Default::default() }),
            ..Default::default()
        };
        let mask = prost_types::FieldMask { paths: vec!["lease_terms.idle_after".into()] };
        let idle_after = TenantMask { idle_after: true, ..Default::default() };
        assert_eq!(tenant_patch(asked.clone(), Some(&mask)).unwrap().mask, idle_after);
        let both = TenantMask { display_name: true, ..idle_after };
        assert_eq!(tenant_patch(asked, None).unwrap().mask, both);
        assert_eq!(tenant_patch(v1::Tenant::default(), None).unwrap().mask, TenantMask::default());
    }

    #[test]
    fn a_mask_that_names_something_else_is_refused() {
        let mask = prost_types::FieldMask { paths: vec!["state".into()] };
        assert_eq!(tenant_patch(v1::Tenant::default(), Some(&mask)).unwrap_err().field(), "update_mask");
    }

    #[test]
    fn terms_survive_the_way_there_and_back() {
        let terms = LeaseTerms::with_bound(RevocationBound::LEAST).cache_mode(CacheMode::Off);
        assert_eq!(terms_from_proto(terms_to_proto(&terms)), Ok(terms));
        assert_eq!(terms_from_proto(v1::LeaseTerms::default()), Ok(LeaseTerms::default()));
    }

    fn spans() -> impl Strategy<Value = Option<prost_types::Duration>> {
        let any = (any::<i64>(), any::<i32>());
        let near = (-2i64..100_000, -1i32..1_000_000_001);
        let span =
            prop_oneof![any, near].prop_map(|(seconds, nanos)| prost_types::Duration { seconds, nanos });
        proptest::option::of(span)
    }

    proptest! {
        #[test]
        fn every_message_gives_a_value_or_names_a_field(
            display_name in any::<String>(),
            revocation_bound in spans(),
            idle_after in spans(),
            entry_max_age in spans(),
            cache in any::<i32>(),
            paths in proptest::option::of(proptest::collection::vec(any::<String>(), 0..3)),
        ) {
            let terms = v1::LeaseTerms { revocation_bound, idle_after, entry_max_age, cache };
            let tenant = v1::Tenant { display_name, lease_terms: Some(terms), ..Default::default() };
            let mask = paths.map(|paths| prost_types::FieldMask { paths });
            if let Err(error) = tenant_patch(tenant, mask.as_ref()) {
                prop_assert!(error.field().starts_with("tenant.") || error.field() == "update_mask");
            }
        }
    }
}
