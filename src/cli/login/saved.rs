//! The saved login of `netbit chat`.
//!
//! Invariant: a refresh token is exchanged under the lock of the file, and its successor is stored
//! before it is used. So several clients can share the login.

use anyhow::Context;

use super::store::{CredentialStore, key_of};
use crate::client::{Account, HttpClient, HttpError};

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
        let store = self.store.clone();
        // Another client may hold the lock during its exchange.
        let locked = tokio::task::spawn_blocking(move || store.lock()).await;
        let _lock = locked.context("the lock of the logins").flatten().map_err(SavedLoginError::File)?;
        let kept = self.store.get(&self.key).map_err(SavedLoginError::File)?;
        let refresh_token = kept.and_then(|login| login.refresh_token).ok_or(SavedLoginError::Gone)?;
        let account = http.refresh(&refresh_token).await?;
        self.store.renew(&self.key, account.refresh_token.clone()).map_err(SavedLoginError::File)?;
        Ok(account)
    }
}
