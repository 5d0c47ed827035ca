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
pub enum ChatChanges {
    /// The chat was deleted.
    Gone,
    /// The database is older than the index: it is another one.
    Older,
    /// Messages were trimmed. The index must remove them before it goes on.
    Trimmed { trimmed: Seq, head: Seq },
    /// Changes up to `to`. More may follow below `head`.
    Changes { to: Seq, head: Seq, messages: Vec<Message>, removed: Vec<MessageId> },
}

/// Reads the changes of these chats, in order, until `rows_max` messages and events were read.
/// Returns at least one chat.
pub fn changes(
    db: &mut Db,
    chats: &[IndexedTo],
    rows_max: usize,
) -> QueryResult<Vec<(IndexedTo, ChatChanges)>> {
    in_one_read(db, |db| {
        let mut found = Vec::new();
        let mut left = rows_max.max(1);
        for indexed in chats {
            let changes = changes_of(db, *indexed, left)?;
            if let ChatChanges::Changes { messages, removed, .. } = &changes {
                left = left.saturating_sub(messages.len() + removed.len());
            }
            // Each chat costs a few statements.
            left = left.saturating_sub(1);
            found.push((*indexed, changes));
            if left == 0 {
                break;
            }
        }
        Ok(found)
    })
}

fn changes_of(db: &mut Db, indexed: IndexedTo, rows_max: usize) -> QueryResult<ChatChanges> {
    let (id, after) = (indexed.chat, indexed.seq);
    let Some(chat) = chats::chat(db, id)? else { return Ok(ChatChanges::Gone) };
    let head = chat.last_seq;
    if head < after {
        return Ok(ChatChanges::Older);
    }
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
    found.retain(|message| message.seq <= to);
    events.retain(|event| event.seq <= to);
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
