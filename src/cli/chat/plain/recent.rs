//! Messages of the open chat that were shown last: the targets of `/edit`, `/delete` and `/react`.

use std::collections::VecDeque;

use crate::domain::ids::{MessageId, UserId};
use crate::domain::message::Message;

/// Maximum number of messages kept.
const RECENT_MAX: usize = 200;

#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(MessageId, UserId)>);

impl Recent {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn shown(&mut self, message: &Message) {
        if message.deleted {
            return;
        }
        self.0.push_back((message.id, message.sender_id));
        if self.0.len() > RECENT_MAX {
            self.0.pop_front();
        }
    }

    pub(super) fn deleted(&mut self, message: MessageId) {
        self.0.retain(|(id, _)| *id != message);
    }

    /// Returns the newest message, or the newest message of this user.
    pub(super) fn newest(&self, of: Option<UserId>) -> Option<MessageId> {
        let mut newest_first = self.0.iter().rev();
        newest_first.find(|(_, sender)| of.is_none_or(|user| user == *sender)).map(|(id, _)| *id)
    }
}
