//! The REST client.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::origin::Origin;
use crate::core::trust::{Trust, TrustError};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::message::Message;

/// Maximum duration of a request with its response.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("cannot reach {}: {}{}", place(.0), root_cause(.0), next_step(.0))]
    Unreachable(reqwest::Error),
    /// A failed connection over TLS: the address and the reason.
    #[error("cannot reach the server: {0}")]
    Connection(String),
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("the server answered {status}: {detail}")]
    Refused { status: u16, code: String, detail: String },
    #[error("unexpected response from the server: {0}")]
    Shape(String),
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error)
    }
}

/// Returns the address of the server that a request was sent to.
fn place(error: &reqwest::Error) -> String {
    error.url().map_or_else(|| "the server".to_owned(), |url| url.origin().ascii_serialization())
}

/// Returns the advice for a connection that could not be opened.
fn next_step(error: &reqwest::Error) -> &'static str {
    if error.is_connect() { "; check the address and whether the server runs" } else { "" }
}

/// Returns the last cause in the chain of an error. The causes before it name the layers of the
/// client only.
pub(crate) fn root_cause(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A response: status, headers and a JSON body (`null` without a body).
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl HttpAnswer {
    /// Returns the error code of a problem response, or an empty string.
    pub fn code(&self) -> &str {
        self.body.get("code").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns the body of a response whose status is below 400.
    ///
    /// # Errors
    /// [`HttpError::Refused`] for any other status.
    pub fn success(self) -> Result<Value, HttpError> {
        if self.status < 400 {
            return Ok(self.body);
        }
        let text = |key: &str| self.body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(HttpError::Refused { status: self.status, code: text("code"), detail: text("detail") })
    }
}

/// The response to a login.
#[derive(Debug, Clone, Deserialize)]
pub struct Account {
    pub token: String,
    pub refresh_token: String,
    pub user: AccountUser,
}

#[derive(Debug, Clone, Deserialize)]
pub struct AccountUser {
    pub id: UserId,
    pub username: String,
}

/// A client of one server; sends requests as one user once a token is set. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    base: String,
    token: Option<String>,
    inner: reqwest::Client,
    /// The address of a server with TLS; `None` without TLS.
    origin: Option<Origin>,
}

impl HttpClient {
    /// Creates a client for the server at `base`: `http://127.0.0.1:8080`, or
    /// `https://git.example.org` for a server whose certificate this machine trusts.
    pub fn new(base: impl Into<String>) -> Result<Self, HttpError> {
        let base = base.into();
        let trust = if base.starts_with("https://") { Some(Trust::of_platform()?) } else { None };
        Self::trusting(base, trust)
    }

    /// Like [`HttpClient::new`], with the certificates to trust if the server uses TLS.
    pub fn trusting(base: impl Into<String>, trust: Option<Trust>) -> Result<Self, HttpError> {
        let base = base.into().trim_end_matches('/').to_owned();
        let inner = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        let origin = trust.map(|trust| Origin::new(&base, trust)).transpose()?;
        Ok(Self { base, token: None, inner, origin })
    }

    /// Returns the address of a server with TLS; `None` without TLS.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Creates a client for a server on a Unix socket, which requires no token.
    pub fn over_socket(path: &std::path::Path) -> Result<Self, HttpError> {
        let inner = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().unix_socket(path).build()?;
        Ok(Self { base: "http://localhost".to_owned(), token: None, inner, origin: None })
    }

    #[must_use]
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: Some(token.into()), ..self.clone() }
    }

    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Sends any request. Returns responses with an error status like all others.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<HttpAnswer, HttpError> {
        let mut request = self.inner.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        self.deliver(request, headers).await
    }

    /// Sends bytes without a content type; otherwise like [`HttpClient::send`].
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        headers: &[(&str, &str)],
    ) -> Result<HttpAnswer, HttpError> {
        let request = self.inner.request(method, format!("{}{path}", self.base)).body(body);
        self.deliver(request, headers).await
    }

    async fn deliver(
        &self,
        mut request: reqwest::RequestBuilder,
        headers: &[(&str, &str)],
    ) -> Result<HttpAnswer, HttpError> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (status, headers, bytes) = match &self.origin {
            Some(origin) => {
                let answered = tokio::time::timeout(TIMEOUT, origin.send(request.build()?)).await;
                let late = |_| HttpError::Connection(format!("{} does not answer", self.base));
                answered.map_err(late).flatten()?
            }
            None => {
                let response = request.send().await?;
                (response.status(), response.headers().clone(), response.bytes().await?)
            }
        };
        let status = status.as_u16();
        let body = if bytes.is_empty() || status == StatusCode::NOT_MODIFIED.as_u16() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes).map_err(|error| HttpError::Shape(error.to_string()))?
        };
        Ok(HttpAnswer { status, headers, body })
    }

    pub async fn get(&self, path: &str) -> Result<HttpAnswer, HttpError> {
        self.send(Method::GET, path, None, &[]).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<HttpAnswer, HttpError> {
        self.send(Method::POST, path, Some(body), &[]).await
    }

    pub async fn server(&self) -> Result<Value, HttpError> {
        self.get("/api/server").await?.success()
    }

    pub async fn register(&self, username: &str, password: &str) -> Result<(), HttpError> {
        let body = json!({"username": username, "password": password});
        self.post("/api/users/register", &body).await?.success().map(drop)
    }

    pub async fn login(&self, username: &str, password: &str) -> Result<Account, HttpError> {
        let body = json!({"username": username, "password": password});
        parse(self.post("/api/users/login", &body).await?.success()?)
    }

    pub async fn refresh(&self, refresh_token: &str) -> Result<Account, HttpError> {
        parse(self.post("/api/users/refresh", &json!({"refresh_token": refresh_token})).await?.success()?)
    }

    /// Creates a group and returns its id.
    pub async fn create_group(&self, name: &str, participants: &[&str]) -> Result<ChatId, HttpError> {
        self.create_chat(&json!({"kind": "group", "name": name, "participants": participants})).await
    }

    pub async fn create_chat(&self, body: &Value) -> Result<ChatId, HttpError> {
        let chat = self.post("/api/chats", body).await?.success()?;
        parse(chat.get("id").cloned().unwrap_or_default())
    }

    /// Adds a user as a member. An existing participant keeps their role.
    pub async fn add_participant(&self, chat: ChatId, username: &str) -> Result<(), HttpError> {
        let path = format!("/api/chats/{chat}/participants/{username}");
        self.send(Method::PUT, &path, Some(&json!({})), &[]).await?.success().map(drop)
    }

    pub async fn post_message(&self, chat: ChatId, content: &str) -> Result<Message, HttpError> {
        let path = format!("/api/chats/{chat}/messages");
        parse(self.post(&path, &json!({"content": content})).await?.success()?)
    }

    /// Returns the messages of a page and whether there are more. `query` is empty or has the form
    /// `?before_seq=7&limit=10`.
    pub async fn messages(&self, chat: ChatId, query: &str) -> Result<(Vec<Message>, bool), HttpError> {
        let page = self.get(&format!("/api/chats/{chat}/messages{query}")).await?.success()?;
        let has_more = page.get("has_more").and_then(Value::as_bool).unwrap_or(false);
        Ok((parse(page.get("items").cloned().unwrap_or_default())?, has_more))
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, HttpError> {
    serde_json::from_value(value).map_err(|error| HttpError::Shape(error.to_string()))
}
