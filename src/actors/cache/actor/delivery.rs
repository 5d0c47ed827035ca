//! Delivers the events of a commit to the hubs and to the presence actor.

use super::CacheActor;
use crate::actors::hub::LaneItem;
use crate::actors::presence::PresenceItem;
use crate::domain::event::Change;

impl CacheActor {
    /// Delivers the same items to every hub that has a session. Bytes and events are shared; only
    /// the last hub gets the originals.
    pub(super) fn deliver_to_all(&self, lane: Vec<LaneItem>) {
        if lane.is_empty() {
            return;
        }
        self.presence.deliver(lane.iter().filter_map(of_presence).collect());
        let copy = |item: &LaneItem| match item {
            LaneItem::Event { event, frame, joiner } => {
                Some(LaneItem::Event { event: event.clone(), frame: frame.clone(), joiner: joiner.clone() })
            }
            LaneItem::Removed { chat, head, frame } => {
                Some(LaneItem::Removed { chat: *chat, head: *head, frame: frame.clone() })
            }
            LaneItem::Revoked { login } => Some(LaneItem::Revoked { login: *login }),
            LaneItem::Lost => Some(LaneItem::Lost),
            LaneItem::Personal { user, frame, soft } => {
                Some(LaneItem::Personal { user: *user, frame: frame.clone(), soft: *soft })
            }
            LaneItem::UserChanged { user, chats, frame } => {
                Some(LaneItem::UserChanged { user: *user, chats: chats.clone(), frame: frame.clone() })
            }
            LaneItem::ChatChanged { chat, frame } => {
                Some(LaneItem::ChatChanged { chat: *chat, frame: frame.clone() })
            }
            // Addressed to one session, never broadcast.
            LaneItem::Registered { .. }
            | LaneItem::Unregistered { .. }
            | LaneItem::Heartbeat { .. }
            | LaneItem::CatchUp { .. }
            | LaneItem::Replayed { .. } => None,
        };
        // Skips hubs without sessions: scheduling their thread costs more than everything else
        // here.
        let mut hubs =
            self.hubs.iter().enumerate().filter(|(n, _)| self.sessions.any_on(*n)).map(|(_, hub)| hub);
        let Some(last) = hubs.next_back() else { return };
        for hub in hubs {
            hub.deliver(lane.iter().filter_map(copy).collect());
        }
        last.deliver(lane);
    }
}

/// Returns the part of a hub's item that the presence actor needs.
fn of_presence(item: &LaneItem) -> Option<PresenceItem> {
    match item {
        LaneItem::Event { event, .. } => match event.change {
            Change::Join { user_id: user, .. } => Some(PresenceItem::Joined { chat: event.chat_id, user }),
            Change::Leave { user_id: user, .. } => Some(PresenceItem::Left { chat: event.chat_id, user }),
            _ => None,
        },
        LaneItem::Removed { chat, .. } => Some(PresenceItem::Removed { chat: *chat }),
        LaneItem::Revoked { login } => Some(PresenceItem::Revoked { login: *login }),
        LaneItem::Lost => Some(PresenceItem::Lost),
        _ => None,
    }
}
