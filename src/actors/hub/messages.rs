//! What a hub's lane carries.

use std::sync::Arc;

use actix::Message;
use bytes::Bytes;

use super::outbox::Outbox;
use crate::actors::cache::QueryError;
use crate::core::actor::{Letter, Reply};
use crate::domain::access::Credential;
use crate::domain::event::ChatEvent;
use crate::domain::ids::{ChatId, LoginId, SessionId, UserId};

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

pub enum LaneItem {
    /// The session is live from here on: `Welcome` goes out first, then whatever follows on this lane.
    Registered {
        registration: Registration,
        chats: Vec<ChatId>,
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
    /// An answer whose place among the events matters.
    Answer {
        session: SessionId,
        frame: Bytes,
        /// Called when the answer is in the outbox.
        reply: Reply<(), QueryError>,
    },
    /// The login is over: its sessions end.
    Revoked {
        login: LoginId,
    },
    /// Events were lost on the way here: every session must reconnect and catch up.
    Lost,
}

impl LaneItem {
    /// What the item counts against the lane's bound. Only events can be many and big.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Event { frame, joiner, .. } => {
                frame.len() + joiner.as_ref().map_or(0, |(_, frame)| frame.len())
            }
            _ => 0,
        }
    }

    pub(super) fn is_event(&self) -> bool {
        matches!(self, Self::Event { .. })
    }
}
