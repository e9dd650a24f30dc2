//! Tenants in the same words on every cloud: what they hand over, how they let a service in, and the levers by which they put
//! it out again.
//!
//! A lever is one or more of the cloud's own edits; whoever wants just one of those makes it through that cloud's own part of
//! the control interface.

mod aws;
mod azure;
mod gcp;
pub(crate) mod http;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::error::SimError;
use crate::log::CallMatch;
use crate::simulator::Shared;

/// A cloud that tenants can be on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aws, Self::Azure, Self::Gcp];

    /// As it is written, for example `aws`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Azure => "azure",
            Self::Gcp => "gcp",
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Cloud {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|cloud| cloud.as_str() == text);
        found.ok_or_else(|| SimError::invalid("cloud", format!("{text:?} is none of {}", known())))
    }
}

/// A way to put a service out that every cloud has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lever {
    /// The service may not become the principal any more: no new sessions. Those that exist live on.
    Trust,
    /// The principal may not use the key any more.
    KeyUse,
    /// Nobody may use the key any more.
    DisableKey,
    /// The key is on its way out.
    DeleteKey,
}

impl Lever {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Trust, Self::KeyUse, Self::DisableKey, Self::DeleteKey];

    /// As it is written, for example `key-use`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::KeyUse => "key-use",
            Self::DisableKey => "disable-key",
            Self::DeleteKey => "delete-key",
        }
    }
}

impl fmt::Display for Lever {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Lever {
    type Err = SimError;

    fn from_str(text: &str) -> Result<Self, SimError> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|lever| lever.as_str() == text);
        found.ok_or_else(|| SimError::invalid("lever", format!("{text:?} is none of {}", known())))
    }
}

/// A tenant, and what it hands over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its name, which no other has on any cloud.
    pub name: String,
    /// Which cloud it is on.
    pub cloud: Cloud,
    /// Its key, as the cloud names it.
    pub key: String,
    /// Whom a service is to become: a role's ARN on AWS, the directory of the service principal on Azure, a
    /// service account on Google Cloud.
    pub principal: String,
}

/// A tenant as its cloud knows it.
#[derive(Clone)]
enum Home {
    Aws(aws::Home),
    Azure(azure::Home),
    Gcp(gcp::Home),
}

/// An edit of a cloud that was made and can be undone.
#[derive(Clone, Copy)]
enum Made {
    Aws(crate::aws::edits::EditId),
    Azure(crate::azure::edits::EditId),
    Gcp(crate::gcp::edits::EditId),
}

/// The tenants of all clouds.
#[derive(Default)]
pub(crate) struct Registry {
    tenants: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    home: Home,
    pulled: Vec<(Lever, Made)>,
}

/// The part of the control interface that is about tenants, whichever cloud they are on. Clones control the same.
#[derive(Clone)]
pub struct TenantsControl {
    shared: Arc<Shared>,
}

impl fmt::Debug for TenantsControl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TenantsControl").finish_non_exhaustive()
    }
}

impl TenantsControl {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// All tenants, in order of name.
    pub fn list(&self) -> Vec<Tenant> {
        self.entries().iter().map(|(name, entry)| entry.home.tenant(name)).collect()
    }

    /// The tenant of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, name: &str) -> Result<Tenant, SimError> {
        Ok(self.home(name)?.tenant(name))
    }

    /// What the tenant does to let the platform in, under the external id, or with the challenge, that the service issued.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn let_in(&self, name: &str, issued: &str) -> Result<(), SimError> {
        match self.home(name)? {
            Home::Aws(home) => home.let_in(&self.control().aws(), issued),
            Home::Azure(home) => home.let_in(&self.control().azure(), issued),
            Home::Gcp(home) => home.let_in(&self.control().gcp(), issued),
        }
    }

    /// Pulls a lever. One that is pulled already is pulled once more, and both are let go of together.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn pull(&self, name: &str, lever: Lever) -> Result<(), SimError> {
        let made = match self.home(name)? {
            Home::Aws(home) => Made::Aws(home.pull(&self.control().aws(), lever)?),
            Home::Azure(home) => Made::Azure(home.pull(&self.control().azure(), lever)?),
            Home::Gcp(home) => Made::Gcp(home.pull(&self.control().gcp(), lever)?),
        };
        if let Some(entry) = self.entries().get_mut(name) {
            entry.pulled.push((lever, made));
        }
        Ok(())
    }

    /// Lets go of the tenant's levers, of one or of all; how many were pulled.
    ///
    /// # Errors
    /// When there is no such tenant, or a policy was replaced since as a whole.
    pub fn restore(&self, name: &str, lever: Option<Lever>) -> Result<usize, SimError> {
        self.home(name)?;
        let mut undone = Vec::new();
        if let Some(entry) = self.entries().get_mut(name) {
            let (these, others) =
                entry.pulled.drain(..).partition(|(pulled, _)| lever.is_none_or(|lever| lever == *pulled));
            (undone, entry.pulled) = (these, others);
        }
        for (_, made) in &undone {
            match made {
                Made::Aws(edit) => self.control().aws().undo(*edit)?,
                Made::Azure(edit) => self.control().azure().undo(*edit)?,
                Made::Gcp(edit) => self.control().gcp().undo(*edit)?,
            }
        }
        Ok(undone.len())
    }

    /// Gives the tenant's key a new version, which wraps from then on.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn rotate_key(&self, name: &str) -> Result<(), SimError> {
        match self.home(name)? {
            Home::Aws(home) => home.rotate_key(&self.control().aws()),
            Home::Azure(home) => home.rotate_key(&self.control().azure()),
            Home::Gcp(home) => home.rotate_key(&self.control().gcp()),
        }
    }

    /// Whatever is asked of the tenant's part of its cloud.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn calls_about(&self, name: &str) -> Result<CallMatch, SimError> {
        Ok(match self.home(name)? {
            Home::Aws(home) => home.calls(),
            Home::Azure(home) => home.calls(),
            Home::Gcp(home) => home.calls(),
        })
    }

    /// Notes a tenant that was made.
    fn note(&self, name: &str, home: Home) {
        self.entries().insert(name.to_owned(), Entry { home, pulled: Vec::new() });
    }

    fn home(&self, name: &str) -> Result<Home, SimError> {
        let found = self.entries().get(name).map(|entry| entry.home.clone());
        found.ok_or_else(|| SimError::not_found("tenant", name))
    }

    fn control(&self) -> Control {
        Control::new(Arc::clone(&self.shared))
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // The map is whole after every statement that holds the lock.
        self.shared.tenants.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Home {
    fn tenant(&self, name: &str) -> Tenant {
        let (cloud, key, principal) = match self {
            Self::Aws(home) => (Cloud::Aws, home.tenant.key.to_string(), home.tenant.role.to_string()),
            Self::Azure(home) => {
                (Cloud::Azure, home.tenant.key.to_string(), home.tenant.directory.to_string())
            }
            Self::Gcp(home) => {
                (Cloud::Gcp, home.tenant.key.to_string(), home.tenant.service_account.to_string())
            }
        };
        Tenant { name: name.to_owned(), cloud, key, principal }
    }
}

/// Calls that use keys or become principals, as logs of every cloud have them.
impl Cloud {
    /// Requests to become a tenant's principal.
    pub fn assumes(self) -> CallMatch {
        of(match self {
            Self::Aws => "AssumeRole",
            Self::Azure => "Token",
            Self::Gcp => "GenerateAccessToken",
        })
    }

    /// Requests to unwrap with a tenant's key.
    pub fn unwraps(self) -> CallMatch {
        of(match self {
            Self::Aws | Self::Gcp => "Decrypt",
            Self::Azure => "UnwrapKey",
        })
    }
}

fn of(operation: &str) -> CallMatch {
    CallMatch { operation: Some(operation.to_owned()), ..CallMatch::default() }
}
