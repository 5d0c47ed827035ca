//! The saved login of `netbit chat`.
//!
//! Invariants
//! * A refresh token is exchanged under the lock of the file, and its successor is stored before it
//!   is used. So several clients can share the login.
//! * An exchange runs to its end, also when the caller does not wait that long: the server accepts
//!   a refresh token once, so the successor must not be lost.

use std::fs::File;
use std::time::Duration;

use anyhow::anyhow;
use tokio::time::{Instant, sleep, timeout};

use super::store::{CredentialStore, key_of};
use crate::client::{Account, HttpClient, HttpError};

/// Time that a caller waits for an exchange.
const PATIENCE: Duration = Duration::from_secs(15);
/// Time that an exchange waits for the lock, which another client may hold during its exchange.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// Interval between two attempts to lock the file.
const LOCK_TEST: Duration = Duration::from_millis(50);

/// Login at a server, whose tokens are in the file of the user.
#[derive(Debug, Clone)]
pub(in crate::cli) struct SavedLogin {
    store: CredentialStore,
    key: String,
    username: String,
}

/// Reason why the saved login could not be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum SavedLoginError {
    #[error(transparent)]
    Server(#[from] HttpError),
    /// The login was removed from the file.
    #[error("the login is not saved any more")]
    Gone,
    /// The exchange takes long. It goes on, and its result is stored.
    #[error("the server does not answer")]
    Late,
    #[error("{0:#}")]
    File(anyhow::Error),
}

impl SavedLogin {
    /// Returns the saved login of a server, if there is one.
    pub(in crate::cli) fn find(base: &str) -> anyhow::Result<Option<Self>> {
        // Without a home directory no login can have been saved.
        let Ok(store) = CredentialStore::of_user() else { return Ok(None) };
        let key = key_of(base)?;
        let login = store.get(&key)?.filter(|login| login.refresh_token.is_some());
        Ok(login.map(|login| Self { store, key, username: login.username }))
    }

    pub(in crate::cli) fn username(&self) -> &str {
        &self.username
    }

    /// Exchanges the refresh token.
    pub(in crate::cli) async fn refresh(&self, http: &HttpClient) -> Result<Account, SavedLoginError> {
        let (login, http) = (self.clone(), http.clone());
        let exchange = tokio::spawn(async move { login.exchange(&http).await });
        match timeout(PATIENCE, exchange).await {
            Ok(Ok(exchanged)) => exchanged,
            Ok(Err(error)) => Err(SavedLoginError::File(anyhow!(error).context("the exchange failed"))),
            Err(_) => Err(SavedLoginError::Late),
        }
    }

    async fn exchange(&self, http: &HttpClient) -> Result<Account, SavedLoginError> {
        let _lock = self.lock(LOCK_PATIENCE).await.map_err(SavedLoginError::File)?;
        let kept = self.store.get(&self.key).map_err(SavedLoginError::File)?;
        let refresh_token = kept.and_then(|login| login.refresh_token).ok_or(SavedLoginError::Gone)?;
        let account = http.refresh(&refresh_token).await?;
        self.store.renew(&self.key, account.refresh_token.clone()).map_err(SavedLoginError::File)?;
        Ok(account)
    }

    async fn lock(&self, patience: Duration) -> anyhow::Result<File> {
        let end = Instant::now() + patience;
        loop {
            if let Some(lock) = self.store.try_lock()? {
                return Ok(lock);
            }
            if Instant::now() >= end {
                return Err(anyhow!("another netbit uses the saved logins: try again"));
            }
            sleep(LOCK_TEST).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that was stopped during its exchange kept the others waiting without end.
    #[tokio::test]
    async fn exchange_ends_when_the_lock_is_not_released() {
        let folder = tempfile::tempdir().unwrap();
        let store = CredentialStore::in_folder(folder.path());
        let login = SavedLogin { store, key: "http://127.0.0.1:1".into(), username: "alice".into() };
        let http = HttpClient::new("http://127.0.0.1:1").unwrap();
        let lock = login.store.lock().unwrap();
        let error = login.lock(Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().contains("another netbit"), "{error}");
        drop(lock);
        assert!(matches!(login.refresh(&http).await, Err(SavedLoginError::Gone)));
    }
}
