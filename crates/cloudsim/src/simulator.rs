//! Starts and stops a simulator: `Config` → [`Simulator::start`] → [`Endpoints`] and [`Control`].

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::arn::Region;
use crate::aws::container::{self, Container};
use crate::aws::endpoint::Endpoint;
use crate::aws::imds::Imds;
use crate::aws::world::World;
use crate::azure::{self, identity};
use crate::clock::SimClock;
use crate::control::Control;
use crate::control::http::ControlHandler;
use crate::error::SimError;
use crate::faults::Faults;
use crate::gcp;
use crate::issued::Issued;
use crate::log::CallLog;
use crate::secret::SecretText;
use crate::server::{Handler, Listener};

/// Where to listen, and how big the log is.
#[derive(Clone, Debug)]
pub struct Config {
    /// STS and KMS. Default: an ephemeral port of 127.0.0.1, like the others.
    pub aws: SocketAddr,
    /// The instance metadata service.
    pub imds: SocketAddr,
    /// The container credentials endpoint.
    pub container: SocketAddr,
    /// Microsoft Entra ID and Key Vault, over TLS.
    pub azure: SocketAddr,
    /// Azure's managed-identity endpoint.
    pub azure_identity: SocketAddr,
    /// Cloud KMS, IAM Credentials, STS and OAuth tokens of Google Cloud.
    pub gcp: SocketAddr,
    /// Google's metadata server.
    pub gcp_metadata: SocketAddr,
    /// The control API. It has no access control: keep it on loopback.
    pub control: SocketAddr,
    /// The region that the platform's machine is in. Default: `eu-central-1`.
    pub region: Region,
    /// Records that the call log keeps. Default: 65,536, about 60 MiB when every record is large.
    pub log_capacity: usize,
}

impl Config {
    /// Everything on ephemeral ports of 127.0.0.1, in this region.
    pub fn ephemeral(region: Region) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            aws: any,
            imds: any,
            container: any,
            azure: any,
            azure_identity: any,
            gcp: any,
            gcp_metadata: any,
            control: any,
            region,
            log_capacity: 65_536,
        }
    }
}

/// Where a running simulator listens. Serialised, it shows the container's token and the managed-identity header, which
/// their clients need.
#[derive(Clone, Serialize)]
pub struct Endpoints {
    /// STS and KMS, as `AWS_ENDPOINT_URL_STS` and `AWS_ENDPOINT_URL_KMS` take it.
    pub aws: String,
    /// The metadata service, as `AWS_EC2_METADATA_SERVICE_ENDPOINT` takes it.
    pub imds: String,
    /// The container credentials, as `AWS_CONTAINER_CREDENTIALS_FULL_URI` takes it.
    pub container: String,
    /// What `AWS_CONTAINER_AUTHORIZATION_TOKEN` has to hold.
    pub container_token: SecretText,
    /// Entra ID and Key Vault, `https://127.0.0.1:…`. A connection serves the cloud's own names by its `Host` header, so
    /// that clients may go to `login.microsoftonline.com` or `acme.vault.azure.net` at this address.
    pub azure: String,
    /// The certificate authority, in PEM, that signed the certificate of [`Endpoints::azure`]. Made anew for each simulator.
    pub azure_ca: String,
    /// The managed-identity endpoint, as `AZURE_POD_IDENTITY_AUTHORITY_HOST` takes it.
    pub azure_identity: String,
    /// What `IDENTITY_HEADER` has to hold where `IDENTITY_ENDPOINT` is used, as on App Service.
    pub azure_identity_header: SecretText,
    /// Cloud KMS, IAM Credentials, STS and OAuth tokens of Google Cloud, `http://127.0.0.1:PORT`.
    pub gcp: String,
    /// Google's metadata server as `GCE_METADATA_HOST` takes it, `127.0.0.1:PORT`.
    pub gcp_metadata: String,
    /// The control API's base, `http://…/control/v1`.
    pub control: String,
    /// The region of the platform's machine.
    pub region: Region,
}

impl fmt::Debug for Endpoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoints")
            .field("aws", &self.aws)
            .field("imds", &self.imds)
            .field("container", &self.container)
            .field("azure", &self.azure)
            .field("azure_identity", &self.azure_identity)
            .field("gcp", &self.gcp)
            .field("gcp_metadata", &self.gcp_metadata)
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

impl Endpoints {
    /// The environment variables that point AWS SDKs and the AWS CLI here for STS and KMS; credentials are up to the caller.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("AWS_ENDPOINT_URL_STS", self.aws.clone()),
            ("AWS_ENDPOINT_URL_KMS", self.aws.clone()),
            ("AWS_REGION", self.region.to_string()),
        ]
    }

    /// The environment variable that has an SDK take its credentials from the metadata service.
    pub fn instance_environment(&self) -> [(&'static str, String); 1] {
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", self.imds.clone())]
    }

    /// The environment variable that has Google's SDKs take their credentials from the metadata server.
    pub fn gcp_instance_environment(&self) -> [(&'static str, String); 1] {
        [("GCE_METADATA_HOST", self.gcp_metadata.clone())]
    }

    /// The environment variables that have an SDK take its credentials as a container does.
    pub fn container_environment(&self) -> [(&'static str, String); 2] {
        [
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.container.clone()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", self.container_token.expose().to_owned()),
        ]
    }

    /// The environment variable that has an SDK take its managed identity from the instance metadata service.
    pub fn azure_instance_environment(&self) -> [(&'static str, String); 1] {
        [("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.azure_identity.clone())]
    }

    /// The environment variables that have an SDK take its managed identity as on App Service.
    pub fn azure_app_service_environment(&self) -> [(&'static str, String); 2] {
        [
            ("IDENTITY_ENDPOINT", format!("{}{}", self.azure_identity, identity::APP_SERVICE_PATH)),
            ("IDENTITY_HEADER", self.azure_identity_header.expose().to_owned()),
        ]
    }
}

/// Everything that the listeners and the control interface share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: SimClock,
    pub(crate) faults: Faults,
    pub(crate) log: CallLog,
    pub(crate) aws: World,
    pub(crate) azure: azure::world::World,
    pub(crate) gcp: gcp::world::World,
    pub(crate) tenants: crate::tenants::Registry,
    pub(crate) issued: Issued,
}

/// A running simulator. Dropping it stops its listeners; [`Simulator::shutdown`] also waits for them.
pub struct Simulator {
    shared: Arc<Shared>,
    endpoints: Endpoints,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Simulator").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Opens the listeners and serves an empty world. Needs a Tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub async fn start(config: Config) -> Result<Self, SimError> {
        let aws = Listener::bind(config.aws).await?;
        let imds = Listener::bind(config.imds).await?;
        let container = Listener::bind(config.container).await?;
        let gcp = Listener::bind(config.gcp).await?;
        let gcp_metadata = Listener::bind(config.gcp_metadata).await?;
        let control = Listener::bind(config.control).await?;
        let azure = Listener::bind(config.azure).await?;
        let azure_identity = Listener::bind(config.azure_identity).await?;
        let azure_tls = azure::tls::Certificate::generate()?;
        let token = SecretText::generate(24)?;
        let identity_header = SecretText::generate(24)?;
        let endpoints = Endpoints {
            aws: format!("http://{}", aws.address()),
            imds: format!("http://{}", imds.address()),
            container: format!("http://{}{}", container.address(), container::PATH),
            container_token: token.clone(),
            azure: format!("https://{}", azure.address()),
            azure_ca: azure_tls.authority,
            azure_identity: format!("http://{}", azure_identity.address()),
            azure_identity_header: identity_header.clone(),
            gcp: format!("http://{}", gcp.address()),
            gcp_metadata: gcp_metadata.address().to_string(),
            control: format!("http://{}{}", control.address(), crate::control::BASE),
            region: config.region.clone(),
        };
        let shared = Arc::new(Shared {
            clock: SimClock::default(),
            faults: Faults::default(),
            log: CallLog::new(config.log_capacity),
            aws: World::default(),
            azure: azure::world::World::default(),
            gcp: gcp::world::World::new(endpoints.gcp.clone()),
            tenants: crate::tenants::Registry::default(),
            issued: Issued::default(),
            config,
        });
        let simulator = Self {
            shared: shared.clone(),
            endpoints,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        simulator.serve(aws, Endpoint { shared: shared.clone() });
        simulator.serve(imds, Imds { shared: shared.clone(), tokens: Mutex::new(HashMap::new()) });
        simulator.serve(container, Container { shared: shared.clone(), token });
        simulator.serve_tls(azure, azure_tls.acceptor, azure::endpoint::Endpoint { shared: shared.clone() });
        simulator
            .serve(azure_identity, identity::Identity { shared: shared.clone(), header: identity_header });
        simulator.serve(gcp, gcp::endpoint::Endpoint { shared: shared.clone() });
        simulator.serve(gcp_metadata, gcp::metadata::Metadata { shared });
        simulator.serve(control, ControlHandler::new(simulator.control(), simulator.endpoints.clone()));
        Ok(simulator)
    }

    /// Where it listens.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Everything that the control API offers, in process.
    pub fn control(&self) -> Control {
        Control::new(self.shared.clone())
    }

    /// Closes the listeners and all connections, and waits until that is done.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn serve(&self, listener: Listener, handler: impl Handler) {
        listener.serve(Arc::new(handler), None, self.stop.clone(), &self.tasks);
    }

    fn serve_tls(&self, listener: Listener, tls: TlsAcceptor, handler: impl Handler) {
        listener.serve(Arc::new(handler), Some(tls), self.stop.clone(), &self.tasks);
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
