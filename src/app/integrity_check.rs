//! Checks the integrity of the whole database file once per start, while the server already serves.
//!
//! The start itself reads only the pages that it needs; any other page may be damaged. Damage that
//! is found only at the next backup is found too late. Every start therefore runs this check on its
//! own thread with its own read-only connection. A server whose file is damaged exits.

use std::path::PathBuf;
use std::time::Instant;

use prometheus_client::metrics::gauge::Gauge;
use tracing::{debug, error, warn};

use crate::core::actor::{FATAL_EXIT_CODE, FatalSignal};
use crate::core::database;

/// Starts the check on a detached thread. Damage sets `ready` to 0 and raises `fatal`.
pub(super) fn spawn_integrity_check(path: PathBuf, ready: Gauge, fatal: FatalSignal) {
    let check = move || {
        let begun = Instant::now();
        let found = database::open_reader(&path).and_then(|mut db| database::quick_check(&mut db));
        match found {
            Ok(findings) if findings.is_empty() => {
                debug!(seconds = begun.elapsed().as_secs_f64(), "the database is intact");
            }
            Ok(findings) => {
                error!(
                    findings = findings.join("; "),
                    "the database is damaged: keep a copy of the data directory for later, then restore a backup \
                     (netbit restore); netbit doctor lists the damage"
                );
                ready.set(0);
                fatal.raise(FATAL_EXIT_CODE);
            }
            Err(error) => warn!(%error, "the integrity of the database could not be checked"),
        }
    };
    if let Err(error) = std::thread::Builder::new().name("quick check".to_owned()).spawn(check) {
        warn!(%error, "the thread that checks the integrity of the database could not be started");
    }
}
