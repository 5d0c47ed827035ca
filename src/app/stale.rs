//! Ends the sessions of a node whose state is too old: their clients connect to another node.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::actors::freshness::Freshness;
use crate::messaging::SessionAcceptor;

/// Interval at which a stale node checks whether it is current again.
const RECOVERY_POLL: Duration = Duration::from_millis(100);
/// Added to the time at which the state becomes stale, so that it is stale after the sleep.
const MARGIN: Duration = Duration::from_millis(5);

/// Starts the task, if the state can become stale. It ends when `until` is cancelled.
pub(super) fn spawn(freshness: &Freshness, sessions: &Arc<SessionAcceptor>, until: &CancellationToken) {
    let Some(max) = freshness.max() else { return };
    let watched = watch(freshness.clone(), max, sessions.clone());
    actix::spawn(until.clone().run_until_cancelled_owned(watched));
}

async fn watch(freshness: Freshness, max: Duration, sessions: Arc<SessionAcceptor>) {
    loop {
        sleep(max.saturating_sub(freshness.age()) + MARGIN).await;
        if !freshness.is_stale() {
            continue;
        }
        warn!(
            age = ?freshness.age(),
            "PostgreSQL does not answer: reads are refused, and sessions end, until it answers again"
        );
        sessions.end_open_sessions();
        while freshness.is_stale() {
            sleep(RECOVERY_POLL).await;
        }
        info!("PostgreSQL answers again: reads are served");
    }
}
