//! Passwords: Argon2id on a bounded pool of threads.
//!
//! A hash costs 19 MiB and some 20 ms of a core on purpose. So only as many as there are cores run at once, a named
//! number waits, and the next caller is refused at once: a flood of logins cannot take memory or the other requests.

use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};
use tokio::sync::Semaphore;

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
    running: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
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
    pub fn new(running: usize, waiting: usize) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running)),
            admitted: Arc::new(Semaphore::new(running + waiting)),
            dummy: DUMMY.into(),
        }
    }

    pub async fn hash(&self, password: String) -> Result<String, PasswordError> {
        self.run(move || hash_now(&password)).await
    }

    /// Whether `password` has the hash `phc`; without a hash, `false` after the same work.
    pub async fn verify(&self, password: String, phc: Option<Arc<str>>) -> Result<bool, PasswordError> {
        let (known, phc) = (phc.is_some(), phc.unwrap_or_else(|| self.dummy.clone()));
        self.run(move || {
            let parsed = PasswordHash::new(&phc).map_err(|_| PasswordError::Failed)?;
            Ok(argon2()?.verify_password(password.as_bytes(), &parsed).is_ok() && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let running = self.running.clone().acquire_owned().await.map_err(|_| PasswordError::Failed)?;
        // The permits travel with the work: a caller who leaves does not make room for more than the cores can do.
        let done = tokio::task::spawn_blocking(move || {
            let _permits = (admitted, running);
            work()
        });
        done.await.map_err(|_| PasswordError::Failed)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix_web::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let pool = PasswordPool::new(2, 8);
        let phc: Arc<str> = pool.hash("correct horse".into()).await.unwrap().into();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(pool.verify("correct horse".into(), Some(phc.clone())).await.unwrap());
        assert!(!pool.verify("battery staple".into(), Some(phc)).await.unwrap());
        assert!(
            !pool.verify("correct horse".into(), None).await.unwrap(),
            "nobody has no password, after real work"
        );
    }

    #[actix_web::test]
    async fn the_pool_refuses_beyond_its_bound() {
        let pool = PasswordPool::new(1, 1);
        let asks = (0..5).map(|_| pool.hash("correct horse".into()));
        let answers = futures_util::future::join_all(asks).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
        assert_eq!(answers.iter().filter(|answer| **answer == Err(PasswordError::Busy)).count(), 3);
    }
}
