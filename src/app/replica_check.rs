//! Checks the read replicas of the configuration after the start, in the background.
//!
//! A replica that is away or wrong does not stop the server: the primary answers in its place.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::core::config::Config;
use crate::core::database::Source;
use crate::core::database::postgres::{PostgresError, Server};
use crate::core::telemetry::chain;
use crate::storage::replica_check::check_replica;

/// Checks of a replica that fails. In a new database the first ones precede the replication.
const ATTEMPTS: usize = 3;
/// Pause between two of them.
const PAUSE: Duration = Duration::from_secs(2);

/// Starts a check of each replica; they end when `until` is cancelled.
///
/// # Errors
/// If the URL of the replicas cannot be used.
pub(super) fn spawn(
    config: &Config,
    database: &Source,
    until: &CancellationToken,
) -> Result<(), PostgresError> {
    let (Some(url), Source::Server(primary)) = (config.replicas_url(), database) else { return Ok(()) };
    for replica in Server::each_replica(url)? {
        let check = check(primary.clone(), replica);
        actix::spawn(until.clone().run_until_cancelled_owned(check));
    }
    Ok(())
}

async fn check(primary: Arc<Server>, replica: Arc<Server>) {
    for attempt in 1..=ATTEMPTS {
        let (of, at) = (primary.clone(), replica.clone());
        let checked = tokio::task::spawn_blocking(move || check_replica(&of, &at)).await;
        match checked {
            Ok(Ok(())) => {
                info!(replica = replica.place(), "the read replica is a standby of the database");
                return;
            }
            Ok(Err(error)) if attempt == ATTEMPTS => {
                warn!(
                    replica = replica.place(),
                    error = %chain(&error),
                    "the read replica cannot be used; the primary answers in its place: check database_replicas"
                );
            }
            Ok(Err(_)) => tokio::time::sleep(PAUSE).await,
            Err(error) => warn!(%error, "the read replicas cannot be checked"),
        }
    }
}
