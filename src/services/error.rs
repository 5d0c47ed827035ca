//! Service errors: a stable code, a sentence, and the time to retry.
//!
//! # Which error belongs where
//! Each layer has its own error type. `From` and `?` convert the error of the layer below; no layer
//! reads the sentence of an error to make a decision, it matches the variant or the [`Code`].
//!
//! | Type | Where it is created | Meaning |
//! |---|---|---|
//! | [`Refusal`] | rules in `domain`; commands, queries, services | A rule denies the request, and
//! nothing was changed.
//! |
//! | [`CommandError`] | the handle of the writer | A refusal of the command, or `Overloaded`,
//! `ReadOnly` (the disk is full), `DatabaseAway`, `Internal`.
//! |
//! | [`QueryError`] | the handle of the cache | A refusal of the query, or `Overloaded`, `Stale`
//! (PostgreSQL is away), `Internal`.
//! |
//! | [`ServiceError`] | `services` | Any of these and all other failures, with a [`Code`]. |
//! | `HttpError`, `GitError` | `api` | A service error in the form of an HTTP or git response. |
//!
//! Rules for contributors:
//! * In `domain`, in a command and in a query, return a [`Refusal`]. Only the actors build a
//!   [`CommandError`] or a [`QueryError`]. In a command, pass on database errors with `?`: they
//!   concern the whole batch.
//! * In `services`, return a [`Refusal`] with `.into()` where a variant fits. Use
//!   [`ServiceError::invalid`] for several invalid fields, [`ServiceError::later`] if a retry can
//!   succeed, and [`ServiceError::new`] otherwise; [`ServiceError::at`] names the field that
//!   causes it.
//! * Convert errors of git, SQLite and the file system in one `From` implementation per type, and
//!   keep the cause with [`ServiceError::because`]. The sentence for the client contains no paths,
//!   no SQL and no output of git.
//! * Log the cause once, where the error is handled: in the line of the request
//!   (`http/observe.rs`), with [`ServiceError::log_causes`] where an answer has no line, and with
//!   [`chain`](crate::core::telemetry::chain) in background work.
//! * In `api` and `messaging`, pass service errors on. `HttpError::with_status` is only for
//!   statuses that no code has: 405, 408, 414, 415.
//!
//! # The client's view
//! * REST and the control socket: a problem document (RFC 9457) with [`Code::http_status`], the
//!   code, the sentence and the invalid fields, and `Retry-After` in whole seconds.
//! * git: [`ServiceError::sentence`] as a message of the git protocol; some statuses stay HTTP
//!   errors (`api/git_refusal.rs`).
//! * Sessions over TCP and WebSocket: an `Ack` with the code as [`Code::in_packets`] returns it,
//!   the sentence and the milliseconds to wait.
//! * After [`Code::Internal`] the outcome of a command is unknown. A client repeats a message with
//!   the same `client_id`.

use std::error::Error;
use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::actors::error::QueryError;
use crate::actors::writer::CommandError;
use crate::core::actor::Overloaded;
use crate::core::auth::password::PasswordError;
use crate::core::saturate;
use crate::core::telemetry::{chain, cut};
use crate::domain::refusal::Refusal;
use crate::protocol::code::Code;
use crate::storage::readers::ReadError;

/// A problem with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldProblem {
    pub field: &'static str,
    /// A sentence for users.
    pub problem: String,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct ServiceError {
    pub code: Code,
    pub detail: String,
    pub retry_after_ms: Option<u64>,
    pub fields: Vec<FieldProblem>,
    /// The cause, for the log. Clients never see it.
    pub source: Option<Arc<dyn Error + Send + Sync>>,
}

impl ServiceError {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_ms: None, fields: Vec::new(), source: None }
    }

    /// Returns an error of the server itself: clients see a fixed sentence, the log the cause.
    pub fn internal(source: impl Error + Send + Sync + 'static) -> Self {
        Self::new(Code::Internal, "the server failed; its log has the reason").because(source)
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the error with its causes for a log line; `None` if it has no cause.
    pub fn causes(&self) -> Option<String> {
        self.source.as_ref().map(|_| cut(chain(self)).to_string())
    }

    /// Logs the error with its causes, if it has any: for answers without a log line of their own.
    pub fn log_causes(&self) {
        if let Some(error) = self.causes() {
            tracing::error!(error, "a request failed: {}", self.detail);
        }
    }

    pub fn unauthenticated() -> Self {
        Refusal::Unauthenticated.into()
    }

    pub fn invalid(fields: Vec<FieldProblem>) -> Self {
        let names: Vec<_> =
            fields.iter().map(|problem| format!("{} {}", problem.field, problem.problem)).collect();
        Self { fields, ..Self::new(Code::Validation, names.join("; ")) }
    }

    /// Names the field that causes the error.
    #[must_use]
    pub fn at(self, field: &'static str) -> Self {
        let problem = self.detail.clone();
        Self { fields: vec![FieldProblem { field, problem }], ..self }
    }

    /// Returns the detail with the time to retry, for clients that display only a sentence.
    pub fn sentence(&self) -> String {
        let Some(ms) = self.retry_after_ms else { return self.detail.clone() };
        let vague = ["; try again later", "; try again", "; push again later"];
        let detail = vague.iter().find_map(|end| self.detail.strip_suffix(end)).unwrap_or(&self.detail);
        format!("{detail}; try again in {} s", ms.div_ceil(1000).max(1))
    }

    pub fn later(code: Code, detail: impl Into<String>, retry_after_ms: u64) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new(code, detail) }
    }
}

impl From<Refusal> for ServiceError {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::Unauthenticated => Self::new(Code::Unauthenticated, detail),
            Refusal::NotFound(_) => Self::new(Code::NotFound, detail),
            Refusal::Forbidden(_) => Self::new(Code::Forbidden, detail),
            Refusal::FreshLoginRequired => Self::new(Code::FreshLoginRequired, detail),
            Refusal::Conflict(_) => Self::new(Code::Conflict, detail),
            Refusal::Taken { field, .. } => Self::new(Code::Conflict, detail).at(field),
            Refusal::ClientIdReused => Self::new(Code::ClientIdReused, detail),
            Refusal::RateLimited { retry_after_ms } | Refusal::TooManyAdditions { retry_after_ms } => {
                Self::later(Code::RateLimited, detail, retry_after_ms)
            }
            Refusal::Invalid { field, reason } => {
                Self::invalid(vec![FieldProblem { field, problem: reason.to_string() }])
            }
            Refusal::TooLarge(_) => Self::new(Code::TooLarge, detail),
        }
    }
}

impl From<Overloaded> for ServiceError {
    fn from(overloaded: Overloaded) -> Self {
        let retry_after_ms = saturate::millis(overloaded.retry_after);
        Self::later(Code::Overloaded, overloaded.to_string(), retry_after_ms)
    }
}

impl From<QueryError> for ServiceError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Refused(refusal) => refusal.into(),
            QueryError::Overloaded(overloaded) => overloaded.into(),
            QueryError::Stale => Self::later(Code::Overloaded, error.to_string(), 1000),
            QueryError::Internal => Self::new(Code::Internal, error.to_string()),
        }
    }
}

impl From<CommandError> for ServiceError {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => refusal.into(),
            CommandError::Overloaded(overloaded) => overloaded.into(),
            CommandError::ReadOnly => Self::later(Code::ReadOnly, error.to_string(), 1000),
            CommandError::DatabaseAway => Self::later(Code::Overloaded, error.to_string(), 1000),
            CommandError::Internal => Self::new(Code::Internal, error.to_string()),
        }
    }
}

impl From<ReadError> for ServiceError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded(overloaded) => overloaded.into(),
            away if away.is_away() => {
                Self::later(Code::Overloaded, CommandError::DatabaseAway.to_string(), 1000)
            }
            other => Self::new(Code::Internal, "the server failed to read history").because(other),
        }
    }
}

impl From<PasswordError> for ServiceError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::later(Code::RateLimited, error.to_string(), 1000),
            PasswordError::Failed => Self::new(Code::Internal, error.to_string()),
        }
    }
}
