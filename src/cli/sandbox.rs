//! A service, a simulated cloud and a few tenants, all in this process, over real sockets and with the real SDKs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use leasehold_client::api::convert::duration_to_proto;
use leasehold_client::api::v1;
use leasehold_client::{Client, Endpoint, Settings, SystemClock};
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::aws::scenario::{Scenario, Tenant};
use leasehold_provider_aws::{AwsConfig, BaseIdentity, Endpoints};

use super::args::arena;
use super::{Failure, cloudsim};
use crate::app::{App, Running};
use crate::config::{self, Config};
use crate::telemetry;

/// The binding that each tenant has.
const BINDING: &str = "main";

type Api = v1::tenant_service_client::TenantServiceClient<tonic::transport::Channel>;

/// How a sandbox is set up.
pub(super) struct Setup<'a> {
    /// Where the service listens.
    pub(super) listen: SocketAddr,
    /// A Unix socket to listen on as well.
    pub(super) unix: Option<PathBuf>,
    /// Where the simulated cloud's control interface listens.
    pub(super) control: SocketAddr,
    /// The tenants to make; onboarding them is [`Sandbox::onboard`].
    pub(super) tenants: &'a [&'a str],
    /// Which log lines to print.
    pub(super) log: &'a str,
}

/// A service with its simulated cloud. The cloud is NO SECURITY.
pub(super) struct Sandbox {
    pub(super) running: Running,
    pub(super) simulator: Simulator,
    pub(super) scenario: Scenario,
    /// Where decisions are recorded, until the sandbox ends.
    pub(super) audit: PathBuf,
    directory: tempfile::TempDir,
}

impl Sandbox {
    pub(super) async fn start(setup: &Setup<'_>) -> Result<Self, Failure> {
        let directory = tempfile::tempdir()?;
        let audit = directory.path().join("audit.jsonl");
        let tenants: Vec<String> = setup.tenants.iter().map(ToString::to_string).collect();
        let (simulator, scenario) = cloudsim::start(&tenants, setup.control, None).await?;
        let config = config(setup, &simulator, &scenario, &audit)?;
        telemetry::start(&config.log)?;
        let running = App::build(config).await?.run();
        Ok(Self { running, simulator, scenario, audit, directory })
    }

    /// A client of the service that calls as `settings` say.
    pub(super) fn client(&self, settings: Settings) -> Result<Client, Failure> {
        let address = self.running.endpoints().first();
        let endpoint: Endpoint =
            address.ok_or_else(|| Failure::new("the service listens nowhere"))?.parse()?;
        Ok(Client::new(&endpoint, settings, arena()?, Arc::new(SystemClock::start())))
    }

    /// What a platform and a tenant do together: create tenant and binding, paste the external id into the trust policy,
    /// activate.
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
        let aws = v1::AwsBinding {
            kms_key_arn: tenant.key.to_string(),
            role_arn: tenant.role.to_string(),
            ..Default::default()
        };
        let bind = v1::CreateBindingRequest {
            parent: name.clone(),
            binding_id: BINDING.to_owned(),
            binding: Some(v1::Binding { cloud: Some(v1::binding::Cloud::Aws(aws)), ..Default::default() }),
            validate_only: false,
        };
        let created = client.tenants(bind, |mut t: Api, q| async move { t.create_binding(q).await }).await?;
        let external_id = created.binding.unwrap_or_default().external_id;
        let aws = self.simulator.control().aws();
        aws.trust_with_external_id(&tenant.role, &self.scenario.base_user, &external_id)?;
        let activate =
            v1::ActivateBindingRequest { name: format!("{name}/bindings/{BINDING}"), ..Default::default() };
        client.tenants(activate, |mut t: Api, q| async move { t.activate_binding(q).await }).await?;
        Ok(())
    }

    /// Drains the service and ends the cloud.
    pub(super) async fn end(self) {
        self.running.drain().await;
        self.simulator.shutdown().await;
        drop(self.directory);
    }
}

/// The configuration of a server whose cloud is the simulated one.
fn config(
    setup: &Setup<'_>,
    simulator: &Simulator,
    scenario: &Scenario,
    audit: &Path,
) -> Result<Config, Failure> {
    let mut config = config::load(None, [("LEASEHOLD__DEPLOYMENT".into(), "dev".into())])?;
    config.listen.tcp = vec![setup.listen];
    config.listen.unix = setup.unix.clone().into_iter().collect();
    config.audit.file = Some(audit.to_owned());
    config.memory.danger_allow_unlocked = true;
    setup.log.clone_into(&mut config.log.filter);
    config.limits.drain = config::Span(Duration::from_secs(3));
    let endpoints = simulator.endpoints();
    let key = &scenario.access_key;
    let base = BaseIdentity::fixed(key.access_key_id.clone(), key.secret_access_key.expose());
    let region: leasehold_provider_aws::Region = endpoints.region.to_string().parse()?;
    config.providers.aws = Some(AwsConfig {
        region: Some(region),
        endpoints: Endpoints { sts: Some(endpoints.aws.clone()), kms: Some(endpoints.aws.clone()) },
        base,
        ..AwsConfig::default()
    });
    Ok(config)
}
