//! Removal of deleted chats and trimmed messages from the read models.

use super::{Chats, WindowState};
use crate::domain::ids::{ChatId, MessageId, Seq};

impl Chats {
    /// Removes a deleted chat.
    pub(super) fn remove(&mut self, chat: ChatId) {
        let Some(state) = self.chats.remove(&chat) else { return };
        self.channels.remove(&chat);
        self.public.remove(&chat);
        self.uses.remove(&state.used);
        if let WindowState::Ready(window) = &state.window {
            self.window_bytes -= window.bytes();
        }
        for user in state.people.keys() {
            if let Some(chats) = self.of_user.get_mut(user) {
                chats.remove(&chat);
            }
        }
    }

    /// Removes messages up to a sequence number. Events that remain below it are read from the
    /// database.
    pub(super) fn trim(&mut self, chat: ChatId, (seq, ordinal): (Seq, i64), edited: &[MessageId]) {
        let Some(state) = self.chats.get_mut(&chat) else { return };
        (state.chat.trimmed_seq, state.chat.trimmed_ordinal) = (seq, ordinal);
        state.deleted.drop_through(ordinal);
        match &mut state.window {
            WindowState::Absent => {}
            WindowState::Filling { removed, tail, from, .. } => {
                removed.extend(edited);
                tail.retain(|event| event.seq > seq);
                *from = (*from).max(seq + 1);
            }
            WindowState::Ready(window) => {
                let before = window.bytes();
                window.trim(seq, edited);
                self.window_bytes = self.window_bytes + window.bytes() - before;
            }
        }
    }
}
