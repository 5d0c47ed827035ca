//! What a hub's lane carries.

use std::sync::Arc;

use actix::Message;
use bytes::Bytes;

use super::outbox::Outbox;
use crate::actors::cache::QueryError;
use crate::core::actor::{Letter, Reply};
use crate::domain::access::Credential;
use crate::domain::event::ChatEvent;
use crate::domain::ids::{ChatId, LoginId, Seq, SessionId, UserId};

/// Items in the order in which the cache made them.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Lane {
    pub items: Vec<LaneItem>,
    /// What the items count against the lane's bound.
    pub bytes: usize,
}

impl Letter for Lane {
    const NAME: &'static str = "Lane";
}

/// A session that the cache has admitted.
#[derive(Debug)]
pub struct Registration {
    pub session: SessionId,
    pub who: Credential,
    pub outbox: Arc<Outbox>,
    /// Whether the session wants its own user's events in full.
    pub echo: bool,
}

/// What asking for the next page of a replay came to.
#[derive(Debug)]
pub enum Replayed {
    /// There is nothing more: the chat is live.
    Live,
    /// A page from memory, and more to come.
    Page(Vec<Arc<ChatEvent>>),
    /// The page is in the database only; the chat's head is at `as_of`.
    Below { as_of: Seq },
}

pub enum LaneItem {
    /// The session is live from here on: `Welcome` goes out first, then whatever follows on this lane.
    Registered {
        registration: Registration,
        /// With their heads.
        chats: Vec<(ChatId, Seq)>,
        welcome: Bytes,
        reply: Reply<(), QueryError>,
    },
    Unregistered {
        session: SessionId,
    },
    /// An event, for the members of its chat. Joins and leaves also move the index.
    Event {
        event: Arc<ChatEvent>,
        frame: Bytes,
        /// What the person who joins gets instead.
        joiner: Option<(UserId, Bytes)>,
    },
    /// A `Ping`: its answer tells how far this lane has come.
    Heartbeat {
        session: SessionId,
        request_id: Option<u64>,
        reply: Reply<(), QueryError>,
    },
    /// What a `Resume` comes to at this point of the lane.
    CatchUp {
        session: SessionId,
        /// Which `Resume` of the session this is.
        turn: u64,
        answers: Vec<Bytes>,
        /// Nothing has to be replayed of these: they are live from here on.
        live: Vec<ChatId>,
        /// These are catching up from here on, above the seq that the client has.
        behind: Vec<(ChatId, Seq)>,
        reply: Reply<Vec<(ChatId, Seq)>, QueryError>,
    },
    /// The last of what a session missed of a chat, up to this point of the lane: it is live again.
    Replayed {
        session: SessionId,
        turn: u64,
        chat: ChatId,
        events: Vec<Arc<ChatEvent>>,
        /// `Synced`, or `Reset` if there is nothing that the user may see.
        last: Bytes,
        reply: Reply<Replayed, QueryError>,
    },
    /// For the sessions of one user.
    Personal {
        user: UserId,
        frame: Bytes,
        /// May be dropped when the outbox is half full: the next one says it again.
        soft: bool,
    },
    /// The chat is gone: whoever follows it is told to forget it.
    Removed {
        chat: ChatId,
        /// Its last seq.
        head: Seq,
        frame: Bytes,
    },
    /// The login is over: its sessions end.
    Revoked {
        login: LoginId,
    },
    /// Events were lost on the way here: every session must reconnect and catch up.
    Lost,
}

impl LaneItem {
    /// What the item counts against the lane's bound. Only pushes can be many and big.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Event { frame, joiner, .. } => {
                frame.len() + joiner.as_ref().map_or(0, |(_, frame)| frame.len())
            }
            Self::Personal { frame, .. } | Self::Removed { frame, .. } => frame.len(),
            _ => 0,
        }
    }

    pub(super) fn is_push(&self) -> bool {
        matches!(self, Self::Event { .. } | Self::Personal { .. } | Self::Removed { .. })
    }
}
