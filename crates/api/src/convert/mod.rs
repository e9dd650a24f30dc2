//! From messages to the model and back.

mod binding;
mod cloud;
mod name;
mod scalar;
mod secret;
mod tenant;

pub use binding::{binding_from_model, binding_state, new_binding};
pub use name::{binding_name, id, tenant_id, tenant_name};
pub use scalar::{context, duration, duration_to_proto, key_length, page_size, timestamp, wrapped_key};
pub use secret::{plaintext_from_proto, plaintext_to_proto};
pub use tenant::{TenantMask, TenantPatch, tenant_from_model, tenant_patch, terms_from_proto};
