//! The REST side: the login of the user, and requests with it.
//!
//! An access token lives for minutes, a chat for hours: a request whose token is refused is tried
//! once more with a fresh one. Requests run one at a time, because a refresh token may be used only
//! once.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cli::login::{SavedLogin, SavedLoginError};
use crate::client::{Account, HttpClient, HttpError, Origin, root_cause};

/// Timeout of a request; a user waits at the terminal.
const PATIENCE: Duration = Duration::from_secs(10);
/// Timeout of a request that sends a piece of a file over a slow line.
const PIECE_PATIENCE: Duration = Duration::from_secs(50);

/// HTTP status of a request without valid credentials.
const UNAUTHENTICATED: u16 = 401;

#[derive(Debug)]
pub(super) enum RestError {
    /// Neither the token nor the refresh token is valid any more.
    LoginNeeded,
    /// Any other failure, as a sentence, and the status if there was an answer.
    Failed { status: Option<u16>, reason: String },
}

impl From<HttpError> for RestError {
    fn from(error: HttpError) -> Self {
        let (status, reason) = match error {
            HttpError::Refused { status, code, detail } if detail.is_empty() => {
                (Some(status), format!("{status} {code}"))
            }
            HttpError::Refused { status, detail, .. } => (Some(status), detail),
            HttpError::Unreachable(error) if error.is_timeout() => {
                (None, "the server does not answer".to_owned())
            }
            HttpError::Unreachable(error) => {
                (None, format!("the server cannot be reached: {}", root_cause(&error)))
            }
            HttpError::Connection(reason) => (None, format!("the server cannot be reached: {reason}")),
            HttpError::Trust(_) | HttpError::Shape(_) => (None, error.to_string()),
        };
        Self::Failed { status, reason }
    }
}

/// A user at a server.
#[derive(Debug)]
pub(super) struct Rest {
    http: HttpClient,
    renewal: Renewal,
}

/// Where fresh tokens come from.
#[derive(Debug)]
enum Renewal {
    RefreshToken(String),
    Saved(Box<SavedLogin>),
}

impl Rest {
    pub(super) fn new(http: &HttpClient, account: Account) -> Self {
        let renewal = Renewal::RefreshToken(account.refresh_token);
        Self { http: http.with_token(account.token), renewal }
    }

    /// Returns a user whose login is saved. It has no token until it is refreshed.
    pub(super) fn saved(http: &HttpClient, login: SavedLogin) -> Self {
        Self { http: http.clone(), renewal: Renewal::Saved(Box::new(login)) }
    }

    /// Returns the address of the server if it uses TLS.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.http.origin()
    }

    pub(super) fn token(&self) -> &str {
        self.http.token().unwrap_or_default()
    }

    /// Returns the server's information about itself.
    pub(super) async fn server(&self) -> Result<Value, RestError> {
        in_time(self.http.server()).await
    }

    /// Sends a request, and again with a fresh token if the token is refused.
    pub(super) async fn ask<T: DeserializeOwned>(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, RestError> {
        let mut answer = in_time(self.http.send(method.clone(), path, body, &[])).await?;
        if answer.status == UNAUTHENTICATED {
            self.refresh().await?;
            answer = in_time(self.http.send(method, path, body, &[])).await?;
        }
        if answer.status == UNAUTHENTICATED {
            return Err(RestError::LoginNeeded);
        }
        let body = answer.success()?;
        serde_json::from_value(body).map_err(|error| HttpError::Shape(error.to_string()).into())
    }

    /// Sends a part of a file, and again with a fresh token if the token is refused.
    pub(super) async fn put_bytes(
        &mut self,
        path: &str,
        bytes: Vec<u8>,
        range: &str,
    ) -> Result<Value, RestError> {
        let (bytes, headers) = (Bytes::from(bytes), [("content-range", range)]);
        let put = async |http: &HttpClient| {
            let sent = http.send_bytes(Method::PUT, path, bytes.clone(), &headers);
            within(PIECE_PATIENCE, sent).await
        };
        let mut answer = put(&self.http).await?;
        if answer.status == UNAUTHENTICATED {
            self.refresh().await?;
            answer = put(&self.http).await?;
        }
        if answer.status == UNAUTHENTICATED {
            return Err(RestError::LoginNeeded);
        }
        Ok(answer.success()?)
    }

    /// Exchanges the tokens for fresh ones.
    pub(super) async fn refresh(&mut self) -> Result<(), RestError> {
        let account = match &self.renewal {
            Renewal::RefreshToken(token) => in_time(self.http.refresh(token)).await,
            Renewal::Saved(login) => match login.refresh(&self.http).await {
                Ok(account) => Ok(account),
                Err(SavedLoginError::Server(error)) => Err(error.into()),
                Err(SavedLoginError::Gone) => Err(RestError::LoginNeeded),
                Err(error @ (SavedLoginError::Late | SavedLoginError::File(_))) => {
                    Err(RestError::Failed { status: None, reason: error.to_string() })
                }
            },
        };
        match account {
            Ok(account) => {
                self.http = self.http.with_token(account.token);
                if let Renewal::RefreshToken(token) = &mut self.renewal {
                    *token = account.refresh_token;
                }
                Ok(())
            }
            Err(RestError::Failed { status: Some(UNAUTHENTICATED), .. }) => Err(RestError::LoginNeeded),
            Err(error) => Err(error),
        }
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, HttpError>>) -> Result<T, RestError> {
    within(PATIENCE, answer).await
}

async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, HttpError>>,
) -> Result<T, RestError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer.map_err(RestError::from),
        Err(_) => Err(RestError::Failed { status: None, reason: "the server does not answer".to_owned() }),
    }
}
