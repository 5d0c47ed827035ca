//! Password checks: over the API, over git, and before a password change.
//!
//! An attempt passes three limits, in this order: a login permit of its network, its permit at the
//! account ([`pacing`]), and a permit for password hashes. No other code compares a password.
//!
//! Invariant: an attempt that waits at the account holds no login permit, so delayed guesses do not
//! keep other users of the same network out. It counts as a delayed login instead.

mod desk;
mod failures;
mod pacing;
#[cfg(test)]
mod pacing_test;
mod share;
#[cfg(test)]
mod share_test;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use desk::{Asked, Desk};
use pacing::LoginOrigin;
pub(super) use pacing::PacingRules;
pub use share::LoginShare;
use tracing::info;

use super::{ServiceError, Services};
use crate::actors::cache::LoginCandidate;
use crate::actors::writer::commands::RehashPassword;
use crate::core::actor::Caller;
use crate::core::auth::password::{Match, PasswordPool};
use crate::core::limits::Limits;
use crate::core::shares::{Holder, Pool, PoolMetrics, PoolName, Reserved, Rules, Slots, network_of};
use crate::core::telemetry::{cut, request_id};
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::user::{User, login_name};

/// The permits of logins. One per application.
pub(super) struct Logins {
    places: Pool,
    desk: Desk,
    delayed: Slots,
    retry_after_ms: u64,
}

impl Logins {
    pub(super) fn start(limits: &Limits, metrics: &PoolMetrics, share: Option<LoginShare>) -> Self {
        let patience = Duration::from_millis(limits.logins_patience_ms);
        let rules = Rules {
            per_holder: limits.logins_per_address,
            ..Rules::new(limits.logins, limits.logins_waiting, patience)
                .with_reserve(limits.logins_reserve, Reserved::ForAll)
        };
        let places = Pool::start(rules, metrics.meter(PoolName::Logins));
        let retry_after_ms = limits.login_delay_max_ms.clamp(1_000, 30_000);
        let delayed = Slots::new(limits.logins_delayed, limits.logins_delayed_per_address)
            .measured(metrics.meter(PoolName::LoginsDelayed));
        Self { places, desk: Desk::open(PacingRules::of(limits), patience, share), delayed, retry_after_ms }
    }
}

/// Returns the pool of permits for password hashes.
pub(super) fn password_pool(limits: &Limits, metrics: &PoolMetrics) -> PasswordPool {
    let patience = Duration::from_millis(limits.hashes_patience_ms);
    let rules = Rules::new(Limits::per_core(limits.hashes_running), limits.hashes_waiting, patience);
    PasswordPool::start(rules, metrics)
}

/// Logs a wrong guess. `packaging/fail2ban-filter.conf` matches this line: the address is the first
/// value in the message, before any text of the client.
pub(super) fn note_failure(what: &'static str, from: IpAddr, username: &str) {
    let (client, username) = (from.to_canonical(), cut(username));
    info!(request_id = request_id().as_deref(), %client, %username, "failed {what} from {client}");
}

impl Services {
    /// Records the outcome of a login at another node of the cluster.
    pub fn receive_login(&self, body: &[u8]) {
        self.logins.desk.receive(body);
    }

    /// Returns the user if the password is right, after the delay that earlier failures cause.
    /// `proven` is the user whose login the request has already proven; that user does not wait for
    /// attempts of others.
    pub(super) async fn prove(
        &self,
        from: IpAddr,
        proven: Option<UserId>,
        username: String,
        password: String,
    ) -> Result<Option<Arc<User>>, ServiceError> {
        let username = login_name(&username);
        let busy = |retry_after_ms| Refusal::RateLimited { retry_after_ms };
        let holder = Holder::of(proven, from);
        let permit = self.logins.places.enter(holder).await.map_err(|_| busy(1_000))?;
        let origin = LoginOrigin { network: network_of(from), proven: proven.is_some() };
        let later = || busy(self.logins.retry_after_ms);
        let (turn, _permit) = match self.logins.desk.ask(&username, origin).await.ok_or_else(later)? {
            Asked::Granted(turn) => (turn, Some(permit)),
            Asked::Waits(waiting) => {
                let _delayed = self.logins.delayed.enter(holder).ok_or_else(later)?;
                drop(permit);
                (waiting.turn().await.ok_or_else(later)?, None)
            }
        };
        if let Some(commits) = &self.commits {
            // The user may have registered, or changed the password, at another node.
            commits.catch_up().await?;
        }
        let candidate = self.cache.ask_anonymously(LoginCandidate(username.clone())).await?;
        let (user, phc) = candidate.unzip();
        let found = self.passwords.verify(holder, turn.standing(), password.clone(), phc.clone()).await?;
        turn.tried(found != Match::Wrong);
        if found == Match::Wrong {
            note_failure("login", from, &username);
        }
        let Some(user) = user.filter(|_| found != Match::Wrong) else { return Ok(None) };
        if let (Match::RightAsTyped, Some(old)) = (found, phc)
            && let Err(error) = self.rehash(user.id, password, old).await
        {
            tracing::debug!(%error, "cannot rehash a password in its prepared form; the next login tries again");
        }
        Ok(Some(user))
    }

    /// Hashes a right password in its prepared form, so that every way to type it matches.
    async fn rehash(&self, user: UserId, password: String, old: Arc<str>) -> Result<(), ServiceError> {
        let password_hash = self.passwords.hash(Holder::Account(user), password).await?;
        Ok(self.writer.execute(Caller::Server, RehashPassword { user, old, password_hash }).await?)
    }
}
