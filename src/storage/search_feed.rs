//! The changes of chats that the search index does not have yet.
//!
//! The index needs no queue and no write of its own in the transaction of a message: the dense
//! sequence of a chat shows which messages and changes follow the mark of the index.

use std::collections::BTreeSet;

use diesel::QueryResult;

use super::queries::{chats, messages};
use super::snapshot::in_one_read;
use crate::core::database::Db;
use crate::core::saturate;
use crate::domain::event::{Change, ChatEvent};
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::message::Message;

/// Messages, and events, of one chat that are read by one statement.
const ROWS_PER_READ: usize = 128;
/// The assumed size of a message that was pinned or unpinned.
const PINNED_BYTES: usize = 4_096;

/// How far the index has a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedTo {
    pub chat: ChatId,
    pub seq: Seq,
    /// The trimmed part that is removed from the index.
    pub trimmed: Seq,
    /// Trims up to this seq have been applied to the index.
    pub trims_to: Seq,
}

/// The state of a chat since it was indexed.
#[derive(Debug)]
pub enum ChatChanges<M = Message> {
    /// The chat was deleted.
    Gone,
    /// The database is older than the index: it is another one.
    Older,
    /// Messages were trimmed. The index must remove them before it goes on.
    Trimmed { trimmed: Seq, head: Seq },
    /// Changes up to `to`. More may follow below `head`.
    Changes { to: Seq, head: Seq, messages: Vec<M>, removed: Vec<MessageId> },
}

impl<M> ChatChanges<M> {
    /// Converts the messages.
    pub fn map<N>(self, convert: impl Fn(&M) -> N) -> ChatChanges<N> {
        match self {
            Self::Gone => ChatChanges::Gone,
            Self::Older => ChatChanges::Older,
            Self::Trimmed { trimmed, head } => ChatChanges::Trimmed { trimmed, head },
            Self::Changes { to, head, messages, removed } => {
                ChatChanges::Changes { to, head, messages: messages.iter().map(convert).collect(), removed }
            }
        }
    }
}

/// The limits that remain for a batch of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimit {
    /// Messages and events.
    pub rows: usize,
    /// Bytes of the contents of messages. A single message may have more.
    pub bytes: usize,
}

impl BatchLimit {
    fn is_reached(self) -> bool {
        self.rows == 0 || self.bytes == 0
    }
}

/// Reads the changes of these chats, in order, until the limit is reached. Returns at least one
/// chat. The changes of a chat may be divided into several parts.
pub fn changes(
    db: &mut Db,
    chats: &[IndexedTo],
    limit: BatchLimit,
) -> QueryResult<Vec<(IndexedTo, ChatChanges)>> {
    in_one_read(db, |db| {
        let mut found = Vec::new();
        let mut left = BatchLimit { rows: limit.rows.max(1), bytes: limit.bytes.max(1) };
        for indexed in chats {
            let mut part = Some(*indexed);
            while let Some(indexed) = part.take() {
                let changes = changes_of(db, indexed, &mut left)?;
                if let ChatChanges::Changes { to, head, .. } = &changes
                    && (indexed.seq + 1..*head).contains(to)
                    && !left.is_reached()
                {
                    part = Some(IndexedTo { seq: *to, ..indexed });
                }
                found.push((indexed, changes));
            }
            // Each chat costs a few statements.
            left.rows = left.rows.saturating_sub(1);
            if left.is_reached() {
                break;
            }
        }
        Ok(found)
    })
}

fn changes_of(db: &mut Db, indexed: IndexedTo, left: &mut BatchLimit) -> QueryResult<ChatChanges> {
    let (id, after) = (indexed.chat, indexed.seq);
    let Some(chat) = chats::chat(db, id)? else { return Ok(ChatChanges::Gone) };
    let head = chat.last_seq;
    if head < after {
        return Ok(ChatChanges::Older);
    }
    let rows_max = left.rows.clamp(1, ROWS_PER_READ);
    let limit = saturate::to_i64(rows_max);
    let mut found = messages::between(db, id, after, Seq::MAX, limit, false)?;
    let mut events = chats::events_between(db, id, after, Seq::MAX, limit, false)?;
    let is_trim =
        |event: &ChatEvent| matches!(event.change, Change::Trim { .. }) && event.seq > indexed.trims_to;
    if chat.trimmed_seq != indexed.trimmed || events.iter().any(is_trim) {
        return Ok(ChatChanges::Trimmed { trimmed: chat.trimmed_seq, head });
    }
    let mut to = head;
    if found.len() == rows_max {
        to = found.last().map_or(to, |message| to.min(message.seq));
    }
    if events.len() == rows_max {
        to = events.last().map_or(to, |event| to.min(event.seq));
    }
    let to = left.take_bytes(&found, &events).map_or(to, |within| to.min(within));
    found.retain(|message| message.seq <= to);
    events.retain(|event| event.seq <= to);
    left.rows = left.rows.saturating_sub(found.len() + events.len());
    let new: BTreeSet<_> = found.iter().map(|message| message.id).collect();
    let changed: BTreeSet<_> =
        events.iter().filter_map(changed_message).filter(|id| !new.contains(id)).collect();
    let changed: Vec<_> = changed.into_iter().collect();
    let (kept, mut removed) = current(db, id, &changed)?;
    let (deleted, mut messages): (Vec<_>, Vec<_>) =
        found.into_iter().chain(kept).partition(|message| message.deleted);
    removed.extend(deleted.into_iter().map(|message| message.id));
    messages.sort_unstable_by_key(|message| message.id);
    Ok(ChatChanges::Changes { to, head, messages, removed })
}

impl BatchLimit {
    /// Takes the bytes of the first of these changes, and of as many others as fit. Returns the seq
    /// of the last one that fits, or `None` if all do.
    fn take_bytes(&mut self, messages: &[Message], events: &[ChatEvent]) -> Option<Seq> {
        let event_bytes = |event: &ChatEvent| match &event.change {
            Change::Edit(message) => message.content.len(),
            Change::Pin { .. } | Change::Unpin { .. } => PINNED_BYTES,
            _ => 0,
        };
        let messages = messages.iter().map(|message| (message.seq, message.content.len()));
        let events = events.iter().map(|event| (event.seq, event_bytes(event)));
        let mut costs: Vec<_> = messages.chain(events).collect();
        costs.sort_unstable();
        let mut fits = None;
        for (seq, bytes) in costs {
            if fits.is_some_and(|fits| fits < seq) && bytes > self.bytes {
                self.bytes = 0;
                return fits;
            }
            self.bytes = self.bytes.saturating_sub(bytes);
            fits = Some(seq);
        }
        None
    }
}

/// Returns the message whose terms the event may have changed.
fn changed_message(event: &ChatEvent) -> Option<MessageId> {
    match &event.change {
        Change::Edit(message) => Some(message.id),
        Change::Delete { message_id } | Change::Pin { message_id } | Change::Unpin { message_id } => {
            Some(*message_id)
        }
        Change::Message(_)
        | Change::Join { .. }
        | Change::Leave { .. }
        | Change::Role { .. }
        | Change::Rename { .. }
        | Change::Archive { .. }
        | Change::Push(_)
        | Change::React { .. }
        | Change::Unreact { .. }
        | Change::Trim { .. } => None,
    }
}

/// Returns the messages of a chat with these ids, and the ids that it has no more.
pub fn current(db: &mut Db, chat: ChatId, ids: &[MessageId]) -> QueryResult<(Vec<Message>, Vec<MessageId>)> {
    if ids.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut found = messages::by_ids(db, ids)?;
    found.retain(|message| message.chat_id == chat);
    let there: BTreeSet<_> = found.iter().map(|message| message.id).collect();
    let gone = ids.iter().copied().filter(|id| !there.contains(id)).collect();
    Ok((found, gone))
}

/// Returns all messages that the index should have, if there are at most `max`.
pub fn all_messages(db: &mut Db, max: usize) -> QueryResult<Option<Vec<Message>>> {
    in_one_read(db, |db| {
        let mut all = Vec::new();
        for chat in chats::all_chats(db)? {
            let limit = saturate::to_i64(max.saturating_sub(all.len()).saturating_add(1));
            all.append(&mut messages::between(db, chat.id, 0, Seq::MAX, limit, false)?);
            if all.len() > max {
                return Ok(None);
            }
        }
        all.retain(|message| !message.deleted);
        all.sort_unstable_by_key(|message| message.id);
        Ok(Some(all))
    })
}
