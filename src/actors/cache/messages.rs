//! What the cache's mailbox takes.

use std::sync::Arc;

use actix::Message;

use super::chats::Fill;
use super::queries::Query;
use super::read_models::ReadModels;
use crate::actors::hub::Outbox;
use crate::actors::writer::Published;
use crate::core::actor::{Letter, Overloaded, Permit, Reply, Vanished};
use crate::domain::access::Credential;
use crate::domain::ids::SessionId;
use crate::domain::refusal::Refusal;
use crate::storage::readers::ReadError;
use crate::storage::snapshot::{Snapshot, WindowRows};

/// The answer that is not the one asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error("the server failed to answer")]
    Internal,
}

impl From<Vanished> for QueryError {
    fn from(_: Vanished) -> Self {
        Self::Internal
    }
}

macro_rules! letter {
    ($name:ident) => {
        impl Letter for $name {
            const NAME: &'static str = stringify!($name);
        }
    };
}

/// A query on its way, with who asks, its place at the gate and the way back.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Ask<Q: Query> {
    pub(super) who: Option<Credential>,
    pub(super) query: Q,
    pub(super) reply: Reply<Q::Answer, QueryError>,
    pub(super) permit: Permit,
}

impl<Q: Query> Letter for Ask<Q> {
    const NAME: &'static str = Q::NAME;
}

/// From the writer, in commit order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish(pub(super) Published);
letter!(Publish);

/// A session wants to be live.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OpenSession {
    pub(super) hello: Hello,
    pub(super) reply: Reply<(), QueryError>,
    pub(super) permit: Permit,
}
letter!(OpenSession);

/// What a session says of itself when it asks to be registered.
pub struct Hello {
    pub session: SessionId,
    /// The hub of the thread that the session lives on.
    pub hub: usize,
    pub who: Credential,
    pub outbox: Arc<Outbox>,
    pub echo: bool,
    pub request_id: Option<u64>,
}

/// A session is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseSession {
    pub(super) session: SessionId,
    pub(super) hub: usize,
}
letter!(CloseSession);

/// A session's heartbeat: the answer takes its place among the events.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Heartbeat {
    pub(super) session: SessionId,
    pub(super) hub: usize,
    pub(super) who: Credential,
    pub(super) request_id: Option<u64>,
    pub(super) reply: Reply<(), QueryError>,
    pub(super) permit: Permit,
}
letter!(Heartbeat);

/// What a login came to, for the delay of the next one.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LoginTried {
    pub(super) username: String,
    pub(super) success: bool,
}
letter!(LoginTried);

/// A window has been read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WindowRead {
    pub(super) fill: Fill,
    pub(super) rows: Result<WindowRows, ReadError>,
}
letter!(WindowRead);

/// A fresh snapshot has been read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SnapshotRead {
    /// Which reload asked for it.
    pub(super) reload: u64,
    pub(super) snapshot: Result<Box<Snapshot>, ReadError>,
}
letter!(SnapshotRead);

/// Compare yourself with the database: answers how the two differ.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Verify {
    pub(super) fresh: Box<ReadModels>,
    pub(super) reply: Reply<Vec<String>, QueryError>,
}
letter!(Verify);
