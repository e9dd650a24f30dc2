//! `leasehold binding`.

use clap::{Args, Subcommand, ValueEnum};
use leasehold_client::api::convert::tenant_name;
use leasehold_client::api::v1;
use leasehold_client::api::v1::ErrorReason;
use leasehold_client::{BindingName, ClientError, TenantId};
use serde_json::json;

use super::args::{BindingArg, ChangeArgs, ClientArgs, Pair, context};
use super::cloud::CloudArgs;
use super::kit::Kit;
use super::verify::Verify;
use super::{Failure, Output, json, kit, verify};

/// What can be done with bindings. A binding is written TENANT/BINDING.
#[derive(Debug, Subcommand)]
pub enum BindingCommand {
    /// Create a binding, PENDING, and have its external id issued. Asks no cloud.
    #[command(after_help = "Example:\n  leasehold binding create acme/main aws \\\n    \
                            --kms-key arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab \\\n    \
                            --role arn:aws:iam::111122223333:role/leasehold")]
    Create(Create),
    /// Show a binding with its lease.
    #[command(after_help = "Example:\n  leasehold binding get acme/main")]
    Get(One),
    /// List a tenant's bindings, retired ones included.
    #[command(after_help = "Example:\n  leasehold binding list acme")]
    List {
        /// Which tenant.
        tenant: TenantId,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show what the tenant must paste into their cloud, how they revoke, and what it costs them.
    #[command(after_help = "Example:\n  leasehold binding kit acme/main --format shell")]
    Kit(Kit),
    /// Try a binding step by step in the tenant's cloud, and say what is wrong with it and how to mend it. Changes nothing.
    #[command(after_help = verify::AFTER_HELP)]
    Verify(Verify),
    /// Verify a PENDING binding in the tenant's cloud and make it the one that wraps.
    #[command(after_help = "Example:\n  leasehold binding activate acme/main")]
    Activate(Change),
    /// Move a binding one step nearer to its end: ACTIVE to RETIRING (unwraps only), RETIRING or PENDING to RETIRED.
    #[command(after_help = "Example:\n  leasehold binding retire acme/old")]
    Retire(Change),
}

/// A binding to create.
#[derive(Debug, Args)]
pub struct Create {
    /// The new binding, TENANT/BINDING. Never reused.
    binding: BindingArg,
    /// An entry of the canary's encryption context, so that it satisfies conditions of your key policy; repeat for more.
    #[arg(long, value_name = "NAME=VALUE")]
    canary_context: Vec<Pair>,
    /// What wraps a data key.
    #[arg(long, value_enum, default_value = "direct")]
    hierarchy: HierarchyArg,
    /// Check everything, and change nothing.
    #[arg(long)]
    validate_only: bool,
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    cloud: CloudArgs,
}

/// What wraps a data key.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum HierarchyArg {
    /// The tenant's KMS key itself.
    Direct,
    /// A key-encryption key that the tenant's KMS key wraps.
    Kek,
}

/// One binding.
#[derive(Debug, Args)]
pub struct One {
    /// Which binding, TENANT/BINDING.
    binding: BindingArg,
    #[command(flatten)]
    client: ClientArgs,
}

/// A change of one binding.
#[derive(Debug, Args)]
pub struct Change {
    /// Which binding, TENANT/BINDING.
    binding: BindingArg,
    #[command(flatten)]
    change: ChangeArgs,
    #[command(flatten)]
    client: ClientArgs,
}

pub(super) type Api = v1::tenant_service_client::TenantServiceClient<tonic::transport::Channel>;

pub(super) async fn run(command: BindingCommand, output: Output) -> Result<(), Failure> {
    match command {
        BindingCommand::Create(create) => self::create(create, output).await,
        BindingCommand::Get(One { binding, client }) => {
            let request = v1::GetBindingRequest { name: binding.0.to_string() };
            let call = |mut t: Api, q| async move { t.get_binding(q).await };
            show(output, client.client()?.tenants(request, call).await?.binding)
        }
        BindingCommand::List { tenant, client } => list(&client, &tenant, output).await,
        BindingCommand::Kit(kit) => kit::run(kit, output).await,
        BindingCommand::Verify(verify) => verify::run(verify, output).await,
        BindingCommand::Activate(change) => activate(change, output).await,
        BindingCommand::Retire(Change { binding, change: ChangeArgs { etag, validate_only }, client }) => {
            let request = v1::RetireBindingRequest { name: binding.0.to_string(), etag, validate_only };
            let call = |mut t: Api, q| async move { t.retire_binding(q).await };
            show(output, client.client()?.tenants(request, call).await?.binding)
        }
    }
}

async fn create(create: Create, output: Output) -> Result<(), Failure> {
    let name = create.binding.0;
    let canary_context = context(create.canary_context)?;
    let hierarchy = match create.hierarchy {
        HierarchyArg::Direct => v1::Hierarchy::Direct,
        HierarchyArg::Kek => v1::Hierarchy::Kek,
    };
    let binding = v1::Binding {
        cloud: Some(create.cloud.into_proto()),
        canary_context: canary_context.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        hierarchy: hierarchy.into(),
        ..Default::default()
    };
    let request = v1::CreateBindingRequest {
        parent: tenant_name(name.tenant()),
        binding_id: name.binding().to_string(),
        binding: Some(binding),
        validate_only: create.validate_only,
    };
    let call = |mut t: Api, q| async move { t.create_binding(q).await };
    show(output, create.client.client()?.tenants(request, call).await?.binding)?;
    output.note(&format!(
        "next: `leasehold binding kit {0}` says what to paste; `leasehold binding verify {0}` whether it works; then \
         `leasehold binding activate {0}`",
        format_args!("{}/{}", name.tenant(), name.binding())
    ));
    Ok(())
}

async fn list(client: &ClientArgs, tenant: &TenantId, output: Output) -> Result<(), Failure> {
    let request =
        v1::ListBindingsRequest { parent: tenant_name(tenant), page_size: 1000, page_token: String::new() };
    // A tenant has at most 64 bindings, and so one page.
    let page =
        client.client()?.tenants(request, |mut t: Api, q| async move { t.list_bindings(q).await }).await?;
    for binding in &page.bindings {
        let state = json::short(binding.state().as_str_name(), "BINDING_STATE_");
        output.answer(&json::binding(binding), || format!("{:<40} {state}", binding.name))?;
    }
    Ok(())
}

async fn activate(change: Change, output: Output) -> Result<(), Failure> {
    let Change { binding, change: ChangeArgs { etag, validate_only }, client } = change;
    let request = v1::ActivateBindingRequest { name: binding.0.to_string(), etag, validate_only };
    let call = |mut t: Api, q| async move { t.activate_binding(q).await };
    let answer = client.client()?.tenants(request, call).await.map_err(|error| hinted(error, &binding.0))?;
    let binding = json::binding(&answer.binding.unwrap_or_default());
    let mut value = binding.clone();
    let warnings = answer.warnings.iter();
    value["warnings"] =
        warnings.clone().map(|w| json!({ "reason": w.reason, "text": w.text })).collect::<Vec<_>>().into();
    output.answer(&value, || {
        let warned = warnings.map(|w| format!("\nwarning: {} ({})", w.text, w.reason));
        json::text(&binding) + &warned.collect::<String>()
    })
}

/// Points to the command that says more, if it would.
fn hinted(error: ClientError, name: &BindingName) -> Failure {
    use ErrorReason as R;
    let reason = match &error {
        ClientError::Refused(refusal) => refusal.reason(),
        _ => None,
    };
    let failure = Failure::from(error);
    match reason {
        Some(
            R::BindingDenied
            | R::KeyUnusable
            | R::RequestDenied
            | R::BindingMisconfigured
            | R::CloudRejected
            | R::CloudUnavailable
            | R::OwnIdentity,
        ) => failure.with_hint(format!(
            "`leasehold binding verify {}/{}` says at which step, why, and how to mend it",
            name.tenant(),
            name.binding()
        )),
        _ => failure,
    }
}

fn show(output: Output, binding: Option<v1::Binding>) -> Result<(), Failure> {
    let value = json::binding(&binding.unwrap_or_default());
    output.answer(&value, || json::text(&value))
}
