//! A service, simulated clouds and a few tenants, all in this process, over real sockets and with the real SDKs.

mod aws;
mod azure;
mod gcp;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use leasehold_client::api::convert::duration_to_proto;
use leasehold_client::api::v1;
use leasehold_client::{Client, Endpoint, Settings, SystemClock};
use leasehold_cloudsim::tenants::{Cloud, Tenant, TenantsControl};
use leasehold_cloudsim::{Config as SimulatorConfig, Simulator};
use serde_json::{Map, Value};

use super::Failure;
use super::args::arena;
use crate::app::{App, Running};
use crate::config::{self, Config, Providers};
use crate::telemetry;

/// The binding that each tenant has.
const BINDING: &str = "main";

type Api = v1::tenant_service_client::TenantServiceClient<tonic::transport::Channel>;

/// A tenant to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewTenant {
    pub(super) name: String,
    pub(super) cloud: Cloud,
}

/// The tenants that `demo` and `dev` have, one on each cloud, or only the one that is on `cloud`.
pub(super) fn tenants(cloud: Option<Cloud>) -> Vec<NewTenant> {
    let name = |cloud| match cloud {
        Cloud::Aws => "acme",
        Cloud::Azure => "globex",
        Cloud::Gcp => "initech",
    };
    let these = Cloud::ALL.into_iter().filter(|known| cloud.is_none_or(|only| only == *known));
    these.map(|cloud| NewTenant { name: name(cloud).to_owned(), cloud }).collect()
}

/// Understands the name of a cloud on a command line.
pub(super) fn cloud_parser() -> impl TypedValueParser<Value = Cloud> {
    PossibleValuesParser::new(Cloud::ALL.map(Cloud::as_str)).try_map(|name| name.parse::<Cloud>())
}

/// How a sandbox is set up.
pub(super) struct Setup<'a> {
    /// Where the service listens.
    pub(super) listen: SocketAddr,
    /// A Unix socket to listen on as well.
    pub(super) unix: Option<PathBuf>,
    /// Where the simulated clouds' control interface listens.
    pub(super) control: SocketAddr,
    /// The tenants to make; onboarding them is [`Sandbox::onboard`].
    pub(super) tenants: &'a [NewTenant],
    /// Which log lines to print.
    pub(super) log: &'a str,
}

/// A service with its simulated clouds. The clouds are NO SECURITY.
pub(super) struct Sandbox {
    pub(super) running: Running,
    pub(super) simulator: Simulator,
    /// Where decisions are recorded, until the sandbox ends.
    pub(super) audit: PathBuf,
    directory: tempfile::TempDir,
}

/// Simulated clouds with what was made in them, and how a service gets there.
pub(super) struct Clouds {
    pub(super) simulator: Simulator,
    pub(super) providers: Providers,
    /// What was made, by cloud, with the credentials that the service needs.
    pub(super) made: Map<String, Value>,
}

impl Clouds {
    /// Starts clouds in which these tenants bring a key and a principal each. Files that the service needs to get there go to
    /// `directory`.
    pub(super) async fn start(
        config: SimulatorConfig,
        tenants: &[NewTenant],
        directory: &Path,
    ) -> Result<Self, Failure> {
        let simulator = Simulator::start(config).await?;
        let mut clouds = Self { simulator, providers: Providers::default(), made: Map::new() };
        for cloud in Cloud::ALL {
            let there = tenants.iter().filter(|tenant| tenant.cloud == cloud);
            let names: Vec<&str> = there.map(|tenant| tenant.name.as_str()).collect();
            if !names.is_empty() {
                let made = match cloud {
                    Cloud::Aws => aws::build(&clouds.simulator, &names, &mut clouds.providers)?,
                    Cloud::Azure => {
                        azure::build(&clouds.simulator, &names, directory, &mut clouds.providers)?
                    }
                    Cloud::Gcp => gcp::build(&clouds.simulator, &names, &mut clouds.providers)?,
                };
                clouds.made.insert(cloud.to_string(), made);
            }
        }
        Ok(clouds)
    }
}

impl Sandbox {
    pub(super) async fn start(setup: &Setup<'_>) -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let audit = directory.path().join("audit");
        let Clouds { simulator, providers, .. } =
            Clouds::start(super::cloudsim::config(setup.control)?, setup.tenants, directory.path()).await?;
        let config = config(setup, providers, &audit)?;
        telemetry::start(&config.log)?;
        let running = App::build(config).await?.run();
        Ok(Self { running, simulator, audit, directory })
    }

    /// What the tenants' administrators can do.
    pub(super) fn tenants(&self) -> TenantsControl {
        self.simulator.control().tenants()
    }

    /// A client of the service that calls as `settings` say.
    pub(super) fn client(&self, settings: Settings) -> Result<Client, Failure> {
        let address = self.running.endpoints().first();
        let endpoint: Endpoint =
            address.ok_or_else(|| Failure::new("the service listens nowhere"))?.parse()?;
        Ok(Client::new(&endpoint, settings, arena()?, Arc::new(SystemClock::start())))
    }

    /// What a platform and a tenant do together: create tenant and binding, let us in as the onboarding kit says, activate.
    pub(super) async fn onboard(&self, tenant: &Tenant, bound: Duration) -> Result<(), Failure> {
        let client = self.client(Settings::default())?;
        let name = format!("tenants/{}", tenant.name);
        let terms = v1::LeaseTerms { revocation_bound: Some(duration_to_proto(bound)), ..Default::default() };
        let create = v1::CreateTenantRequest {
            tenant_id: tenant.name.clone(),
            tenant: Some(v1::Tenant { lease_terms: Some(terms), ..Default::default() }),
            validate_only: false,
        };
        client.tenants(create, |mut t: Api, q| async move { t.create_tenant(q).await }).await?;
        let bind = v1::CreateBindingRequest {
            parent: name.clone(),
            binding_id: BINDING.to_owned(),
            binding: Some(v1::Binding { cloud: Some(handed_over(tenant)), ..Default::default() }),
            validate_only: false,
        };
        let created = client.tenants(bind, |mut t: Api, q| async move { t.create_binding(q).await }).await?;
        self.tenants().let_in(&tenant.name, &created.binding.unwrap_or_default().external_id)?;
        let activate =
            v1::ActivateBindingRequest { name: format!("{name}/bindings/{BINDING}"), ..Default::default() };
        client.tenants(activate, |mut t: Api, q| async move { t.activate_binding(q).await }).await?;
        Ok(())
    }

    /// Drains the service and ends the clouds.
    pub(super) async fn end(self) {
        self.running.drain().await;
        self.simulator.shutdown().await;
        drop(self.directory);
    }
}

/// What the tenant hands over.
fn handed_over(tenant: &Tenant) -> v1::binding::Cloud {
    match tenant.cloud {
        Cloud::Aws => aws::handed_over(tenant),
        Cloud::Azure => azure::handed_over(tenant),
        Cloud::Gcp => gcp::handed_over(tenant),
    }
}

/// The configuration of a server whose clouds are the simulated ones.
fn config(setup: &Setup<'_>, providers: Providers, audit: &Path) -> Result<Config, Failure> {
    let mut config = config::load(None, [("LEASEHOLD__DEPLOYMENT".into(), "dev".into())])?;
    config.listen.tcp = vec![setup.listen];
    config.listen.unix = setup.unix.clone().into_iter().collect();
    config.audit.directory = Some(audit.to_owned());
    config.registry = config::Registry::Memory;
    config.memory.danger_allow_unlocked = true;
    setup.log.clone_into(&mut config.log.filter);
    config.limits.drain = config::Span(Duration::from_secs(3));
    config.providers = providers;
    Ok(config)
}
