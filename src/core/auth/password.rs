//! Passwords: Argon2id on a bounded pool of threads.
//!
//! A hash deliberately costs 19 MiB and some 20 ms of a core. Therefore at most one hash per core
//! runs at once, and a bounded number waits, shared by networks ([`Pool`]). A flood of logins
//! cannot take memory or slow down other requests.
//!
//! Requests of each [`Standing`] have a separate queue, and take turns at the cores. Guessing
//! networks cannot push known users out of the queue, however many networks there are.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};

use crate::core::shares::{Holder, Pool, PoolMetrics, PoolName, Rules};
use crate::domain::password::prepared;

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

/// The queue in which a request waits for its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A user who is logged in, or in a network that is familiar for the account.
    Known,
    New,
    /// A network with many failures.
    Suspect,
}

/// Hashes and verifies passwords, a bounded number at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PasswordPool {
    known: Pool,
    new: Pool,
    suspect: Pool,
    /// The places of all three queues: one per hash that is computed.
    running: Pool,
    /// Verified against when the user does not exist, so that the answer takes the same time.
    dummy: Arc<str>,
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    Wrong,
    Right,
    /// The hash is of the bytes as typed, made by an earlier version. It should be replaced.
    RightAsTyped,
}

/// Returns the PHC string of `password`, prepared and computed on this thread.
pub fn hash_now(password: &str) -> Result<String, PasswordError> {
    let hash = argon2()?.hash_password(prepared(password).as_bytes()).map_err(|_| PasswordError::Failed)?;
    Ok(hash.to_string())
}

/// A well-formed hash that matches no password: its digest is not the output of any known input.
const DUMMY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bmV0Yml0LW5vYm9keS1zYWx0$\
                     AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl PasswordPool {
    /// Starts the pool: one hash at a time for each place. Each standing has a queue of
    /// [`Rules::waiting`].
    pub fn start(rules: Rules, metrics: &PoolMetrics) -> Self {
        let queue = |name| Pool::start(rules, metrics.meter(name));
        // Never full: each queue admits as many as there are places. Only the queues export
        // metrics.
        let running = Rules::new(rules.size, rules.size.saturating_mul(3), rules.patience);
        Self {
            known: queue(PoolName::HashesKnown),
            new: queue(PoolName::Hashes),
            suspect: queue(PoolName::HashesSuspect),
            running: Pool::start(running, PoolMetrics::default().meter(PoolName::Hashes)),
            dummy: DUMMY.into(),
        }
    }

    pub async fn hash(&self, holder: Holder, password: String) -> Result<String, PasswordError> {
        let standing = match holder {
            Holder::Network(_) => Standing::New,
            Holder::Account(_) | Holder::Operator => Standing::Known,
        };
        self.run(holder, standing, move || hash_now(&password)).await
    }

    /// Returns whether `password` has the hash `phc`. Without a hash, returns [`Match::Wrong`]
    /// after the same work.
    ///
    /// Tries the prepared text first, then the bytes as typed, if those differ. Both are tried
    /// whatever the first result is, and each takes its own place. The work depends only on the
    /// typed text.
    pub async fn verify(
        &self,
        holder: Holder,
        standing: Standing,
        password: String,
        phc: Option<Arc<str>>,
    ) -> Result<Match, PasswordError> {
        let (known, phc) = (phc.is_some(), phc.unwrap_or_else(|| self.dummy.clone()));
        let text = prepared(&password).into_owned();
        let typed = Some(password).filter(|typed| *typed != text);
        let fits = |candidate: String| {
            let phc = phc.clone();
            self.run(holder, standing, move || {
                let parsed = PasswordHash::new(&phc).map_err(|_| PasswordError::Failed)?;
                Ok(argon2()?.verify_password(candidate.as_bytes(), &parsed).is_ok() && known)
            })
        };
        let right = fits(text).await?;
        let right_as_typed = match typed {
            Some(typed) => fits(typed).await?,
            None => false,
        };
        Ok(match (right, right_as_typed) {
            (true, _) => Match::Right,
            (false, true) => Match::RightAsTyped,
            (false, false) => Match::Wrong,
        })
    }

    async fn run<T: Send + 'static>(
        &self,
        holder: Holder,
        standing: Standing,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let queue = match standing {
            Standing::Known => &self.known,
            Standing::New => &self.new,
            Standing::Suspect => &self.suspect,
        };
        let first = queue.enter(holder).await.map_err(|_| PasswordError::Busy)?;
        let share = self.running.enter(holder).await.map_err(|_| PasswordError::Busy)?;
        // The share moves with the work: a caller that leaves does not admit more work than the
        // cores can do.
        let done = tokio::task::spawn_blocking(move || {
            let _shares = (first, share);
            work()
        });
        done.await.map_err(|_| PasswordError::Failed)?
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::ids::UserId;

    fn passwords(running: usize, waiting: usize) -> PasswordPool {
        let rules = Rules::new(running, waiting, Duration::from_secs(20));
        PasswordPool::start(rules, &PoolMetrics::default())
    }

    const ALICE: Holder = Holder::Account(UserId(1));
    const BOB: Holder = Holder::Account(UserId(2));

    #[actix_web::test]
    async fn password_verifies_against_its_own_hash_only() {
        let pool = passwords(2, 8);
        let phc: Arc<str> = pool.hash(ALICE, "correct horse".into()).await.unwrap().into();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let tried = async |password: &str, phc: Option<Arc<str>>| {
            pool.verify(ALICE, Standing::Known, password.into(), phc).await.unwrap()
        };
        assert_eq!(tried("correct horse", Some(phc.clone())).await, Match::Right);
        assert_eq!(tried("battery staple", Some(phc)).await, Match::Wrong);
        assert_eq!(
            tried("correct horse", None).await,
            Match::Wrong,
            "an unknown user has no password, after real work"
        );
    }

    #[actix_web::test]
    async fn password_matches_in_all_its_unicode_forms() {
        let pool = passwords(1, 8);
        let new: Arc<str> = pool.hash(ALICE, "cafe\u{301} creme".into()).await.unwrap().into();
        let old = argon2().unwrap().hash_password("cafe\u{301} creme".as_bytes()).unwrap().to_string();
        let old: Arc<str> = old.into();
        let tried = async |password: &str, phc: &Arc<str>| {
            pool.verify(ALICE, Standing::Known, password.into(), Some(phc.clone())).await.unwrap()
        };
        for form in ["cafe\u{301} creme", "caf\u{e9} creme", "caf\u{e9}\u{a0}creme"] {
            assert_eq!(tried(form, &new).await, Match::Right, "{form:?}");
        }
        assert_eq!(tried("cafe\u{301} creme", &old).await, Match::RightAsTyped);
        assert_eq!(tried("caf\u{e9} creme", &old).await, Match::Wrong);
    }

    #[actix_web::test]
    async fn password_pool_refuses_beyond_its_bound() {
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

    #[actix_web::test]
    async fn flood_of_many_networks_does_not_refuse_known_users() {
        let pool = passwords(1, 4);
        let network = |n: u8| Holder::network([192, 0, 2, n].into());
        let guess = |n| pool.verify(network(n), Standing::Suspect, "battery staple".into(), None);
        let known = || pool.verify(network(200), Standing::Known, "correct horse".into(), None);
        let flood = futures_util::future::join_all((0..40).map(guess));
        let (flood, (known, new)) = futures_util::join!(flood, async {
            let new = pool.verify(network(201), Standing::New, "correct horse".into(), None);
            futures_util::join!(known(), new)
        });
        assert!(known.is_ok() && new.is_ok(), "{known:?} {new:?}");
        assert_eq!(flood.iter().filter(|answer| answer.is_ok()).count(), 5);
    }
}
