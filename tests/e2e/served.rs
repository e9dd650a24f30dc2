//! The real binary as a process, with a cloud and a tenant.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use leasehold_client::Client;
use leasehold_cloudsim::Simulator;

use crate::clock::JumpingClock;
use crate::cloud::{Cloud, Estate, Lever, estate};
use crate::journal::Journal;
use crate::world::{
    BINDING, activate, client_of, create_binding, create_tenant, eventually, reprove, simulator, soon,
};

/// How long calls under way may go on when it is told to end.
pub(crate) const DRAIN: Duration = Duration::from_secs(3);

/// The binary to test: this build's own, or another build that `LEASEHOLD_BIN` names.
fn binary() -> PathBuf {
    std::env::var_os("LEASEHOLD_BIN").map_or_else(|| env!("CARGO_BIN_EXE_leasehold").into(), PathBuf::from)
}

/// `leasehold serve` with a bare environment and this configuration. Tenants are kept in memory unless it says otherwise.
pub(crate) fn serve(settings: &[(impl AsRef<str>, String)], log: &Path) -> Child {
    serve_within(&[], settings, log)
}

/// The same, started by another command that becomes it, such as `prlimit --nofile=64`.
fn serve_within(launcher: &[String], settings: &[(impl AsRef<str>, String)], log: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let keeps = settings.iter().any(|(name, _)| name.as_ref() == "LEASEHOLD__REGISTRY__PATH");
    let binary = binary();
    let whole: Vec<&str> =
        launcher.iter().map(String::as_str).chain([binary.to_str().unwrap(), "serve"]).collect();
    Command::new(whole[0])
        .args(&whole[1..])
        .env_clear()
        .envs(std::env::var("PATH").map(|path| ("PATH", path)).ok().filter(|_| !launcher.is_empty()))
        .envs((!keeps).then_some(("LEASEHOLD__REGISTRY__KIND", "memory")))
        .envs(settings.iter().map(|(name, value)| (name.as_ref(), value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// A server in a process of its own, on a Unix socket, that takes its identity from the cloud's metadata service as a machine
/// there does; and one tenant.
pub(crate) struct Process {
    child: Child,
    launcher: Vec<String>,
    settings: Vec<(String, String)>,
    pub(crate) cloud: Simulator,
    pub(crate) estate: Arc<dyn Estate>,
    pub(crate) endpoint: String,
    pub(crate) clock: JumpingClock,
    pub(crate) client: Client,
    pub(crate) directory: tempfile::TempDir,
}

impl Process {
    pub(crate) async fn start(cloud: Cloud) -> Self {
        Self::with(cloud, "info", &[]).await
    }

    /// One whose log shows what `filter` lets through.
    pub(crate) async fn logging(cloud: Cloud, filter: &str) -> Self {
        Self::with(cloud, filter, &[]).await
    }

    /// One with further settings.
    pub(crate) async fn with(cloud: Cloud, filter: &str, more: &[(&str, String)]) -> Self {
        Self::launched(Vec::new(), cloud, &["acme"], filter, more).await
    }

    /// One that is started by another command, which becomes it.
    pub(crate) async fn within(launcher: Vec<String>, cloud: Cloud, more: &[(&str, String)]) -> Self {
        Self::launched(launcher, cloud, &["acme"], "info", more).await
    }

    /// How one ends that is started by another command with these settings alone, and what it says.
    pub(crate) async fn refused(launcher: Vec<String>, more: &[(&str, String)]) -> (ExitStatus, String) {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut settings = vec![
            ("LEASEHOLD__DEPLOYMENT", "e2e".to_owned()),
            ("LEASEHOLD__LISTEN__TCP", "[\"127.0.0.1:0\"]".to_owned()),
            ("LEASEHOLD__MEMORY__DANGER_ALLOW_UNLOCKED", "true".to_owned()),
        ];
        settings.extend_from_slice(more);
        let mut child = serve_within(&launcher, &settings, &log);
        let status = eventually(async || child.try_wait().unwrap()).await;
        (status, std::fs::read_to_string(&log).unwrap())
    }

    /// One with these tenants.
    pub(crate) async fn of(cloud: Cloud, tenants: &[&str]) -> Self {
        Self::launched(Vec::new(), cloud, tenants, "info", &[]).await
    }

    async fn launched(
        launcher: Vec<String>,
        cloud: Cloud,
        tenants: &[&str],
        filter: &str,
        more: &[(&str, String)],
    ) -> Self {
        let simulator = simulator().await;
        let estate = estate(cloud, &simulator, tenants);
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("leasehold.sock");
        let audit = directory.path().join("audit");
        let mut settings = vec![
            ("LEASEHOLD__DEPLOYMENT", "e2e".to_owned()),
            ("LEASEHOLD__LOG__FILTER", filter.to_owned()),
            ("LEASEHOLD__LISTEN__TCP", "[]".to_owned()),
            ("LEASEHOLD__LISTEN__UNIX", format!("[{socket:?}]")),
            ("LEASEHOLD__LIMITS__DRAIN", format!("{}s", DRAIN.as_secs())),
            ("LEASEHOLD__AUDIT__DIRECTORY", audit.display().to_string()),
            ("LEASEHOLD__MEMORY__DANGER_ALLOW_UNLOCKED", "true".to_owned()),
        ];
        settings.extend_from_slice(more);
        let mut settings: Vec<_> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        settings.extend(estate.environment());
        let child = serve_within(&launcher, &settings, &directory.path().join("log"));
        let endpoint = format!("unix:{}", socket.display());
        let clock = JumpingClock::start();
        let client = client_of(&endpoint, &clock);
        let mut process =
            Self { child, launcher, settings, cloud: simulator, estate, endpoint, clock, client, directory };
        process.wait_until_ready().await;
        for tenant in tenants {
            process.onboard(tenant).await;
        }
        process
    }

    /// What another command prints that has the same configuration, and must succeed.
    pub(crate) fn command(&self, arguments: &[&str]) -> String {
        let settings = self.settings.iter().map(|(name, value)| (name, value));
        let mut command = Command::new(binary());
        let output = command.args(arguments).env_clear().envs(settings).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Kills it with SIGKILL and starts it again as it was.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.restart();
        self.wait_until_ready().await;
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again as it was, now that it has ended.
    pub(crate) fn restart(&mut self) {
        self.child = serve_within(&self.launcher, &self.settings, &self.directory.path().join("log"));
    }

    pub(crate) async fn wait_until_ready(&mut self) {
        let socket = self.socket();
        eventually(async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status}: {}", self.log());
            }
            tokio::net::UnixStream::connect(&socket).await.ok()
        })
        .await;
    }

    async fn onboard(&self, tenant: &str) {
        create_tenant(&self.client, tenant).await;
        let binding = self.estate.binding(tenant);
        let created = create_binding(&self.client, tenant, BINDING, binding).await.unwrap();
        self.estate.let_in(tenant, &created.external_id);
        activate(&self.client, tenant, BINDING).await.unwrap_or_else(|e| panic!("{e}: {}", self.log()));
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// What its admin listener, at the one address that it has, answers to GET: status and body.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("listening for orchestrators")).unwrap();
        let (_, endpoint) = line.split_once("endpoint=").unwrap();
        let answer = soon(reqwest::get(format!("{}{path}", endpoint.trim()))).await.unwrap();
        (answer.status().as_u16(), soon(answer.text()).await.unwrap())
    }

    /// What it recorded.
    pub(crate) fn audit(&self) -> String {
        self.journal().text()
    }

    /// Where it records.
    pub(crate) fn journal(&self) -> Journal {
        Journal(self.directory.path().join("audit"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let (kill, process) = (format!("kill -{name} \"$0\""), self.child.id().to_string());
        assert!(Command::new("sh").args(["-c", &kill, &process]).status().unwrap().success());
    }

    /// Stops it, and waits until it stands still: its threads go on for moments after the signal is sent.
    pub(crate) async fn stop(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        let stands = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status"));
            // A thread that ended meanwhile stands still as well.
            status.is_err() || status.is_ok_and(|status| status.contains("\nState:\tT"))
        };
        eventually(async || std::fs::read_dir(&tasks).unwrap().all(stands).then_some(())).await;
    }

    /// How it ends.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually(async || self.child.try_wait().unwrap()).await
    }

    /// The root of what it sees of the file system.
    pub(crate) fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.child.id()).into()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// How many bytes of memory it occupies.
    pub(crate) fn resident(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        1024 * line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("leasehold.sock")
    }

    pub(crate) fn revoke_trust(&self) {
        self.estate.pull(Lever::Trust, "acme");
    }

    /// Has every binding of the tenant proven now.
    pub(crate) async fn reprove(&self) {
        reprove(&self.client, "acme").await.unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
