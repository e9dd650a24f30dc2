//! Arguments that several commands share.

use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use leasehold_client::{
    Arena, ArenaConfig, BindingName, Client, EncryptionContext, Endpoint, OnUnlockable, RetryPolicy,
    Settings, SystemClock, TlsFiles, WrappedKey,
};
use leasehold_envelope::EnvelopeError;

use super::Failure;

/// The largest input that is read: base64 of the largest envelope, with room for line ends.
const MAX_INPUT: u64 = 16 * 1024;

/// Where the service is, and how to call it.
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// The service: http://127.0.0.1:PORT, unix:/path/to/socket, or https://HOST:PORT with --tls-ca, --tls-cert and --tls-key.
    #[arg(long, env = "LEASEHOLD_ADDR", default_value = "http://127.0.0.1:7420", value_name = "ADDRESS")]
    pub(crate) addr: Endpoint,
    /// How long one attempt may take.
    #[arg(long, default_value = "15s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub(crate) timeout: Duration,
    /// Do not try again when the service says that trying again helps.
    #[arg(long)]
    pub(crate) no_retry: bool,
    #[command(flatten)]
    tls: TlsArgs,
}

/// What an https address needs. With another nothing of it is used.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub(super) struct TlsArgs {
    /// Certificates of authorities that may vouch for the service, PEM.
    #[arg(long, env = "LEASEHOLD_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Our certificate, and those that it is signed with after it, PEM.
    #[arg(long, env = "LEASEHOLD_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Our certificate's private key, PEM.
    #[arg(long, env = "LEASEHOLD_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The name that the service's certificate must have, if it is not the address's host.
    #[arg(long, env = "LEASEHOLD_TLS_SERVER_NAME", value_name = "NAME")]
    tls_server_name: Option<String>,
}

impl TlsArgs {
    fn files(&self) -> Result<TlsFiles, Failure> {
        let needs = || {
            Failure::usage(
                "an https address needs --tls-ca, --tls-cert and --tls-key, or LEASEHOLD_TLS_CA and so on",
            )
        };
        let [ca, certificate, key] =
            [&self.tls_ca, &self.tls_cert, &self.tls_key].map(|file| file.clone().ok_or_else(needs));
        Ok(TlsFiles {
            ca: ca?,
            certificate: certificate?,
            key: key?,
            server_name: self.tls_server_name.clone(),
        })
    }
}

impl ClientArgs {
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let retry = if self.no_retry { RetryPolicy::never() } else { RetryPolicy::default() };
        let settings = Settings { deadline: self.timeout, retry };
        let addr = match self.addr.is_secured() {
            true => self.addr.clone().with_tls(self.tls.files()?)?,
            false => self.addr.clone(),
        };
        Ok(Client::new(&addr, settings, arena()?, Arc::new(SystemClock::start())))
    }
}

/// Room for the few keys that a command handles. Where a person's machine locks no memory, a command still works.
pub(crate) fn arena() -> Result<Arena, Failure> {
    let on_unlockable = OnUnlockable::DangerUseOrdinaryMemory;
    Ok(Arena::new(ArenaConfig { bytes: ArenaConfig::MIN_BYTES, on_unlockable })?)
}

/// `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair(pub(crate) String, pub(crate) String);

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("it has the form NAME=VALUE")?;
        Ok(Self(name.to_owned(), value.to_owned()))
    }
}

/// The encryption context of a key.
#[derive(Debug, Clone, Default, Args)]
pub struct ContextArgs {
    /// An entry of the encryption context; repeat for more.
    #[arg(long = "context", short = 'c', value_name = "NAME=VALUE")]
    context: Vec<Pair>,
}

impl ContextArgs {
    pub(crate) fn context(self) -> Result<EncryptionContext, Failure> {
        context(self.context)
    }
}

/// An encryption context of these entries.
pub(crate) fn context(pairs: Vec<Pair>) -> Result<EncryptionContext, Failure> {
    let context = EncryptionContext::try_from_iter(pairs.into_iter().map(|Pair(name, value)| (name, value)));
    context.map_err(|error| Failure::usage(error.to_string()))
}

/// A binding, written as `acme/main` or `tenants/acme/bindings/main`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BindingArg(pub(crate) BindingName);

impl FromStr for BindingArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("tenants/") {
            return text.parse().map(Self).map_err(|error: leasehold_ids::IdError| error.to_string());
        }
        let (tenant, binding) = text.split_once('/').ok_or("it has the form TENANT/BINDING")?;
        let name = |error: leasehold_ids::IdError| error.to_string();
        Ok(Self(BindingName::new(tenant.parse().map_err(name)?, binding.parse().map_err(name)?)))
    }
}

/// Under which condition a change is made, and whether at all.
#[derive(Debug, Clone, Args)]
pub struct ChangeArgs {
    /// Make the change only if the tenant's record still has this etag.
    #[arg(long, default_value = "", value_name = "ETAG", hide_default_value = true)]
    pub(crate) etag: String,
    /// Check everything, and change nothing.
    #[arg(long)]
    pub(crate) validate_only: bool,
}

/// A wrapped key: base64, `@file` (base64 or the bytes themselves) or `-` (the same from the standard input stream).
pub(crate) fn wrapped_key(argument: &str) -> Result<WrappedKey, Failure> {
    let bytes = match argument.strip_prefix('@') {
        Some(path) => read(std::fs::File::open(path)?)?,
        None if argument == "-" => read(std::io::stdin())?,
        None => argument.as_bytes().to_vec(),
    };
    let text = std::str::from_utf8(&bytes).map(|text| text.split_whitespace().collect::<String>());
    let parsed = match text.map(|text| text.parse::<WrappedKey>()) {
        Ok(Err(EnvelopeError::NotBase64)) | Err(_) if argument == "-" || argument.starts_with('@') => {
            WrappedKey::try_from(bytes)
        }
        Ok(parsed) => parsed,
        Err(_) => Err(EnvelopeError::NotBase64),
    };
    parsed.map_err(|error| Failure::usage(error.to_string()))
}

fn read(from: impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    from.take(MAX_INPUT).read_to_end(&mut bytes)?;
    Ok(bytes)
}
