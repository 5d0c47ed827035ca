//! Logs: text for people on a terminal, JSON lines for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use super::config::{Log, LogFormat};

/// Installs the process's subscriber. Only `main` calls it; a second call is ignored.
pub fn install(log: &Log) {
    // The HTTP library's own start and stop say nothing that ours do not; a filter that names it wins.
    let quiet = format!("actix_server=warn,{}", log.level);
    let filter = EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let installed = if json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.with_target(false).try_init()
    };
    if installed.is_err() {
        tracing::debug!("a log subscriber is installed already");
    }
}
