//! Operator commands: sent over the control socket of the running server. If no server runs, the
//! command starts one for itself. In both cases the server's own services perform the command.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::DataDirFlag;
use super::output::{print_line, report_error};
use crate::app::RunningApp;
use crate::client::HttpClient;
use crate::core::config::{Config, Listen, Log, TlsFiles};
use crate::core::control_socket;
use crate::core::data_dir::DataDir;
use crate::core::owner;
use crate::core::telemetry;

#[derive(Args)]
pub(super) struct AuditArguments {
    #[command(flatten)]
    place: DataDirFlag,
    /// Maximum number of entries.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Client of the server's services over the control socket.
pub(super) struct Control {
    server: HttpClient,
    /// Whether the server was started for this command.
    pub(super) is_alone: bool,
}

impl Control {
    /// Returns a client for the control socket in `data_dir`. A server must be running there.
    fn of(data_dir: &Path, is_alone: bool) -> anyhow::Result<Self> {
        let server = HttpClient::over_socket(&control_socket::to_connect(data_dir)?)?;
        Ok(Self { server, is_alone })
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        Ok(self.server.send(method, path, body, &[]).await?.success()?)
    }

    /// Returns the `items` of a page.
    pub(super) async fn items(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let page = self.ask(Method::GET, path, None).await?;
        Ok(page.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Passes every item of a list to `each`, one by one. The list pages by `after`, which is `key`
    /// of the last item.
    pub(super) async fn each(
        &self,
        path: &str,
        key: &str,
        mut each: impl FnMut(&Value) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut after = 0;
        loop {
            let page = self.items(&format!("{path}?after={after}")).await?;
            let Some(last) = page.last().and_then(|item| item.get(key)?.as_i64()) else { return Ok(()) };
            page.iter().try_for_each(&mut each)?;
            after = last;
        }
    }
}

/// Returns whether a server accepts connections on the control socket of this directory.
pub(super) fn is_served(data_dir: &Path) -> bool {
    control_socket::to_connect(data_dir).and_then(UnixStream::connect).is_ok()
}

/// State of the data directory that a command expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Data {
    /// A server must have used the directory: a mistyped path does not create a directory.
    Exists,
    /// The directory may be missing; it is created.
    MayBeNew,
}

/// Returns the configuration if its data directory is in the expected state.
pub(super) fn find_data(place: &DataDirFlag, expected: Data) -> Result<Config, ExitCode> {
    let config = place.config()?;
    let data_dir = &config.data_dir.0;
    let (was_used, otherwise, or) = match config.database_url().is_some() {
        true => (DataDir::was_used(data_dir), "no server has used", ""),
        false => (
            DataDir::database_in(data_dir).exists(),
            "no database in",
            ", or set `database` (NETBIT_DATABASE)",
        ),
    };
    if expected == Data::Exists && !was_used {
        let place = data_dir.display();
        return Err(report_error(&anyhow::anyhow!("{otherwise} {place}: check --data-dir{or}")));
    }
    Ok(config)
}

/// Runs `act` with the server of the data directory. If no server runs, a root process first
/// becomes the owner of the directory, who may not be permitted to read the configuration.
pub(super) fn with_server(
    place: &DataDirFlag,
    expected: Data,
    act: impl AsyncFnOnce(Control) -> anyhow::Result<()>,
) -> Result<ExitCode, ExitCode> {
    let config = find_data(place, expected)?;
    let data_dir = &config.data_dir.0.clone();
    let served = is_served(data_dir);
    if !served {
        let taken = owner::become_owner_of(data_dir).with_context(|| data_dir.display().to_string());
        taken.map_err(|error| report_error(&error))?;
    }
    let done = actix_web::rt::System::new().block_on(async {
        if served { act(Control::of(data_dir, false)?).await } else { act_alone(config, act).await }
    });
    done.map(|()| ExitCode::SUCCESS).map_err(|error: anyhow::Error| report_error(&error))
}

/// Runs `act` with a server that is started for this command.
async fn act_alone(
    config: Config,
    act: impl AsyncFnOnce(Control) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let data_dir = config.data_dir.0.clone();
    let app = start(config).await?;
    let outcome = match Control::of(&data_dir, true) {
        Ok(control) => act(control).await,
        Err(error) => Err(error),
    };
    app.shutdown().await;
    outcome
}

/// Starts an unannounced server: it listens on free loopback ports and lives as long as the
/// command. It holds the lock of the data directory.
async fn start(mut config: Config) -> anyhow::Result<RunningApp> {
    telemetry::install(&Log { level: "error".to_owned(), ..Log::default() });
    let free = Listen::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    (config.http.listen, config.tcp.listen) = (free.clone(), free.clone());
    (config.udp.listen, config.ops.listen) = (free.clone(), free);
    // The TLS key may be readable by the service account only.
    config.tls = TlsFiles::default();
    RunningApp::start(config).await.context("no server is running, and none can be started")
}

/// Reads a new password: twice from the terminal, or from the first line of a file.
pub(super) fn new_password(file: Option<&Path>) -> anyhow::Result<String> {
    if let Some(file) = file {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("--password-file {}", file.display()))?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    let no_terminal = "cannot ask for the password without a terminal: use --password-file FILE";
    let password = rpassword::prompt_password("New password: ").context(no_terminal)?;
    let again = rpassword::prompt_password("Repeat the password: ").context(no_terminal)?;
    anyhow::ensure!(again == password, "the two passwords differ: run the command again");
    Ok(password)
}

pub(super) fn run_audit(arguments: &AuditArguments) -> Result<ExitCode, ExitCode> {
    with_server(&arguments.place, Data::Exists, async |control| {
        let (mut below, mut left) = (i64::MAX, arguments.limit);
        while left > 0 {
            let page = control.items(&format!("/audit?below={below}")).await?;
            let Some(last) = page.last().and_then(|event| event.get("id")?.as_i64()) else { break };
            page.iter().take(left).try_for_each(|event| print_line!("{event}"))?;
            left = left.saturating_sub(page.len());
            below = last;
        }
        Ok(())
    })
}
