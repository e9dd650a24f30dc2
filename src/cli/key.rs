//! `leasehold key`.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use data_encoding::BASE64;
use leasehold_client::{Client, KeyLength, Leased, PlaintextKey, TenantId, WrappedKey};
use leasehold_envelope::{Body, Envelope};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::args::{self, ClientArgs, ContextArgs, Pair, wrapped_key};
use super::{Failure, Output, json};

/// What can be done with data keys. A wrapped key is written in base64, or as @FILE, or as - for the standard input stream.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new key. Prints it wrapped; in the clear only where you say so.
    #[command(after_help = "Example:\n  leasehold key generate acme --context branch=main")]
    Generate {
        /// Whose key.
        tenant: TenantId,
        /// Length in bytes: 16, 24, 32, 48 or 64.
        #[arg(long, default_value = "32", value_parser = key_length)]
        bytes: KeyLength,
        #[command(flatten)]
        context: ContextArgs,
        #[command(flatten)]
        plaintext: PlaintextArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Wrap a key that you have, read from a file or the standard input stream.
    #[command(
        after_help = "Example:\n  head -c 32 /dev/urandom | leasehold key wrap acme --context branch=main"
    )]
    Wrap {
        /// Whose key.
        tenant: TenantId,
        /// A file with the key's bytes; - for the standard input stream.
        #[arg(long, default_value = "-", value_name = "FILE")]
        r#in: PathBuf,
        /// The file has the key in base64.
        #[arg(long)]
        base64: bool,
        #[command(flatten)]
        context: ContextArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Unwrap a key. Prints it in base64 into a pipe or a file; on a terminal only with --reveal.
    #[command(
        after_help = "Example:\n  leasehold key unwrap acme @key.wrapped --context branch=main --out key.bin"
    )]
    Unwrap {
        /// Whose key.
        tenant: TenantId,
        /// The wrapped key.
        wrapped: String,
        #[command(flatten)]
        context: ContextArgs,
        #[command(flatten)]
        plaintext: PlaintextArgs,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Wrap a wrapped key anew under the tenant's ACTIVE binding, after a rotation for example.
    #[command(after_help = "Example:\n  leasehold key rewrap acme @key.wrapped --context branch=main")]
    Rewrap {
        /// Whose key.
        tenant: TenantId,
        /// The wrapped key.
        wrapped: String,
        #[command(flatten)]
        context: ContextArgs,
        /// An entry of another context to bind the key to from now on; repeat for more.
        #[arg(long, value_name = "NAME=VALUE")]
        new_context: Vec<Pair>,
        /// Bind the key to no context from now on.
        #[arg(long, conflicts_with = "new_context")]
        no_new_context: bool,
        #[command(flatten)]
        client: ClientArgs,
    },
    /// Show what a wrapped key says about itself. Asks nobody, and proves nothing.
    #[command(after_help = "Example:\n  leasehold key inspect @key.wrapped")]
    Inspect {
        /// The wrapped key.
        wrapped: String,
    },
}

/// Where a key goes in the clear.
#[derive(Debug, Args)]
pub struct PlaintextArgs {
    /// Print the key in base64.
    #[arg(long)]
    reveal: bool,
    /// Write the key's bytes to a new file that only you can read.
    #[arg(long, value_name = "FILE", conflicts_with = "reveal")]
    out: Option<PathBuf>,
}

pub(super) async fn run(command: KeyCommand, output: Output) -> Result<(), Failure> {
    match command {
        KeyCommand::Generate { tenant, bytes, context, plaintext, client } => {
            generate(&client.client()?, &tenant, bytes, context, &plaintext, output).await
        }
        KeyCommand::Wrap { tenant, r#in, base64, context, client } => {
            let (client, context) = (client.client()?, context.context()?);
            let key = read_key(&client, &r#in, base64)?;
            let wrapped = client.wrap_key(&tenant, key, &context).await?;
            print_wrapped(output, &wrapped.value, &wrapped.binding.to_string())
        }
        KeyCommand::Unwrap { tenant, wrapped, context, plaintext, client } => {
            let (client, context) = (client.client()?, context.context()?);
            let leased = client.unwrap_key(&tenant, &wrapped_key(&wrapped)?, &context).await?;
            let piped = !output.is_terminal();
            let printed =
                Plaintext::of(&client, &leased, plaintext.reveal || piped, plaintext.out.as_deref())?;
            printed.print(json!({}), output)
        }
        KeyCommand::Rewrap { tenant, wrapped, context, new_context, no_new_context, client } => {
            let (client, context) = (client.client()?, context.context()?);
            let new = (no_new_context || !new_context.is_empty())
                .then(|| args::context(new_context))
                .transpose()?;
            let rewrapped =
                client.rewrap_key(&tenant, &wrapped_key(&wrapped)?, &context, new.as_ref()).await?;
            print_wrapped(output, &rewrapped.wrapped, &rewrapped.binding.to_string())
        }
        KeyCommand::Inspect { wrapped } => inspect(&wrapped_key(&wrapped)?, output),
    }
}

async fn generate(
    client: &Client,
    tenant: &TenantId,
    length: KeyLength,
    context: ContextArgs,
    wanted: &PlaintextArgs,
    output: Output,
) -> Result<(), Failure> {
    let context = context.context()?;
    if !wanted.reveal && wanted.out.is_none() {
        let made = client.generate_data_key_without_plaintext(tenant, length, &context).await?;
        return print_wrapped(output, &made.wrapped, &made.binding.to_string());
    }
    let Leased { value, binding, expires } = client.generate_data_key(tenant, length, &context).await?;
    let leased = Leased { value: value.key, binding, expires };
    let printed = Plaintext::of(client, &leased, wanted.reveal, wanted.out.as_deref())?;
    printed.print(json!({ "wrapped_key": value.wrapped.to_string() }), output)
}

fn print_wrapped(output: Output, wrapped: &WrappedKey, binding: &str) -> Result<(), Failure> {
    output.answer(&json!({ "wrapped_key": wrapped.to_string(), "binding": binding }), || wrapped.to_string())
}

fn inspect(wrapped: &WrappedKey, output: Output) -> Result<(), Failure> {
    let envelope = Envelope::parse(wrapped.as_bytes())?;
    let header = envelope.header();
    let body = match envelope.body() {
        Body::Direct { ciphertext } => json!({ "ciphertext_bytes": ciphertext.len() }),
        Body::Kek { scope, wrapped_kek, sealed_dek, .. } => json!({
            "kek_scope": scope.to_string(),
            "wrapped_kek_bytes": wrapped_kek.len(),
            "sealed_dek_bytes": sealed_dek.len(),
        }),
    };
    let value = json!({
        "bytes": wrapped.as_bytes().len(),
        "tenant": header.tenant,
        "binding": header.binding,
        "provider": header.provider,
        "key_id": header.key_id,
        "key_version": header.key_version,
        "hierarchy": header.hierarchy.as_str(),
        "context_commitment": header.context.to_string(),
        "header_digest": header.digest().to_string(),
        "body": body,
    });
    output.answer(&value, || json::text(&value))
}

/// What is told about a key in the clear, and perhaps the key.
struct Plaintext {
    bytes: usize,
    binding: String,
    ttl: f64,
    base64: Option<Zeroizing<String>>,
    file: Option<PathBuf>,
}

impl Plaintext {
    fn of(
        client: &Client,
        leased: &Leased<PlaintextKey>,
        reveal: bool,
        out: Option<&Path>,
    ) -> Result<Self, Failure> {
        let key = &leased.value;
        if let Some(path) = out {
            let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
            file.and_then(|mut file| file.write_all(key.expose()))?;
        }
        Ok(Self {
            bytes: key.len().bytes(),
            binding: leased.binding.to_string(),
            ttl: leased.expires.since(client.clock().now()).as_secs_f64(),
            base64: (reveal && out.is_none()).then(|| Zeroizing::new(BASE64.encode(key.expose()))),
            file: out.map(Path::to_owned),
        })
    }

    fn print(self, mut value: Value, output: Output) -> Result<(), Failure> {
        value["bytes"] = json!(self.bytes);
        value["binding"] = json!(self.binding);
        value["lease_ttl_seconds"] = json!(self.ttl);
        if output.is_json() {
            // The one place where a key becomes part of a JSON value; it is wiped by the allocator.
            value["plaintext"] = json!(self.base64.as_deref());
            return output.line(&value.to_string());
        }
        if let Some(wrapped) = value.get("wrapped_key").and_then(Value::as_str) {
            output.line(wrapped)?;
        }
        output.note(&format!("{} bytes under {}, lease for {:.1} s", self.bytes, self.binding, self.ttl));
        match (self.base64, self.file) {
            (Some(base64), _) => output.line(&base64),
            (None, Some(file)) => {
                output.note(&format!("written to {}", file.display()));
                Ok(())
            }
            (None, None) => {
                output.note("not shown on a terminal: pass --reveal, --out FILE, or pipe it");
                Ok(())
            }
        }
    }
}

/// Reads a key straight into memory that is wiped.
fn read_key(client: &Client, path: &Path, base64: bool) -> Result<PlaintextKey, Failure> {
    // One byte more than the longest key in base64 with a line end, so that a longer input is noticed.
    const MOST: usize = 88 + 2 + 1;
    let mut buffer = Zeroizing::new(Vec::with_capacity(MOST));
    let most = u64::try_from(MOST).unwrap_or(u64::MAX);
    match path.to_str() {
        Some("-") => std::io::stdin().lock().take(most).read_to_end(&mut buffer)?,
        _ => std::fs::File::open(path)?.take(most).read_to_end(&mut buffer)?,
    };
    if base64 {
        let text = buffer.trim_ascii();
        let decoded =
            BASE64.decode(text).map_err(|_| Failure::usage("the key is not base64 with padding"))?;
        buffer = Zeroizing::new(decoded);
    }
    PlaintextKey::take(client.arena(), &mut buffer).map_err(|error| Failure::usage(error.to_string()))
}

fn key_length(text: &str) -> Result<KeyLength, String> {
    let bytes: usize = text.parse().map_err(|_| "it is a number of bytes".to_owned())?;
    KeyLength::try_from(bytes).map_err(|error| error.to_string())
}
