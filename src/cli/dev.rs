//! `leasehold dev`: the service, a simulated cloud, and two tenants that were onboarded through the API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_credential_types::Credentials;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use leasehold_client::api::convert::duration_to_proto;
use leasehold_client::api::v1;
use leasehold_client::{Client, Endpoint, RetryPolicy, Settings, SystemClock};
use leasehold_cloudsim::Simulator;
use leasehold_cloudsim::aws::scenario::{Scenario, Tenant};
use leasehold_provider_aws::{AwsConfig, BaseIdentity, Endpoints};
use serde_json::json;

use super::args::arena;
use super::cloudsim::{self, DEFAULT_CONTROL};
use super::{Failure, Output};
use crate::app::{App, Running};
use crate::config::{self, Config};
use crate::{shutdown, telemetry};

/// The tenants that are ready, each with a binding of this name.
const TENANTS: [&str; 2] = ["acme", "globex"];
const BINDING: &str = "main";

/// Where to listen, and under which terms.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where the service listens.
    #[arg(long, default_value = "127.0.0.1:7420", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A Unix socket to listen on as well.
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Where the simulated cloud's control interface listens.
    #[arg(long, default_value = DEFAULT_CONTROL, value_name = "ADDRESS")]
    control: SocketAddr,
    /// The tenants' revocation bound: short, so that one can watch.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "TIME")]
    revocation_bound: Duration,
    /// Which log lines to print, as in info,leasehold_lease=debug.
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    log: String,
}

pub(super) async fn run(args: DevArgs, output: Output) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let progress = progress(output);
    progress.set_message("starting a simulated cloud");
    let (simulator, scenario) = cloudsim::start(&TENANTS.map(String::from), args.control, None).await?;
    progress.set_message("starting the service");
    let config = config(&args, &simulator, &scenario, directory.path())?;
    telemetry::start(&config.log)?;
    let audit = config.audit.file.clone();
    let running = App::build(config).await?.run();
    for tenant in &scenario.tenants {
        progress.set_message(format!("onboarding {}", tenant.name));
        onboard(&running, &simulator, tenant, args.revocation_bound).await?;
    }
    progress.finish_and_clear();
    welcome(&running, &simulator, &scenario, audit.as_deref(), output)?;
    shutdown::told_to_end().await?;
    running.drain().await;
    simulator.shutdown().await;
    Ok(())
}

/// The configuration of a server whose cloud is the simulated one.
fn config(
    args: &DevArgs,
    simulator: &Simulator,
    scenario: &Scenario,
    directory: &Path,
) -> Result<Config, Failure> {
    let defaults = [("LEASEHOLD__DEPLOYMENT".to_owned(), "dev".to_owned())];
    let mut config = config::load(None, defaults)?;
    config.listen.tcp = vec![args.listen];
    config.listen.unix = args.unix.clone().into_iter().collect();
    config.audit.file = Some(directory.join("audit.jsonl"));
    config.memory.danger_allow_unlocked = true;
    config.log.filter.clone_from(&args.log);
    config.limits.drain = config::Span(Duration::from_secs(3));
    let endpoints = simulator.endpoints();
    let key = &scenario.access_key;
    let credentials =
        Credentials::new(key.access_key_id.clone(), key.secret_access_key.expose(), None, None, "cloudsim");
    let region: leasehold_provider_aws::Region = endpoints.region.to_string().parse()?;
    config.providers.aws = Some(AwsConfig {
        region: Some(region),
        endpoints: Endpoints { sts: Some(endpoints.aws.clone()), kms: Some(endpoints.aws.clone()) },
        base: BaseIdentity::Fixed(credentials),
        ..AwsConfig::default()
    });
    Ok(config)
}

type Api = v1::tenant_service_client::TenantServiceClient<tonic::transport::Channel>;

/// What a platform and a tenant do together: create tenant and binding, paste the external id into the trust policy,
/// activate.
async fn onboard(
    running: &Running,
    simulator: &Simulator,
    tenant: &Tenant,
    bound: Duration,
) -> Result<(), Failure> {
    let client = client(running)?;
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
    let bound = client.tenants(bind, |mut t: Api, q| async move { t.create_binding(q).await }).await?;
    let external_id = bound.binding.unwrap_or_default().external_id;
    // The simulated platform's static user is who the service is before it becomes anybody.
    let own = "arn:aws:iam::100000000001:user/leasehold-static";
    simulator.control().aws().trust_with_external_id(&tenant.role, own, &external_id)?;
    let activate =
        v1::ActivateBindingRequest { name: format!("{name}/bindings/{BINDING}"), ..Default::default() };
    client.tenants(activate, |mut t: Api, q| async move { t.activate_binding(q).await }).await?;
    Ok(())
}

fn client(running: &Running) -> Result<Client, Failure> {
    let address = running.endpoints().first().ok_or_else(|| Failure::new("the service listens nowhere"))?;
    let endpoint: Endpoint = address.parse()?;
    let settings = Settings { retry: RetryPolicy::default(), ..Settings::default() };
    Ok(Client::new(&endpoint, settings, arena()?, std::sync::Arc::new(SystemClock::start())))
}

/// Something moving while what takes over a second is under way; nothing where nobody looks.
fn progress(output: Output) -> ProgressBar {
    let bar = if output.is_json() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_style(ProgressStyle::default_spinner());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn welcome(
    running: &Running,
    simulator: &Simulator,
    scenario: &Scenario,
    audit: Option<&Path>,
    output: Output,
) -> Result<(), Failure> {
    let value = json!({
        "endpoints": running.endpoints(),
        "cloudsim": simulator.endpoints().control,
        "audit": audit,
        "tenants": scenario.tenants,
    });
    output.answer(&value, || text(running, simulator, scenario, audit))
}

/// What to paste.
fn text(running: &Running, simulator: &Simulator, scenario: &Scenario, audit: Option<&Path>) -> String {
    let endpoint = running.endpoints().first().map_or("", String::as_str);
    let address = running.addresses().first().map(ToString::to_string).unwrap_or_default();
    let control =
        simulator.endpoints().control.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let audit = audit.map(|path| path.display().to_string()).unwrap_or_default();
    let role = scenario.tenants.first().map(|tenant| tenant.role.to_string()).unwrap_or_default();
    format!(
        r#"Leasehold is ready at {endpoint}, with a simulated cloud and the tenants acme and globex. Ctrl-C ends it.
The simulated cloud's control interface is at {control}; decisions are recorded in {audit}.

Wrap a new key, and unwrap it again:
  leasehold --json key generate acme --context branch=main --addr {endpoint} | tee key.json
  leasehold key unwrap acme "$(jq -r .wrapped_key key.json)" --context branch=main --reveal --addr {endpoint}

The same with grpcurl:
  grpcurl -plaintext -d '{{"tenant":"tenants/acme","encryption_context":{{"branch":"main"}}}}' \
    {address} leasehold.v1.KeyService/GenerateDataKey
  grpcurl -plaintext -d "{{\"tenant\":\"tenants/acme\",\"wrapped_key\":\"$(jq -r .wrapped_key key.json)\",\"encryption_context\":{{\"branch\":\"main\"}}}}" \
    {address} leasehold.v1.KeyService/UnwrapKey

Watch the leases in another terminal:
  leasehold leases watch acme --hold --addr {endpoint}

Be acme's administrator: take Leasehold out, see the refusal within the tenant's bound, and let it in again:
  leasehold cloudsim trust deny --role {role} --control {control}
  leasehold cloudsim trust restore --role {role} --control {control}"#
    )
}
