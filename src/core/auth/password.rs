//! Passwords: Argon2id on a bounded pool of threads.
//!
//! A hash costs 19 MiB and some 20 ms of a core on purpose. So only as many as there are cores run at once, and a named
//! number waits, shared by networks ([`Pool`]): a flood of logins cannot take memory or the other requests.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};

use crate::core::shares::{Holder, Pool};

/// OWASP's second recommendation for Argon2id: m = 19 MiB, t = 2, p = 1.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("too many logins at once")]
    Busy,
    #[error("the password could not be hashed")]
    Failed,
}

/// Hashes and verifies, a bounded number at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PasswordPool {
    places: Pool,
    /// Verified against when the user does not exist, so that the answer takes the same time.
    dummy: Arc<str>,
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The PHC string of `password`, computed on this thread.
pub fn hash_now(password: &str) -> Result<String, PasswordError> {
    let hash = argon2()?.hash_password(password.as_bytes()).map_err(|_| PasswordError::Failed)?;
    Ok(hash.to_string())
}

/// A well-formed hash that no password has: its digest is not the output of any input that we know.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bmV0Yml0LW5vYm9keS1zYWx0$\
                     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl PasswordPool {
    /// One hash at a time for each of the places.
    pub fn new(places: Pool) -> Self {
        Self { places, dummy: DUMMY.into() }
    }

    pub async fn hash(&self, holder: Holder, password: String) -> Result<String, PasswordError> {
        self.run(holder, move || hash_now(&password)).await
    }

    /// Whether `password` has the hash `phc`; without a hash, `false` after the same work.
    pub async fn verify(
        &self,
        holder: Holder,
        password: String,
        phc: Option<Arc<str>>,
    ) -> Result<bool, PasswordError> {
        let (known, phc) = (phc.is_some(), phc.unwrap_or_else(|| self.dummy.clone()));
        self.run(holder, move || {
            let parsed = PasswordHash::new(&phc).map_err(|_| PasswordError::Failed)?;
            Ok(argon2()?.verify_password(password.as_bytes(), &parsed).is_ok() && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        holder: Holder,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let share = self.places.enter(holder).await.map_err(|_| PasswordError::Busy)?;
        // The share travels with the work: a caller that leaves does not make room for more than the cores can do.
        let done = tokio::task::spawn_blocking(move || {
            let _share = share;
            work()
        });
        done.await.map_err(|_| PasswordError::Failed)?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::shares::{PoolMetrics, PoolName, Rules};
    use crate::domain::ids::UserId;

    fn passwords(running: usize, waiting: usize) -> PasswordPool {
        let rules = Rules::new(running, waiting, Duration::from_secs(20));
        PasswordPool::new(Pool::start(rules, PoolMetrics::default().meter(PoolName::Hashes)))
    }

    const ALICE: Holder = Holder::Account(UserId(1));
    const BOB: Holder = Holder::Account(UserId(2));

    #[actix_web::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let pool = passwords(2, 8);
        let phc: Arc<str> = pool.hash(ALICE, "correct horse".into()).await.unwrap().into();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(pool.verify(ALICE, "correct horse".into(), Some(phc.clone())).await.unwrap());
        assert!(!pool.verify(ALICE, "battery staple".into(), Some(phc)).await.unwrap());
        assert!(
            !pool.verify(ALICE, "correct horse".into(), None).await.unwrap(),
            "nobody has no password, after real work"
        );
    }

    #[actix_web::test]
    async fn the_pool_refuses_beyond_its_bound() {
        let pool = passwords(1, 1);
        let asks = (0..5).map(|_| pool.hash(ALICE, "correct horse".into()));
        let answers = futures_util::future::join_all(asks).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
        assert_eq!(answers.iter().filter(|answer| **answer == Err(PasswordError::Busy)).count(), 3);
    }

    #[actix_web::test]
    async fn full_queue_refuses_the_flood_and_not_the_others() {
        let pool = passwords(1, 4);
        let flood = (0..20).map(|_| pool.hash(ALICE, "battery staple".into()));
        let honest = (0..2).map(|_| pool.hash(BOB, "correct horse".into()));
        let both = futures_util::future::join(
            futures_util::future::join_all(flood),
            futures_util::future::join_all(honest),
        );
        let (flood, honest) = both.await;
        assert!(honest.iter().all(Result::is_ok), "{honest:?}");
        assert!(flood.iter().any(Result::is_err));
    }
}
