//! The messages of the cache's mailbox.

use std::sync::Arc;

use actix::Message;

use super::chats::Fill;
use super::queries::Query;
use super::read_models::ReadModels;
use crate::actors::hub::{Outbox, Replayed};
use crate::actors::presence::Ticket;
use crate::actors::writer::WriterEvent;
use crate::core::actor::{NamedMessage, Overloaded, Permit, Reply, ReplyDropped};
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{ChatId, Seq, SessionId};
use crate::domain::presence::Status;
use crate::domain::refusal::Refusal;
use crate::storage::readers::ReadError;
use crate::storage::snapshot::{Snapshot, WindowRows};

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    #[error("the server failed to answer")]
    Internal,
}

impl From<ReplyDropped> for QueryError {
    fn from(_: ReplyDropped) -> Self {
        Self::Internal
    }
}

macro_rules! named_message {
    ($name:ident) => {
        impl NamedMessage for $name {
            const NAME: &'static str = stringify!($name);
        }
    };
}

/// A query with its caller, its permit of the gate, and its reply.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AskQuery<Q: Query> {
    pub(super) who: Option<Credential>,
    pub(super) query: Q,
    pub(super) reply: Reply<Q::Answer, QueryError>,
    pub(super) permit: Permit,
}

impl<Q: Query> NamedMessage for AskQuery<Q> {
    const NAME: &'static str = Q::NAME;
}

/// Commits from the writer, in commit order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish(pub(super) WriterEvent);
named_message!(Publish);

/// Registers a session.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OpenSession {
    pub(super) registration: SessionRegistration,
    pub(super) reply: Reply<(), QueryError>,
    pub(super) permit: Permit,
}
named_message!(OpenSession);

/// Identifies the session of a request.
#[derive(Debug, Clone, Copy)]
pub struct SessionRef {
    pub session: SessionId,
    /// The hub that the session is registered at.
    pub hub: usize,
    pub who: Credential,
}

/// Registration data sent by a session.
pub struct SessionRegistration {
    pub session_ref: SessionRef,
    pub outbox: Arc<Outbox>,
    pub echo: bool,
    pub device: DeviceKey,
    pub status: Option<Status>,
    /// The requested UDP ticket, and the address to use it at.
    pub ticket: Option<(Ticket, Arc<str>)>,
    pub request_id: Option<u64>,
}

/// Activates a UDP ticket.
#[derive(Message)]
#[rtype(result = "()")]
pub struct IssueTicket {
    pub(super) who: Credential,
    pub(super) device: DeviceKey,
    pub(super) ticket: Ticket,
    pub(super) reply: Reply<(), QueryError>,
    pub(super) permit: Permit,
}
named_message!(IssueTicket);

/// A session has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseSession {
    pub(super) session: SessionId,
    pub(super) hub: usize,
}
named_message!(CloseSession);

/// A session's heartbeat. The answer is ordered among the events.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Heartbeat {
    pub(super) session_ref: SessionRef,
    pub(super) request_id: Option<u64>,
    pub(super) reply: Reply<(), QueryError>,
    pub(super) permit: Permit,
}
named_message!(Heartbeat);

/// How far a session has received its chats.
#[derive(Debug)]
pub struct ResumeCursors {
    /// The number of this `Resume` within the session.
    pub generation: u64,
    /// The epoch that the cursors belong to.
    pub epoch: i64,
    pub chats: Vec<(ChatId, Seq)>,
}

/// Brings a session up to date.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CatchUp {
    pub(super) session_ref: SessionRef,
    pub(super) cursors: ResumeCursors,
    pub(super) reply: Reply<Vec<(ChatId, Seq)>, QueryError>,
    pub(super) permit: Permit,
}
named_message!(CatchUp);

/// Requests the events above `after` for a session that is catching up.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Replay {
    pub(super) session_ref: SessionRef,
    pub(super) generation: u64,
    pub(super) chat: ChatId,
    pub(super) after: Seq,
    pub(super) bytes_max: usize,
    pub(super) reply: Reply<Replayed, QueryError>,
    pub(super) permit: Permit,
}
named_message!(Replay);

/// A window has been read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WindowRead {
    pub(super) fill: Fill,
    pub(super) rows: Result<WindowRows, ReadError>,
}
named_message!(WindowRead);

/// Receipts were collected long enough.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SendReceipts;
named_message!(SendReceipts);

/// A new snapshot has been read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SnapshotRead {
    /// The reload that requested it.
    pub(super) reload: u64,
    pub(super) snapshot: Result<Box<Snapshot>, ReadError>,
}
named_message!(SnapshotRead);

/// Compares the read models with a fresh load of the database; returns the differences.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Verify {
    pub(super) fresh: Box<ReadModels>,
    pub(super) reply: Reply<Vec<String>, QueryError>,
}
named_message!(Verify);
