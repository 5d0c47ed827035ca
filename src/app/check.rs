//! Looks over the whole database once, beside a server that serves already.
//!
//! What the start reads it has seen; a page that it did not read may be damaged all the same. Whoever finds that out at
//! the next backup finds it out too late: so it is looked for at every start, by a reader of its own, and a server
//! whose file is damaged does not go on.

use std::path::PathBuf;
use std::time::Instant;

use prometheus_client::metrics::gauge::Gauge;
use tracing::{debug, error, warn};

use crate::core::actor::{FATAL_EXIT_CODE, FatalSignal};
use crate::core::database;

/// Begins to look, on a thread that nothing waits for.
pub(super) fn look_over(path: PathBuf, ready: Gauge, fatal: FatalSignal) {
    let look = move || {
        let begun = Instant::now();
        let found = database::open_reader(&path).and_then(|mut db| database::quick_check(&mut db));
        match found {
            Ok(findings) if findings.is_empty() => {
                debug!(seconds = begun.elapsed().as_secs_f64(), "the database is whole");
            }
            Ok(findings) => {
                error!(
                    findings = findings.join("; "),
                    "the database is damaged: keep a copy of the data directory for later, then restore a backup \
                     (netbit restore); netbit doctor says more"
                );
                ready.set(0);
                fatal.raise(FATAL_EXIT_CODE);
            }
            Err(error) => warn!(%error, "the database could not be looked over"),
        }
    };
    if let Err(error) = std::thread::Builder::new().name("look over".to_owned()).spawn(look) {
        warn!(%error, "the database is not looked over");
    }
}
