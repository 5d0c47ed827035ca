//! `netbit serve`: runs the server, from reading the configuration to the last checkpoint.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::ServerFlags;
use super::output::report_error;
use crate::app::RunningApp;
use crate::core::actor::FATAL_EXIT_CODE;
use crate::core::config::LoadedConfig;
use crate::core::telemetry;

pub(super) fn run(flags: &ServerFlags) -> Result<ExitCode, ExitCode> {
    let LoadedConfig { config, unknown_variables, renamed_keys } = flags.load()?;
    telemetry::install(&config.log);
    for variable in unknown_variables {
        warn!(variable, "environment variable {variable} is not a setting and is ignored");
    }
    for renamed in renamed_keys {
        warn!(key = renamed.old, "{renamed}");
    }
    raise_file_limit();
    let code = actix_web::rt::System::new().block_on(async move {
        let (mut signals, mut reloads) = (Signals::new()?, Reloads::new()?);
        let app = RunningApp::start(config).await?;
        print_banner(&app);
        let code = tokio::select! {
            name = signals.next() => {
                info!(signal = name, "stopping");
                0
            }
            never = reloads.serve(&app) => match never {},
            code = app.failed() => code,
        };
        if code != 0 {
            error!(code, "the server cannot continue");
            // State or disk cannot be trusted: unacknowledged commands stay unacknowledged, and a
            // restart loads the durable state.
            std::process::exit(code);
        }
        let failed = app.failed();
        let stopped = tokio::select! {
            biased;
            // A commit that fails while the writer drains is as severe as at any other time.
            code = failed => {
                error!(code, "the server failed while stopping");
                std::process::exit(code);
            }
            stopped = app.shutdown() => stopped,
            name = signals.next() => {
                warn!(signal = name, "received a second signal: stopping at once");
                std::process::exit(1);
            }
        };
        info!(differences = stopped.differences, "stopped");
        if stopped.differences > 0 {
            // The database is right, and the next start loads it. Clients may have read other data.
            std::process::exit(FATAL_EXIT_CODE);
        }
        anyhow::Ok(ExitCode::SUCCESS)
    });
    code.map_err(|error: anyhow::Error| report_error(&error))
}

/// Prints a few lines for the terminal in which the server was started. The setup code appears on
/// standard output only, never in the log.
fn print_banner(app: &RunningApp) {
    let addresses = &app.addresses;
    let base = reached_at(app);
    let setup = app.services.setup_code().map(|code| {
        format!(
            "No administrator yet. Set up: {base}/setup#code={0}\n  or: curl --json '{{\"username\":\"you\",\"password\":\"choose a long password\",\"setup_code\":\"{0}\"}}' {base}/api/users/register\n",
            code.text()
        )
    });
    let lines = [
        format!(
            "NetBit is ready. Open {base} in a browser, or register: curl --json '{{\"username\":\"you\",\"password\":\"correct horse\"}}' {base}/api/users/register"
        ),
        format!(
            "Chat sessions: {}://{} (netbit chat --server {base} --user you)",
            if app.is_encrypted() { "tls" } else { "tcp" },
            addresses.tcp
        ),
        format!(
            "{}Documentation: README.md, docs/PROTOCOL.md, docs/OPERATIONS.md; operations: http://{}/readyz",
            setup.unwrap_or_default(),
            addresses.ops
        ),
    ];
    // Standard output may be closed already; the server runs anyway.
    if let Err(error) = writeln!(std::io::stdout(), "{}", lines.join("\n")) {
        info!(%error, "cannot write the start message to standard output");
    }
    info!(http = %addresses.http, tcp = %addresses.tcp, ops = %addresses.ops, "ready");
}

/// Returns the URL of the server: `http.public_url`, or the address of its HTTP listener. A
/// wildcard address becomes the loopback address. With TLS the URL holds a name of the certificate.
fn reached_at(app: &RunningApp) -> String {
    if let Some(url) = app.services.git.public_url() {
        return url.to_owned();
    }
    let mut address = app.addresses.http;
    if address.ip().is_unspecified() {
        let loopback =
            if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback);
    }
    match app.certificate_name() {
        Some(name) => format!("https://{name}:{}", address.port()),
        None if app.is_encrypted() => format!("https://{address}"),
        None => format!("http://{address}"),
    }
}

/// Raises the limit of open files to its maximum: each session uses a file descriptor.
fn raise_file_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        warn!(%error, ?current, "cannot raise the limit of open files");
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP, which reloads the certificate.
struct Reloads(Signal);

impl Reloads {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Reloads the certificate on each signal; never returns.
    async fn serve(&mut self, app: &RunningApp) -> std::convert::Infallible {
        loop {
            self.0.recv().await;
            app.reload_certificate();
        }
    }
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
