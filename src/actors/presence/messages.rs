//! What the presence actor's mailbox takes.

use std::net::SocketAddr;
use std::sync::Arc;

use actix::Message;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::people::DeviceKey;
use super::tickets::Ticket;
use crate::actors::cache::QueryError;
use crate::actors::hub::Outbox;
use crate::core::actor::{Letter, Permit, Reply};
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, LoginId, SessionId, UserId};
use crate::domain::presence::Status;
use crate::protocol::view::{MarkView, PresenceView};

/// What the cache tells, in its order: who is there, and who is in which chat.
pub enum PresenceItem {
    Registered {
        session: SessionId,
        who: Credential,
        device: DeviceKey,
        /// What it says of itself; `None`: as before.
        status: Option<Status>,
        outbox: Arc<Outbox>,
        chats: Vec<ChatId>,
        /// The UDP ticket that it asked for.
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
    /// The chat is gone.
    Removed {
        chat: ChatId,
    },
    /// How far some people of a chat are, for the others. The marks of invisible people are left out.
    Receipts {
        chat: ChatId,
        marks: Vec<MarkView>,
    },
    /// The login is over: its tickets are dead.
    Revoked {
        login: LoginId,
    },
    /// Joins or leaves were lost on the way: nobody's tickets can be trusted.
    Lost,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Lane(pub(super) Vec<PresenceItem>);

impl Letter for Lane {
    const NAME: &'static str = "Lane";
}

/// What a session says of its device or of its typing. It keeps its place in the session's window until it is handled.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Say {
    pub(super) session: SessionId,
    pub(super) request_id: Option<u64>,
    pub(super) what: Said,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Letter for Say {
    const NAME: &'static str = "Say";
}

/// See [`Say`].
#[derive(Debug)]
pub enum Said {
    Status { status: Status, version: Option<u64> },
    Typing(ChatId),
}

/// How some people are shown to one.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Look {
    pub(super) watcher: UserId,
    /// Each with whether they share a chat with the watcher: the directory knows, also while the watcher has no session.
    pub(super) users: Vec<(UserId, bool)>,
    pub(super) reply: Reply<Vec<PresenceView>, QueryError>,
    pub(super) permit: Permit,
}

impl Letter for Look {
    const NAME: &'static str = "Look";
}

/// Datagrams that came together. No more are read until they are handled.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Datagrams {
    pub(super) datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub(super) handled: oneshot::Sender<()>,
}

impl Letter for Datagrams {
    const NAME: &'static str = "Datagrams";
}
