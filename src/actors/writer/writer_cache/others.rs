//! Commits of other nodes: the writer cache learns what their events show, and evicts the rest.
//!
//! Invariants
//! * A node writes all cursors that are behind before a command that does not append, so an event
//!   of such a command shows that no earlier cursor is behind.
//! * Messages of other nodes move cursors that this node has not seen. Before it writes any cursor,
//!   it therefore computes all of them from the messages ([`cursors_behind::write_all`]), and
//!   evicts the participants.

use diesel::result::QueryResult;

use super::{Head, WriterCache};
use crate::core::database::Db;
use crate::domain::event::{Change, ChatEvent, Event};
use crate::domain::message::Message;
use crate::storage::queries::cursors_behind;

impl WriterCache {
    /// Learns a commit of another node. Called between two transactions, or at the beginning of
    /// one.
    pub(in crate::actors::writer) fn learn_commit(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::Chat(event) => self.learn_chat_event(event),
                Event::CursorsMoved { chat_id, participant }
                | Event::CursorsMovedBack { chat_id, participant } => {
                    self.evict_participant(*chat_id, participant.user_id);
                }
                Event::HiddenSet { chat_id, user_id, .. }
                | Event::NotifyLevelSet { chat_id, user_id, .. } => {
                    self.evict_participant(*chat_id, *user_id);
                }
                Event::LoginEnded { login_id, .. } => self.logins.retain(|(_, login, _)| login != login_id),
                // They change no row that is cached.
                Event::LoginStarted { .. }
                | Event::WebLoginsUsed { .. }
                | Event::MessageChanged { .. }
                | Event::AccessTokenCreated { .. }
                | Event::AccessTokenRevoked { .. }
                | Event::AccessTokensUsed { .. }
                | Event::BlockChanged { .. }
                | Event::WatchChanged { .. }
                | Event::RepositoryChanged { .. }
                | Event::Notified { .. }
                | Event::NotificationsRemoved { .. }
                | Event::NotificationsRead { .. } => {}
                // The command may have changed more than its events show.
                _ => {
                    self.invalidate();
                    self.last_message_id = None;
                }
            }
        }
    }

    fn learn_chat_event(&mut self, event: &ChatEvent) {
        let chat = event.chat_id;
        match &event.change {
            Change::Message(message) => self.learn_message(message),
            Change::Join { user_id, .. } | Change::Leave { user_id, .. } | Change::Role { user_id, .. } => {
                self.evict_chat(chat);
                self.evict_participant(chat, *user_id);
            }
            Change::Rename { .. }
            | Change::Archive { .. }
            | Change::Push(_)
            | Change::Edit(_)
            | Change::Delete { .. }
            | Change::React { .. }
            | Change::Unreact { .. }
            | Change::Pin { .. }
            | Change::Unpin { .. }
            | Change::Trim { .. } => self.evict_chat(chat),
        }
    }

    /// Learns the head of the chat, and the client id of the sender.
    fn learn_message(&mut self, message: &Message) {
        let head = Head { seq: message.seq, ordinal: message.ordinal };
        match self.chats.get_mut(&message.chat_id) {
            Some(known) if known.head.seq + 1 == head.seq => known.head = head,
            Some(_) => self.evict_chat(message.chat_id),
            None => {}
        }
        if let Some(known) = self.client_ids.get_mut(&message.sender_id)
            && message.client_id <= known.checked_up_to
        {
            known.used = known.used.max(message.client_id);
        }
        self.last_message_id = self.last_message_id.map(|last| last.max(message.id));
        self.newest_message = self.newest_message.max(Some(message.id));
        self.messages_ahead += 1;
        self.others_ahead = true;
    }

    /// Writes the cursors that messages of all nodes have moved.
    pub(super) fn write_cursors_of_all(&mut self, db: &mut Db) -> QueryResult<()> {
        cursors_behind::write_all(db)?;
        self.senders_ahead.clear();
        self.people.clear();
        Ok(())
    }
}
