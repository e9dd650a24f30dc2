//! Tenants and bindings, and the registry that keeps them.
//!
//! Owns the model: what a tenant and a binding are, which changes they allow ([`Tenant`]'s methods are the whole list)
//! and how an external id is derived. [`Registry`] is the trait of whatever keeps the records. Deliberately makes no
//! call to a cloud or a database and holds no secret: a record has ids, names and wrapped bytes only (promise P8).
//!
//! Invariants: at most one binding of a tenant is ACTIVE; a binding's version grows with each change of it; a record's
//! revision grows with each change of anything in it; ids are never reused, and no binding is ever taken out of a record.
//!
//! Reading order: [`Tenant`], [`Binding`], [`LeaseTerms`], [`Registry`].

mod binding;
mod difference;
mod error;
mod external_id;
mod loggable;
mod registry;
mod succession;
mod tenant;
mod terms;

pub use binding::{Binding, BindingState, CloudSettings, NewBinding};
pub use difference::Difference;
pub use error::{ChangeError, RegistryError, TermsError};
pub use external_id::{ExternalId, NotAnExternalId};
pub use loggable::LoggableContext;
pub use registry::{Change, HISTORY_PAGE, Page, PageRequest, Registry};
pub use succession::Discontinuity;
pub use tenant::{
    MAX_BINDINGS, MAX_DISPLAY_NAME, RESERVED_PREFIX, Tenant, TenantState, UNDELETE_WINDOW, is_display_name,
};
pub use terms::{CacheMode, LeaseTerms, RevocationBound};
