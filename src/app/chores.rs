//! The background tasks of a running server, and the periodic work for accounts: ends expired
//! logins and tokens, notifies the owners of tokens that expire soon, writes the last uses of
//! tokens and web logins.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::core::telemetry::chain;
use crate::services::Services;

/// Interval for ending expired logins and tokens and for notifying owners of tokens that expire
/// soon.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);
/// Interval for dropping old entries of the rate limiters.
const TIDY_EVERY: Duration = Duration::from_secs(60);

fn until_cancelled(until: &CancellationToken, task: impl Future<Output = ()> + 'static) {
    actix::spawn(until.clone().run_until_cancelled_owned(task));
}

/// Starts the task that takes over the repositories of nodes that have ended.
pub(super) fn spawn_take_over(services: &Arc<Services>, until: &CancellationToken) {
    let services = services.clone();
    until_cancelled(until, async move { services.take_over_ended_nodes().await });
}

/// Starts all background tasks; they end when `until` is cancelled.
pub(super) fn spawn(services: &Arc<Services>, until: &CancellationToken) {
    until_cancelled(until, maintain_accounts(services.clone()));
    until_cancelled(until, write_uses(services.clone()));
    let maintained = services.clone();
    until_cancelled(until, async move { maintained.maintain_repositories().await });
    let removing = services.clone();
    until_cancelled(until, async move { removing.maintain_files().await });
    let delivering = services.clone();
    until_cancelled(until, async move { delivering.deliver_notifications().await });
    let graphs = services.clone();
    until_cancelled(until, async move { graphs.write_missing_graphs().await });
    let trimming = services.clone();
    until_cancelled(until, async move { trimming.maintain_chats().await });
}

/// Ends what has expired, while this node holds the lock of the chores. Runs until it is cancelled.
async fn maintain_accounts(services: Arc<Services>) {
    let mut expire = tokio::time::interval(EXPIRE_EVERY);
    let mut expire_tokens = tokio::time::interval(EXPIRE_EVERY);
    let mut warn_of_tokens = tokio::time::interval(EXPIRE_EVERY);
    for every in [&mut expire, &mut expire_tokens, &mut warn_of_tokens] {
        // A node without the lock misses ticks.
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        services.chores.held().await;
        tokio::select! {
            () = services.chores.lost() => {}
            _ = expire.tick() => match services.end_expired_logins().await {
                Ok(0) => {}
                Ok(ended) => {
                    info!(ended, "expired logins were ended");
                    // There may be more.
                    expire.reset_immediately();
                }
                Err(error) => warn!(error = %chain(&error), "expired logins could not be ended"),
            },
            _ = expire_tokens.tick() => match services.end_expired_tokens().await {
                Ok(0) => {}
                Ok(_) => expire_tokens.reset_immediately(),
                Err(error) => warn!(error = %chain(&error), "expired access tokens could not be ended"),
            },
            _ = warn_of_tokens.tick() => match services.warn_of_expiring_tokens().await {
                Ok(0) => {}
                Ok(_) => warn_of_tokens.reset_immediately(),
                Err(error) => warn!(error = %chain(&error), "owners of expiring access tokens could not be notified"),
            },
        }
    }
}

/// Writes the uses that this node has recorded. Runs until it is cancelled.
async fn write_uses(services: Arc<Services>) {
    let mut tidy = tokio::time::interval(TIDY_EVERY);
    let mut token_uses = tokio::time::interval(Duration::from_millis(services.limits.token_use_write_ms));
    let mut login_uses = tokio::time::interval(Duration::from_millis(services.limits.token_use_write_ms));
    loop {
        tokio::select! {
            _ = tidy.tick() => services.tidy_rates(),
            _ = token_uses.tick() => if let Err(error) = services.write_token_uses().await {
                warn!(error = %chain(&error), "the last uses of access tokens could not be written");
            },
            _ = login_uses.tick() => if let Err(error) = services.write_web_login_uses().await {
                warn!(error = %chain(&error), "the last uses of web logins could not be written");
            },
        }
    }
}
