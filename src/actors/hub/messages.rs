//! The items of a hub's lane.

use crate::actors::error::QueryError;
use crate::actors::outbox::Outbox;
use std::sync::Arc;

use actix::Message;
use bytes::Bytes;

use super::actor::HubActor;
use crate::core::actor::{Reply, instrumented_actor};
use crate::domain::access::Credential;
use crate::domain::event::ChatEvent;
use crate::domain::ids::{ChatId, LoginId, Seq, SessionId, UserId};

/// Items in the order in which the cache created them.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LaneItems {
    pub items: Vec<LaneItem>,
    /// The bytes of the items that count towards the lane's limit.
    pub bytes: usize,
}

instrumented_actor!(HubActor, "hub", [LaneItems]);

/// A session that the cache has admitted.
#[derive(Debug)]
pub struct SessionSubscription {
    pub session: SessionId,
    pub who: Credential,
    pub outbox: Arc<Outbox>,
    /// Whether the session receives its own user's events in full.
    pub echo: bool,
}

/// The result of a request for the next page of a replay.
#[derive(Debug)]
pub enum Replayed {
    /// There are no more pages: the chat is live.
    Live,
    /// A page from memory; more pages follow.
    Page(Vec<Arc<ChatEvent>>),
    /// The page is only in the database; the chat's head is at `as_of`.
    Below { as_of: Seq },
}

pub enum LaneItem {
    /// The session is live from here on: `Welcome` is sent first, then the items that follow on
    /// this lane.
    Registered {
        subscription: SessionSubscription,
        /// With the head of each chat.
        chats: Vec<(ChatId, Seq)>,
        welcome: Bytes,
        reply: Reply<(), QueryError>,
    },
    Unregistered {
        session: SessionId,
    },
    /// An event for the members of its chat. Joins and leaves also change the index.
    Event {
        event: Arc<ChatEvent>,
        frame: Bytes,
        /// The frame that the joining user receives instead.
        joiner: Option<(UserId, Bytes)>,
    },
    /// A `Ping`: the position of its answer in the lane shows how much the lane has delivered.
    Heartbeat {
        session: SessionId,
        request_id: Option<u64>,
        reply: Reply<(), QueryError>,
    },
    /// The result of a `Resume` at this point of the lane.
    CatchUp {
        session: SessionId,
        /// The number of this `Resume` within the session.
        generation: u64,
        answers: Vec<Bytes>,
        /// Chats without anything to replay: they are live from here on.
        live: Vec<ChatId>,
        /// Chats that are catching up from here on, with the seq up to which the client has events.
        behind: Vec<(ChatId, Seq)>,
        reply: Reply<Vec<(ChatId, Seq)>, QueryError>,
    },
    /// The last page of a chat's missed events, up to this point of the lane: the chat is live
    /// again.
    Replayed {
        session: SessionId,
        generation: u64,
        chat: ChatId,
        events: Vec<Arc<ChatEvent>>,
        /// `Synced`, or `Reset` if the user may see none of the events.
        last: Bytes,
        reply: Reply<Replayed, QueryError>,
    },
    /// A frame for all sessions of one user.
    Personal {
        user: UserId,
        frame: Bytes,
        /// May be dropped when the outbox is half full: the next one repeats its content.
        soft: bool,
    },
    /// A frame for all sessions of a user whose name or avatar changed, and of the users who share
    /// a chat with that user.
    UserChanged {
        user: UserId,
        /// The chats of the user.
        chats: Arc<[ChatId]>,
        frame: Bytes,
    },
    /// A frame for all members of a chat whose avatar changed.
    ChatChanged {
        chat: ChatId,
        frame: Bytes,
    },
    /// The chat was deleted: its followers are notified and drop it.
    Removed {
        chat: ChatId,
        /// The chat's last seq.
        head: Seq,
        frame: Bytes,
    },
    /// The login was revoked: its sessions end.
    Revoked {
        login: LoginId,
    },
    /// Events were dropped before they reached this lane: every session must reconnect and catch
    /// up.
    Lost,
}

impl LaneItem {
    /// Returns the bytes that count towards the lane's limit. Only pushes can be many and large.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Event { frame, joiner, .. } => {
                frame.len() + joiner.as_ref().map_or(0, |(_, frame)| frame.len())
            }
            Self::Personal { frame, .. } | Self::Removed { frame, .. } | Self::ChatChanged { frame, .. } => {
                frame.len()
            }
            Self::UserChanged { chats, frame, .. } => frame.len() + size_of_val(&**chats),
            _ => 0,
        }
    }

    pub(super) fn is_push(&self) -> bool {
        match self {
            Self::Event { .. }
            | Self::Personal { .. }
            | Self::Removed { .. }
            | Self::UserChanged { .. }
            | Self::ChatChanged { .. } => true,
            Self::Registered { .. }
            | Self::Unregistered { .. }
            | Self::Heartbeat { .. }
            | Self::CatchUp { .. }
            | Self::Replayed { .. }
            | Self::Revoked { .. }
            | Self::Lost => false,
        }
    }
}
