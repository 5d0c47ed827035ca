//! Logs: text for users on a terminal, JSON lines for machines.
//!
//! Bytes of clients are cut wherever they reach a line: each value by [`cut`], each line by the
//! subscriber ([`bounded`]).
//!
//! Ids reach a line through spans: `request`, `session`, `push` and `batch`. The record
//! `docs/decisions/0014-spans.md` explains their levels.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Instant;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{self, format};

use super::config::{Log, LogFormat};

mod bounded;
mod chain;
mod cut;

use bounded::Bounded;
pub use bounded::LINE_BYTES_MAX;
pub use chain::{Chain, chain};
pub use cut::{Cut, LOGGED_BYTES_MAX, cut};

tokio::task_local! {
    static REQUEST_ID: Arc<str>;
    static ARRIVED: Instant;
}

/// Runs `work` on behalf of a request. Requests that it sends to actors carry the request's id.
pub async fn in_request<T>(id: Arc<str>, work: impl Future<Output = T>) -> T {
    ARRIVED.scope(Instant::now(), REQUEST_ID.scope(id, work)).await
}

/// Returns the time at which the request arrived on whose behalf this runs, if there is one.
pub fn request_arrived() -> Option<Instant> {
    ARRIVED.try_with(|arrived| *arrived).ok()
}

/// Returns the id of the request on whose behalf this runs, if there is one.
pub fn request_id() -> Option<Arc<str>> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// Installs the process's subscriber. Only `main` calls it; a second call is ignored.
pub fn install(log: &Log) {
    // The HTTP library's own start and stop messages repeat the server's. It also logs an error for
    // every malformed request, which any client can send. A filter that names the library wins.
    let quiet = format!("actix_server=warn,actix_http=off,{}", log.level);
    let filter = EnvFilter::try_new(quiet).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = fmt::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let installed = if json {
        // `Bounded` adds the fields of the spans to the event's own.
        let inner = bounded::flat_json();
        builder.event_format(Bounded { inner, json }).fmt_fields(format::JsonFields::new()).try_init()
    } else {
        let inner = format::format().with_target(false).with_ansi(terminal);
        builder.event_format(Bounded { inner, json }).try_init()
    };
    if installed.is_err() {
        tracing::debug!("a log subscriber is installed already");
    }
}
