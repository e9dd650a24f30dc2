//! `leasehold tenant`.

use std::time::Duration;

use clap::{Args, Subcommand};
use leasehold_client::TenantId;
use leasehold_client::api::convert::{duration_to_proto, tenant_name};
use leasehold_client::api::v1;
use serde_json::json;

use super::args::{ChangeArgs, ClientArgs};
use super::{Failure, Output, json};

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant without bindings.
    #[command(
        after_help = "Example:\n  leasehold tenant create acme --display-name 'Acme Inc.' --revocation-bound 60s"
    )]
    Create {
        /// The tenant's id: lower-case letters, digits and hyphens. Never reused.
        tenant: TenantId,
        #[command(flatten)]
        terms: TermsArgs,
        /// Check everything, and change nothing.
        #[arg(long)]
        validate_only: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show a tenant.
    #[command(after_help = "Example:\n  leasehold tenant get acme")]
    Get {
        /// Which tenant.
        tenant: TenantId,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// List all tenants.
    #[command(after_help = "Example:\n  leasehold tenant list --json")]
    List {
        /// Deleted tenants too.
        #[arg(long)]
        show_deleted: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Change a tenant's display name or lease terms, or what of its encryption contexts is recorded.
    #[command(after_help = "Example:\n  leasehold tenant update acme --revocation-bound 30s")]
    Update {
        /// Which tenant.
        tenant: TenantId,
        #[command(flatten)]
        terms: TermsArgs,
        /// From now on no values of encryption contexts go into the audit record.
        #[arg(long, conflicts_with = "loggable_context")]
        no_loggable: bool,
        #[command(flatten)]
        change: ChangeArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Delete a tenant; it can be undeleted for 30 days. What is held for it is wiped.
    #[command(after_help = "Example:\n  leasehold tenant delete acme")]
    Delete(One),
    /// Take a tenant back from deletion.
    #[command(after_help = "Example:\n  leasehold tenant undelete acme")]
    Undelete(One),
    /// Stop serving a tenant. What is held for it is wiped.
    #[command(after_help = "Example:\n  leasehold tenant suspend acme")]
    Suspend(One),
    /// Serve a suspended tenant again.
    #[command(after_help = "Example:\n  leasehold tenant resume acme")]
    Resume(One),
    /// Have the tenant's bindings proven now, and show their leases.
    #[command(after_help = "Example:\n  leasehold tenant reprove acme")]
    Reprove {
        /// Which tenant.
        tenant: TenantId,
        #[command(flatten)]
        client: ClientArgs,
    },
}

/// A change of one tenant that needs no more words.
#[derive(Debug, Args)]
pub struct One {
    /// Which tenant.
    tenant: TenantId,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    client: ClientArgs,
}

/// A tenant's display name and lease terms; what is left out keeps its value or has its default.
#[derive(Debug, Args)]
pub struct TermsArgs {
    /// For people; at most 128 characters.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    /// The longest time that a revocation may take on our part: 15s to 1h. Default 300s.
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    revocation_bound: Option<Duration>,
    /// A revocation bound of 60s.
    #[arg(long, conflicts_with = "revocation_bound")]
    strict: bool,
    /// How long an unused lease is kept proving: 1s to 24h. Default 15m.
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    idle_after: Option<Duration>,
    /// The age at which a kept key is unwrapped anew: 1s to 24h. Default 10m.
    #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
    entry_max_age: Option<Duration>,
    /// Whether unwrapped keys are kept for the next request. Default on.
    #[arg(long, value_name = "on|off")]
    cache: Option<Switch>,
    /// An entry of encryption contexts whose value goes into the audit record; repeat for more. Default none: of contexts the
    /// record has a digest.
    #[arg(long = "loggable", value_name = "NAME")]
    loggable_context: Vec<String>,
}

/// On or off.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

impl TermsArgs {
    /// What is set, and `emptied`.
    fn mask_with(&self, emptied: &str) -> prost_types::FieldMask {
        let set = [
            (self.display_name.is_some(), "display_name"),
            (self.revocation_bound.is_some() || self.strict, "lease_terms.revocation_bound"),
            (self.idle_after.is_some(), "lease_terms.idle_after"),
            (self.entry_max_age.is_some(), "lease_terms.entry_max_age"),
            (self.cache.is_some(), "lease_terms.cache"),
            (true, emptied),
        ];
        let paths = set.into_iter().filter(|(set, _)| *set).map(|(_, path)| path.to_owned()).collect();
        prost_types::FieldMask { paths }
    }

    fn tenant(self, name: String, etag: String) -> v1::Tenant {
        let strict = self.strict.then_some(leasehold_tenant::RevocationBound::STRICT.get());
        let cache = match self.cache {
            None => v1::CacheMode::Unspecified,
            Some(Switch::On) => v1::CacheMode::On,
            Some(Switch::Off) => v1::CacheMode::Off,
        };
        let terms = v1::LeaseTerms {
            revocation_bound: self.revocation_bound.or(strict).map(duration_to_proto),
            idle_after: self.idle_after.map(duration_to_proto),
            entry_max_age: self.entry_max_age.map(duration_to_proto),
            cache: cache.into(),
        };
        let (display_name, loggable_context) = (self.display_name.unwrap_or_default(), self.loggable_context);
        v1::Tenant {
            name,
            display_name,
            lease_terms: Some(terms),
            loggable_context,
            etag,
            ..Default::default()
        }
    }
}

pub(super) async fn run(command: TenantCommand, output: Output) -> Result<(), Failure> {
    match command {
        TenantCommand::Create { tenant, terms, validate_only, client } => {
            let request = v1::CreateTenantRequest {
                tenant_id: tenant.to_string(),
                tenant: Some(terms.tenant(String::new(), String::new())),
                validate_only,
            };
            let call = |mut t: Api, q| async move { t.create_tenant(q).await };
            show(output, client.client()?.tenants(request, call).await?.tenant)
        }
        TenantCommand::Get { tenant, client } => {
            let request = v1::GetTenantRequest { name: tenant_name(&tenant) };
            let call = |mut t: Api, q| async move { t.get_tenant(q).await };
            show(output, client.client()?.tenants(request, call).await?.tenant)
        }
        TenantCommand::List { show_deleted, client } => list(&client, show_deleted, output).await,
        TenantCommand::Update { tenant, terms, no_loggable, change, client } => {
            let request = v1::UpdateTenantRequest {
                // Without a mask what is set is meant, and so nothing could be taken away.
                update_mask: no_loggable.then(|| terms.mask_with("loggable_context")),
                tenant: Some(terms.tenant(tenant_name(&tenant), change.etag)),
                validate_only: change.validate_only,
            };
            let call = |mut t: Api, q| async move { t.update_tenant(q).await };
            show(output, client.client()?.tenants(request, call).await?.tenant)
        }
        TenantCommand::Reprove { tenant, client } => reprove(&client, &tenant, output).await,
        one => run_one(one, output).await,
    }
}

type Api = v1::tenant_service_client::TenantServiceClient<tonic::transport::Channel>;

async fn run_one(command: TenantCommand, output: Output) -> Result<(), Failure> {
    let tenant = match command {
        TenantCommand::Delete(One { tenant, change: ChangeArgs { etag, validate_only }, client }) => {
            let request = v1::DeleteTenantRequest { name: tenant_name(&tenant), etag, validate_only };
            let call = |mut t: Api, q| async move { t.delete_tenant(q).await };
            client.client()?.tenants(request, call).await?.tenant
        }
        TenantCommand::Undelete(One { tenant, change: ChangeArgs { etag, validate_only }, client }) => {
            let request = v1::UndeleteTenantRequest { name: tenant_name(&tenant), etag, validate_only };
            let call = |mut t: Api, q| async move { t.undelete_tenant(q).await };
            client.client()?.tenants(request, call).await?.tenant
        }
        TenantCommand::Suspend(One { tenant, change: ChangeArgs { etag, validate_only }, client }) => {
            let request = v1::SuspendTenantRequest { name: tenant_name(&tenant), etag, validate_only };
            let call = |mut t: Api, q| async move { t.suspend_tenant(q).await };
            client.client()?.tenants(request, call).await?.tenant
        }
        TenantCommand::Resume(One { tenant, change: ChangeArgs { etag, validate_only }, client }) => {
            let request = v1::ResumeTenantRequest { name: tenant_name(&tenant), etag, validate_only };
            let call = |mut t: Api, q| async move { t.resume_tenant(q).await };
            client.client()?.tenants(request, call).await?.tenant
        }
        _ => return Err(Failure::new("this command is not about one tenant")),
    };
    show(output, tenant)
}

async fn list(client: &ClientArgs, show_deleted: bool, output: Output) -> Result<(), Failure> {
    let client = client.client()?;
    let mut page_token = String::new();
    loop {
        let request = v1::ListTenantsRequest { page_size: 1000, page_token, show_deleted };
        let page = client.tenants(request, |mut t: Api, q| async move { t.list_tenants(q).await }).await?;
        for tenant in &page.tenants {
            let state = json::short(tenant.state().as_str_name(), "TENANT_STATE_");
            let line = || format!("{:<40} {state:<9} {}", tenant.name, tenant.display_name);
            output.answer(&json::tenant(tenant), line)?;
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        page_token = page.next_page_token;
    }
}

async fn reprove(client: &ClientArgs, tenant: &TenantId, output: Output) -> Result<(), Failure> {
    let request = v1::ReproveTenantRequest { name: tenant_name(tenant) };
    let answer =
        client.client()?.tenants(request, |mut t: Api, q| async move { t.reprove_tenant(q).await }).await?;
    let leases = json!(answer.leases.iter().map(json::lease).collect::<Vec<_>>());
    output.answer(&leases, || answer.leases.iter().map(json::lease_line).collect::<Vec<_>>().join("\n"))
}

fn show(output: Output, tenant: Option<v1::Tenant>) -> Result<(), Failure> {
    let value = json::tenant(&tenant.unwrap_or_default());
    output.answer(&value, || json::text(&value))
}
