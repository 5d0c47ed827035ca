//! The messages of the presence actor.

use crate::actors::error::QueryError;
use crate::actors::outbox::Outbox;
use std::net::SocketAddr;
use std::sync::Arc;

use actix::Message;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::actor::PresenceActor;
use super::places::Place;
use super::tickets::Ticket;
use crate::core::actor::{Request, instrumented_actor};
use crate::core::bus::Origin;
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{ChatId, LoginId, SessionId, UserId};
use crate::domain::presence::Status;
use crate::protocol::view::{MarkView, PresenceView};

instrumented_actor!(
    PresenceActor,
    "presence",
    [Datagrams, LeaveCluster, NodeEvents, PresenceItems, PresenceQuery, SubmitUpdate, VisitPlace]
);

/// An update from the cache, in commit order: sessions, tickets and memberships.
pub enum PresenceItem {
    Registered {
        session: SessionId,
        who: Credential,
        device: DeviceKey,
        /// The status that the session reports; `None`: unchanged.
        status: Option<Status>,
        outbox: Arc<Outbox>,
        chats: Vec<ChatId>,
        /// The UDP ticket that the session requested.
        ticket: Option<Ticket>,
    },
    Unregistered {
        session: SessionId,
    },
    TicketIssued {
        who: Credential,
        device: DeviceKey,
        ticket: Ticket,
        chats: Vec<ChatId>,
    },
    Joined {
        chat: ChatId,
        user: UserId,
    },
    Left {
        chat: ChatId,
        user: UserId,
    },
    /// The chat was deleted.
    Removed {
        chat: ChatId,
    },
    /// The marks of some members of a chat, for its other members. The marks of invisible users are
    /// filtered out.
    Receipts {
        chat: ChatId,
        marks: Vec<MarkView>,
    },
    /// The login was revoked: its tickets are removed.
    Revoked {
        login: LoginId,
    },
    /// Joins or leaves were dropped before they reached this lane: all tickets are removed.
    Lost,
    /// The chats of users who have devices at other nodes.
    ChatsOf(Vec<(UserId, Vec<ChatId>)>),
}

/// An event of the bus about presence.
#[derive(Debug, Clone)]
pub enum NodeEvent {
    /// A message of another node.
    Message(Origin, Vec<u8>),
    /// Messages of other nodes, or to them, may be missing.
    Gap,
}

/// Events of the bus that were read together. No more are read until these are handled.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct NodeEvents {
    pub(super) events: Vec<NodeEvent>,
    pub(super) handled: oneshot::Sender<()>,
}

/// The node stops: announces that to the others, and nothing more.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LeaveCluster(pub(super) oneshot::Sender<()>);

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct PresenceItems(pub(super) Vec<PresenceItem>);

/// An update by a session of its device's status or of its typing. It holds its permit of the
/// session's window until it is handled.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SubmitUpdate {
    pub(super) session: SessionId,
    pub(super) request_id: Option<u64>,
    pub(super) update: PresenceUpdate,
    pub(super) _window_permit: OwnedSemaphorePermit,
}

/// See [`SubmitUpdate`].
#[derive(Debug)]
pub enum PresenceUpdate {
    Status { status: Status, version: Option<u64> },
    Typing(ChatId),
}

/// A query for the presence of some users as one watcher sees it.
pub(super) struct PresenceQuery {
    pub(super) watcher: UserId,
    /// Each with whether they share a chat with the watcher: the directory has this fact even while
    /// the watcher has no session.
    pub(super) users: Vec<(UserId, bool)>,
}

impl Request for PresenceQuery {
    type Answer = Vec<PresenceView>;
    type Error = QueryError;
}

/// A user is at a place, or leaves it. Returns the other users there.
pub(super) struct VisitPlace {
    pub(super) user: UserId,
    pub(super) place: Place,
    pub(super) stays: bool,
}

impl Request for VisitPlace {
    type Answer = Vec<UserId>;
    type Error = QueryError;
}

/// Datagrams that were read together. No more are read until these are handled.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Datagrams {
    pub(super) datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub(super) handled: oneshot::Sender<()>,
}
