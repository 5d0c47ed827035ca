//! The login that the client uses: the saved one of `netbit login`, or the user's password.

use anyhow::{Context, anyhow};
use serde_json::Value;

use super::ChatArguments;
use super::rest::{Rest, RestError};
use super::text::clean_line;
use crate::cli::login::SavedLogin;
use crate::cli::remote::{Server, password};
use crate::domain::user::login_name;

/// Proof of the user's identity, before the server has checked it.
pub(super) enum Proof {
    /// The login that `netbit login` saved.
    Saved(SavedLogin),
    Password(String),
}

/// A user at a server.
pub(super) struct Identity {
    pub(super) server: Server,
    pub(super) user: String,
    proof: Proof,
}

impl Identity {
    /// Finds the saved login, or asks for the password. A password is asked for only after the
    /// server has answered: the user should not type it in vain.
    pub(super) async fn find(arguments: &ChatArguments) -> anyhow::Result<Self> {
        let server = arguments.server.open()?;
        let wanted = arguments.user.as_deref();
        let saved = match arguments.password_file {
            None => SavedLogin::find(&server.base)?,
            Some(_) => None,
        };
        let saved = saved.filter(|login| wanted.is_none_or(|user| login_name(user) == login.username()));
        if let Some(login) = saved {
            let user = login.username().to_owned();
            return Ok(Self { server, user, proof: Proof::Saved(login) });
        }
        let user = wanted.with_context(|| {
            format!(
                "no login is saved for {0}: run netbit login {0} --user NAME, or use --user NAME",
                server.base
            )
        })?;
        Self::greet(&server).await?;
        let password = password(user, arguments.password_file.as_deref())?;
        Ok(Self { server, user: user.to_owned(), proof: Proof::Password(password) })
    }

    /// Reads the version of the server.
    pub(super) async fn greet(server: &Server) -> anyhow::Result<String> {
        let info = server.http.server().await.map_err(|error| failed(&server.base, error.into()))?;
        let version = info.get("version").and_then(Value::as_str).unwrap_or("(unknown version)");
        Ok(clean_line(version))
    }

    /// Logs in.
    pub(super) async fn log_in(&self) -> anyhow::Result<Rest> {
        match &self.proof {
            Proof::Saved(login) => Ok(Rest::saved(&self.server.http, login.clone())),
            Proof::Password(password) => {
                let account = self.server.http.login(&self.user, password).await;
                let account = account.map_err(|error| failed("the login failed", error.into()))?;
                Ok(Rest::new(&self.server.http, account))
            }
        }
    }

    /// Returns the next step for a login that the server refuses.
    pub(super) fn login_needed(&self) -> anyhow::Error {
        match self.proof {
            Proof::Saved(_) => anyhow!(
                "the saved login is not valid any more: run netbit login {} --user {}",
                self.server.base,
                self.user
            ),
            Proof::Password(_) => {
                anyhow!("the login is not valid any more: run the command again to log in")
            }
        }
    }
}

/// Converts an error of the server. Its text is untrusted, so it is cleaned.
fn failed(what: &str, error: RestError) -> anyhow::Error {
    let reason = match error {
        RestError::LoginNeeded => "the login is not valid".to_owned(),
        RestError::Failed { reason, .. } => reason,
    };
    anyhow!(super::text::clean(&format!("{what}: {reason}")))
}
