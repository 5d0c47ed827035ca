//! The writer cache: live logins, chats with their heads, and roles, so that no SELECT is needed.
//!
//! Appending a message is the most frequent command. With a cached chat it costs one row among many
//! that are inserted together ([`PendingInserts`]). In addition, each chat that a batch appends to
//! costs one UPDATE, whatever the number of its messages. The cursors of the senders are written
//! with a later commit: see [`cursors_behind`].
//!
//! Invariants
//! * Only the writer changes the database, so an entry stays valid until a command changes its row.
//!   A command that changes more than it announces ([`Invalidation::All`], the default) empties the
//!   cache. An event of a chat evicts the chat. A rollback empties the cache.
//! * A head that is ahead of its row, and a message without a row, are written before any command
//!   that does not append, and before the commit.
//! * Cursors that are ahead of their row are written before any command that does not append, and
//!   at the latest when [`CURSORS_BEHIND_MAX`] messages have moved them. Cursors that a rollback
//!   discards are computed again from the messages.
//! * A message waits for its row only if nothing can refuse it any more: its chat is cached, and
//!   its sender has not used its client id.
//! * The cache holds only what the transaction has read or written; it never holds a refusal.
//!
//! On PostgreSQL other nodes write too. Each transaction begins with their commits, which the cache
//! learns from the events ([`others`]).

#[cfg(test)]
mod check;
mod others;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diesel::result::QueryResult;

use super::pending_inserts::{PendingInserts, PendingMessage};
use crate::core::database::Db;
use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::ids::{ChatId, LoginId, MessageId, Seq, UserId};
use crate::domain::message::ClientId;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::cursors_behind;
use crate::storage::queries::{chats, messages};
use crate::storage::rows::chat::ChatHead;

/// Seconds by which a client's clock may be ahead of the server's before its client ids are looked
/// up one by one. Until that time has passed, the client ids of all other senders are looked up
/// too; therefore it is short.
const CHECK_AHEAD_SECONDS: i64 = 5 * 60;
/// Maximum number of messages that move their senders' cursors before these are written.
const CURSORS_BEHIND_MAX: usize = 1024;

/// Declares which entries of the writer cache a command makes stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalidation {
    /// None: it moves heads through the writer cache, and changes no other cached row.
    Appends,
    /// Those of the chats in which it stores events, which [`super::Tx`] evicts; or none.
    ChatEvents,
    /// Any.
    All,
}

/// The newest seq and ordinal of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    pub seq: Seq,
    pub ordinal: i64,
}

impl Head {
    pub fn of(chat: &Chat) -> Self {
        Self { seq: chat.last_seq, ordinal: chat.last_ordinal }
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct WriterCache {
    logins: HashSet<(UserId, LoginId, i64)>,
    chats: HashMap<ChatId, ChatEntry>,
    people: HashMap<(ChatId, UserId), ParticipantEntry>,
    /// Chats whose heads are ahead of their rows.
    moved: Vec<ChatId>,
    /// Senders whose cursors are ahead of their rows.
    senders_ahead: Vec<(ChatId, UserId)>,
    /// Number of messages that have moved the cursors of `senders_ahead`.
    messages_ahead: usize,
    /// The newest message, until the database records that the cursors up to it are written.
    newest_message: Option<MessageId>,
    /// Whether `senders_ahead` is complete: not before the first commit, and not after a rollback.
    knows_senders_ahead: bool,
    /// Whether messages of other nodes have moved cursors since cursors were written here. Cached
    /// participants may then lack those moves.
    others_ahead: bool,
    client_ids: HashMap<UserId, ClientIdRange>,
    pending_inserts: PendingInserts,
    last_message_id: Option<MessageId>,
}

/// Client ids that a sender has certainly not used: those above `used`, up to `checked_up_to`.
/// Client ids begin with the time (UUIDv7), so the next one is usually in this range. Client ids
/// above `checked_up_to` are not time-ordered or lie in the future: such an id must not disable
/// this fast path for all senders.
#[derive(Debug)]
struct ClientIdRange {
    used: ClientId,
    checked_up_to: ClientId,
}

#[derive(Debug)]
struct ParticipantEntry {
    participant: Participant,
    /// The cursors are ahead of the row.
    is_behind: bool,
}

#[derive(Debug)]
struct ChatEntry {
    /// As it was read; [`ChatEntry::head`] is newer than its head.
    chat: Arc<Chat>,
    head: Head,
    /// The newest message, if the head is ahead of its row.
    unwritten_message: Option<MessageId>,
}

impl WriterCache {
    pub(super) fn knows_login(&self, user: UserId, login: LoginId, token_version: i64) -> bool {
        self.logins.contains(&(user, login, token_version))
    }

    pub(super) fn learn_login(&mut self, user: UserId, login: LoginId, token_version: i64) {
        self.logins.insert((user, login, token_version));
    }

    /// Returns the chat, its head and the role of the user, if all of them are cached.
    pub(super) fn chat(&self, chat: ChatId, user: UserId) -> Option<(Arc<Chat>, Head, ChatRole)> {
        let person = self.people.get(&(chat, user))?;
        let known = self.chats.get(&chat)?;
        Some((known.chat.clone(), known.head, person.participant.role))
    }

    /// Caches a chat and a participant. They must have been read while no head was ahead of its
    /// row.
    pub(super) fn learn_chat(&mut self, chat: &Arc<Chat>, participant: Participant) {
        let person = ParticipantEntry { participant, is_behind: false };
        self.people.entry((chat.id, person.participant.user_id)).or_insert(person);
        let known = || ChatEntry { chat: chat.clone(), head: Head::of(chat), unwritten_message: None };
        self.chats.entry(chat.id).or_insert_with(known);
    }

    /// Returns the cached head, which may be ahead of its row.
    pub(super) fn head(&self, chat: ChatId) -> Option<Head> {
        self.chats.get(&chat).map(|known| known.head)
    }

    /// Returns the cached participant, whose cursors may be ahead of their row.
    pub(super) fn participant(&self, chat: ChatId, user: UserId) -> Option<&Participant> {
        self.people.get(&(chat, user)).map(|known| &known.participant)
    }

    pub(super) fn knows_chat(&self, chat: ChatId) -> bool {
        self.chats.contains_key(&chat)
    }

    /// Gives the next place of a cached chat to a message of `sender`. The rows of the chat and the
    /// participant are written later.
    pub(super) fn move_head(&mut self, chat: ChatId, head: Head, message: MessageId, sender: UserId) {
        let Some(known) = self.chats.get_mut(&chat) else { return };
        if let Some(person) = self.people.get_mut(&(chat, sender)) {
            person.participant.record_sent(head.seq, head.ordinal, known.chat.trimmed_ordinal);
            self.messages_ahead += 1;
            if !std::mem::replace(&mut person.is_behind, true) {
                self.senders_ahead.push((chat, sender));
            }
        }
        self.newest_message = Some(message);
        known.head = head;
        if known.unwritten_message.replace(message).is_none() {
            self.moved.push(chat);
        }
    }

    /// Returns whether the sender has not used this client id yet; if so, it is used from now on.
    pub(super) fn reserve_client_id(
        &mut self,
        db: &mut Db,
        sender: UserId,
        client_id: ClientId,
        now: Timestamp,
    ) -> QueryResult<bool> {
        let checked_up_to = ClientId::last_of(now.plus_seconds(CHECK_AHEAD_SECONDS));
        let known = self.client_ids.get(&sender);
        if known.is_none_or(|known| known.checked_up_to < client_id && client_id <= checked_up_to) {
            self.pending_inserts.flush(db, &[])?;
            let used = messages::largest_client_id(db, checked_up_to)?.unwrap_or(ClientId([0; 16]));
            let used = known.map_or(used, |known| known.used.max(used));
            self.client_ids.insert(sender, ClientIdRange { used, checked_up_to });
        }
        if let Some(known) = self.client_ids.get_mut(&sender)
            && known.used < client_id
            && client_id <= known.checked_up_to
        {
            known.used = client_id;
            return Ok(true);
        }
        Ok(!self.pending_inserts.has(sender, client_id)
            && !messages::is_client_id_used(db, sender, &client_id.0)?)
    }

    /// Adds a message that cannot be refused any more: its row is inserted with others.
    pub(super) fn write_later(&mut self, message: PendingMessage) {
        self.pending_inserts.add(message);
    }

    /// Inserts the messages that have no row yet.
    pub(super) fn flush_messages(&mut self, db: &mut Db) -> QueryResult<()> {
        self.pending_inserts.flush(db, &[])
    }

    /// Inserts the messages that have no row yet, and writes the heads that are ahead of their row.
    pub(super) fn flush(&mut self, db: &mut Db) -> QueryResult<()> {
        let mut heads = Vec::with_capacity(self.moved.len());
        for id in self.moved.drain(..) {
            let Some(known) = self.chats.get_mut(&id) else { continue };
            if let Some(last_message_id) = known.unwritten_message.take() {
                let Head { seq: last_seq, ordinal: last_ordinal } = known.head;
                heads.push(ChatHead { id, last_seq, last_ordinal, last_message_id });
            }
        }
        self.pending_inserts.flush(db, &heads)
    }

    /// Writes cursors that are behind and not in `senders_ahead`. Called when a transaction begins.
    /// Does not by itself justify a commit.
    pub(super) fn begin(&mut self, db: &mut Db) -> QueryResult<()> {
        if self.knows_senders_ahead { Ok(()) } else { cursors_behind::write_all(db) }
    }

    /// Records that the transaction of [`WriterCache::begin`] is committed.
    pub(super) fn committed(&mut self) {
        self.knows_senders_ahead = true;
    }

    /// Returns whether [`CURSORS_BEHIND_MAX`] messages have moved cursors.
    pub(super) fn cursors_are_due(&self) -> bool {
        self.messages_ahead >= CURSORS_BEHIND_MAX
    }

    /// Writes everything that is ahead of its row, including cursors. Returns whether it wrote
    /// cursors.
    pub(super) fn flush_all(&mut self, db: &mut Db) -> QueryResult<bool> {
        self.flush(db)?;
        let Some(newest) = self.newest_message.take() else { return Ok(false) };
        self.messages_ahead = 0;
        if std::mem::take(&mut self.others_ahead) {
            return self.write_cursors_of_all(db).map(|()| true);
        }
        for key in self.senders_ahead.drain(..) {
            let Some(person) = self.people.get_mut(&key) else { continue };
            if std::mem::take(&mut person.is_behind) {
                chats::set_cursors(db, key.0, &person.participant)?;
            }
        }
        cursors_behind::set_written(db, newest)?;
        Ok(true)
    }

    /// Returns the id of the next message. An id that is not used is skipped.
    pub(super) fn next_message_id(&mut self, db: &mut Db) -> QueryResult<MessageId> {
        let last = match self.last_message_id {
            Some(last) => last,
            None => messages::last_id(db)?,
        };
        let next = MessageId(last.0 + 1);
        self.last_message_id = Some(next);
        Ok(next)
    }

    /// Evicts a chat: it got an event that is not a message.
    pub(super) fn evict_chat(&mut self, chat: ChatId) {
        self.chats.remove(&chat);
    }

    /// Evicts the entries of a message that was inserted without the writer cache, with its
    /// cursors.
    pub(super) fn evict_message(&mut self, chat: ChatId, sender: UserId, message: MessageId) {
        self.newest_message = Some(message);
        self.evict_chat(chat);
        self.evict_participant(chat, sender);
        self.client_ids.remove(&sender);
    }

    /// Evicts a participant whose row was changed without the writer cache.
    pub(super) fn evict_participant(&mut self, chat: ChatId, user: UserId) {
        self.people.remove(&(chat, user));
    }

    /// Empties the cache after a command that may have changed anything. No row is behind:
    /// everything was written before the command.
    pub(super) fn invalidate(&mut self) {
        let Self { last_message_id, newest_message, knows_senders_ahead, others_ahead, .. } = *self;
        *self =
            Self { last_message_id, newest_message, knows_senders_ahead, others_ahead, ..Self::default() };
    }

    /// Empties the cache after a rollback, including all that is not written.
    pub(super) fn rolled_back(&mut self) {
        *self = Self::default();
    }

    /// Returns the number of entries, for `limits.writer_cache_entries`.
    pub(super) fn entries(&self) -> usize {
        self.logins.len() + self.chats.len() + self.people.len() + self.client_ids.len()
    }
}
