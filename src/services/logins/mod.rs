//! Trying a password: over the API, over git, and before a password is changed.
//!
//! A try passes three places, in this order: a place among the logins of its network, its turn at the account
//! ([`pacing`]), and a place at the password hashes. No other code compares a password.

mod desk;
mod failures;
mod pacing;
#[cfg(test)]
mod pacing_test;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use desk::Desk;
use pacing::Origin;
pub(super) use pacing::PacingRules;

use super::{ServiceError, Services};
use crate::actors::cache::LoginCandidate;
use crate::core::auth::password::PasswordPool;
use crate::core::limits::Limits;
use crate::core::shares::{Holder, Pool, PoolMetrics, PoolName, Reserved, Rules, network_of};
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::user::User;

/// The places of logins. One per application.
pub(super) struct Logins {
    places: Pool,
    desk: Desk,
    retry_after_ms: u64,
}

impl Logins {
    pub(super) fn start(limits: &Limits, metrics: &PoolMetrics) -> Self {
        let patience = Duration::from_millis(limits.logins_patience_ms);
        let rules = Rules {
            per_holder: limits.logins_per_address,
            ..Rules::new(limits.logins, limits.logins_waiting, patience)
                .with_reserve(limits.logins_reserve, Reserved::ForAll)
        };
        let places = Pool::start(rules, metrics.meter(PoolName::Logins));
        let retry_after_ms = limits.login_delay_max_ms.clamp(1_000, 30_000);
        Self { places, desk: Desk::open(PacingRules::of(limits), patience), retry_after_ms }
    }
}

/// The places of password hashes.
pub(super) fn password_pool(limits: &Limits, metrics: &PoolMetrics) -> PasswordPool {
    let patience = Duration::from_millis(limits.hashes_patience_ms);
    let rules = Rules::new(Limits::per_core(limits.hashes_running), limits.hashes_waiting, patience);
    PasswordPool::start(rules, metrics)
}

impl Services {
    /// Whether the password is the user's, after the delay that earlier failures earned. `proven` is the user whose login
    /// the request has proven already: it does not wait behind tries of others.
    pub(super) async fn prove(
        &self,
        from: IpAddr,
        proven: Option<UserId>,
        username: String,
        password: String,
    ) -> Result<Option<Arc<User>>, ServiceError> {
        let busy = |retry_after_ms| Refusal::RateLimited { retry_after_ms };
        let holder = Holder::of(proven, from);
        let _place = self.logins.places.enter(holder).await.map_err(|_| busy(1_000))?;
        let turn = self
            .logins
            .desk
            .turn(&username, Origin { network: network_of(from), proven: proven.is_some() })
            .await;
        let turn = turn.ok_or_else(|| busy(self.logins.retry_after_ms))?;
        let candidate = self.cache.ask_anonymously(LoginCandidate(username)).await?;
        let (user, phc) = candidate.unzip();
        let right = self.passwords.verify(holder, turn.standing(), password, phc).await?;
        turn.tried(right);
        Ok(user.filter(|_| right))
    }
}
