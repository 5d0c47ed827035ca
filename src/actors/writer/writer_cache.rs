//! What the writer knows without asking the database: logins that are alive, chats with their heads, roles.
//!
//! Saying something is what happens most; with these facts it costs a place among the rows that are inserted together
//! ([`PendingInserts`]), and one UPDATE for each chat that a batch has touched, however much was said in it. The senders'
//! cursors are written with a later commit: see [`cursors_behind`].
//!
//! Invariants
//! * Only the writer changes the database, so a fact that was read stays true until a command changes it. Whoever
//!   changes more than they announce ([`Invalidation::All`], which is what every command has unless it says otherwise)
//!   makes the writer cache forget everything; a chat's own events make it forget the chat; so does a rollback, of all.
//! * A head that is ahead of its row, and a message that has none yet, are written before any other command looks, and
//!   before the commit.
//! * Cursors that are ahead of their row are written before any other command looks, and at the latest when
//!   [`CURSORS_BEHIND_MAX`] messages have moved them. What a rollback takes of them is computed again from the messages.
//! * A message waits for its row only when nothing can refuse it any more: its chat's head is known, and its sender has
//!   not used its name.
//! * Nothing is here that was not in the transaction: a refusal is never remembered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use diesel::result::QueryResult;
use diesel::sqlite::SqliteConnection;

use super::pending_inserts::{PendingInserts, PendingMessage};
use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::ids::{ChatId, LoginId, Seq, UserId};
use crate::domain::message::ClientId;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::chats::cursors_behind;
use crate::storage::queries::{chats, messages};

/// How far ahead of this server's a client's clock may be before its names are looked up one by one. Until that time has
/// come, the names of all others are looked up too: so it is short.
const CHECK_AHEAD_SECONDS: i64 = 5 * 60;
/// How many messages may move their senders' cursors before these are written.
const CURSORS_BEHIND_MAX: usize = 1024;

/// What a command does to the facts that the writer cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalidation {
    /// It moves heads through the writer cache, and changes no other fact.
    Appends,
    /// It changes no fact, or only through the events of a chat.
    ChatEvents,
    /// It may change any.
    All,
}

/// How far a chat is.
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
    /// Chats whose rows are behind.
    moved: Vec<ChatId>,
    /// People whose rows are behind: they said something.
    said: Vec<(ChatId, UserId)>,
    /// How many messages have moved these people's cursors.
    said_messages: usize,
    /// The newest message, when the database does not say yet that its sender's cursors are written.
    newest_said: Option<i64>,
    /// Whether cursors that are behind are known: not before the first commit, and not after a rollback.
    knows_said: bool,
    client_ids: HashMap<UserId, ClientIdRange>,
    pending_inserts: PendingInserts,
    last_message_id: Option<i64>,
}

/// The names that a sender has not used for certain: those above `used`, up to `checked_up_to`. Names are made of the time
/// (UUIDv7), so the next one is mostly among them. Above `checked_up_to` are names that are not: one of those must
/// not spoil it for everybody.
#[derive(Debug)]
struct ClientIdRange {
    used: ClientId,
    checked_up_to: ClientId,
}

#[derive(Debug)]
struct ParticipantEntry {
    participant: Participant,
    /// The cursor has moved, and the row does not say so yet.
    is_behind: bool,
}

#[derive(Debug)]
struct ChatEntry {
    /// Its heads are those of when it was read: [`ChatEntry::head`] counts.
    chat: Arc<Chat>,
    head: Head,
    /// The newest message, if the row is behind.
    unwritten_message: Option<i64>,
}

impl WriterCache {
    pub(super) fn knows_login(&self, user: UserId, login: LoginId, token_version: i64) -> bool {
        self.logins.contains(&(user, login, token_version))
    }

    pub(super) fn learn_login(&mut self, user: UserId, login: LoginId, token_version: i64) {
        self.logins.insert((user, login, token_version));
    }

    /// The chat, its head, and the user's role in it, if all of that is known.
    pub(super) fn chat(&self, chat: ChatId, user: UserId) -> Option<(Arc<Chat>, Head, ChatRole)> {
        let person = self.people.get(&(chat, user))?;
        let known = self.chats.get(&chat)?;
        Some((known.chat.clone(), known.head, person.participant.role))
    }

    /// Only what was read when no head was ahead of its row.
    pub(super) fn learn_chat(&mut self, chat: &Arc<Chat>, participant: Participant) {
        let person = ParticipantEntry { participant, is_behind: false };
        self.people.entry((chat.id, person.participant.user_id)).or_insert(person);
        let known = || ChatEntry { chat: chat.clone(), head: Head::of(chat), unwritten_message: None };
        self.chats.entry(chat.id).or_insert_with(known);
    }

    /// The head as the writer cache has it, if it is ahead of what was read.
    pub(super) fn head(&self, chat: ChatId) -> Option<Head> {
        self.chats.get(&chat).map(|known| known.head)
    }

    pub(super) fn knows_chat(&self, chat: ChatId) -> bool {
        self.chats.contains_key(&chat)
    }

    /// A message of `sender` took the next place of a chat that is known; the rows of both are written later.
    pub(super) fn move_head(&mut self, chat: ChatId, head: Head, message: i64, sender: UserId) {
        let Some(known) = self.chats.get_mut(&chat) else { return };
        if let Some(person) = self.people.get_mut(&(chat, sender)) {
            person.participant.say(head.seq, head.ordinal, known.chat.trimmed_ordinal);
            self.said_messages += 1;
            if !std::mem::replace(&mut person.is_behind, true) {
                self.said.push((chat, sender));
            }
        }
        self.newest_said = Some(message);
        known.head = head;
        if known.unwritten_message.replace(message).is_none() {
            self.moved.push(chat);
        }
    }

    /// Whether the sender has not used this name yet; if so, it counts as used from now on.
    pub(super) fn reserve_client_id(
        &mut self,
        db: &mut SqliteConnection,
        sender: UserId,
        client_id: ClientId,
        now: Timestamp,
    ) -> QueryResult<bool> {
        let checked_up_to = ClientId::last_of(now.plus_seconds(CHECK_AHEAD_SECONDS));
        let known = self.client_ids.get(&sender);
        if known.is_none_or(|known| known.checked_up_to < client_id && client_id <= checked_up_to) {
            self.pending_inserts.flush(db)?;
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
            && !messages::is_client_id_used(db, sender.0, &client_id.0)?)
    }

    /// A message that cannot be refused any more: its row is written with others.
    pub(super) fn write_later(&mut self, message: PendingMessage) {
        self.pending_inserts.add(message);
    }

    /// Writes the messages that have no row yet.
    pub(super) fn flush_messages(&mut self, db: &mut SqliteConnection) -> QueryResult<()> {
        self.pending_inserts.flush(db)
    }

    /// Writes the messages that have no row yet, and the heads that are ahead of their row.
    pub(super) fn flush(&mut self, db: &mut SqliteConnection) -> QueryResult<()> {
        self.flush_messages(db)?;
        for chat in self.moved.drain(..) {
            let Some(known) = self.chats.get_mut(&chat) else { continue };
            if let Some(message) = known.unwritten_message.take() {
                chats::set_head(db, chat.0, known.head.seq, known.head.ordinal, message)?;
            }
        }
        Ok(())
    }

    /// Writes the cursors that are behind without being known. To be called when a transaction begins: it is no reason
    /// to commit it.
    pub(super) fn begin(&mut self, db: &mut SqliteConnection) -> QueryResult<()> {
        if self.knows_said { Ok(()) } else { cursors_behind::write_all(db) }
    }

    /// The transaction that [`WriterCache::begin`] began is committed.
    pub(super) fn committed(&mut self) {
        self.knows_said = true;
    }

    /// Whether so many messages have moved cursors that these are to be written.
    pub(super) fn cursors_are_due(&self) -> bool {
        self.said_messages >= CURSORS_BEHIND_MAX
    }

    /// Writes everything that is ahead of its row, cursors too; answers whether cursors were.
    pub(super) fn flush_all(&mut self, db: &mut SqliteConnection) -> QueryResult<bool> {
        self.flush(db)?;
        let Some(newest) = self.newest_said.take() else { return Ok(false) };
        self.said_messages = 0;
        for key in self.said.drain(..) {
            let Some(person) = self.people.get_mut(&key) else { continue };
            if std::mem::take(&mut person.is_behind) {
                chats::set_cursors(db, key.0.0, &person.participant)?;
            }
        }
        cursors_behind::set_written(db, newest)?;
        Ok(true)
    }

    /// The id of the next message. Not given back when it is not used.
    pub(super) fn next_message_id(&mut self, db: &mut SqliteConnection) -> QueryResult<i64> {
        let last = match self.last_message_id {
            Some(last) => last,
            None => messages::last_id(db)?,
        };
        self.last_message_id = Some(last + 1);
        Ok(last + 1)
    }

    /// The chat has an event that is not a message.
    pub(super) fn forget_chat(&mut self, chat: ChatId) {
        self.chats.remove(&chat);
    }

    /// A message of this sender was written past the writer cache, with its cursors.
    pub(super) fn forget_said(&mut self, chat: ChatId, sender: UserId, message: i64) {
        self.newest_said = Some(message);
        self.forget_chat(chat);
        self.forget_person(chat, sender);
        self.client_ids.remove(&sender);
    }

    /// The person's row in the chat was changed past the writer cache.
    pub(super) fn forget_person(&mut self, chat: ChatId, user: UserId) {
        self.people.remove(&(chat, user));
    }

    /// A command may have changed anything. Nothing is behind: it was written before.
    pub(super) fn forget(&mut self) {
        let Self { last_message_id, newest_said, knows_said, .. } = *self;
        *self = Self { last_message_id, newest_said, knows_said, ..Self::default() };
    }

    /// The transaction is undone, and with it what is here.
    pub(super) fn rolled_back(&mut self) {
        *self = Self::default();
    }

    /// How much is known.
    pub(super) fn entries(&self) -> usize {
        self.logins.len() + self.chats.len() + self.people.len() + self.client_ids.len()
    }
}
