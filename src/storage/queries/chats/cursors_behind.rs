//! Cursors that lag behind their messages.
//!
//! A message moves its sender's cursors. The writer keeps the moved cursors in memory, and writes
//! many of them with one commit. [`meta::CURSORS_WRITTEN`] is the id of the last message whose
//! cursors are written. The cursors of later messages follow from the messages themselves: they are
//! computed here, after a crash and for each snapshot.
//!
//! Invariant: no other change of a participant's row is committed while cursors lag.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Text};

use super::super::{Backend, Db};
use super::super::{messages, meta};
use super::set_all_cursors;
use crate::core::limits::ROWS_PER_STATEMENT_MAX;
use crate::domain::chat::Participant;
use crate::domain::ids::{ChatId, MessageId, UserId};
use crate::storage::rows::chat::ParticipantRow;
use crate::storage::schema::{chat_participants, chats, messages as messages_table};

/// Number of messages read at once.
const PAGE_MESSAGES: i64 = 4096;

/// A message whose sender's cursors may not have moved yet.
#[derive(Debug, Queryable)]
struct SentMessage {
    id: MessageId,
    chat: ChatId,
    sender: UserId,
    seq: i64,
    ordinal: i64,
    trimmed_ordinal: i64,
}

/// Returns messages with the rows of their senders. `None`: the sender is not in the chat.
fn sent_above(db: &mut Db, id: MessageId) -> QueryResult<Vec<(SentMessage, Option<ParticipantRow>)>> {
    let of_sender = chat_participants::chat_id
        .eq(messages_table::chat_id)
        .and(chat_participants::user_id.eq(messages_table::sender_id));
    messages_table::table
        .inner_join(chats::table)
        .left_join(chat_participants::table.on(of_sender))
        .filter(messages_table::id.gt(id))
        .order(messages_table::id)
        .limit(PAGE_MESSAGES)
        .select((
            (
                messages_table::id,
                messages_table::chat_id,
                messages_table::sender_id,
                messages_table::seq,
                messages_table::ordinal,
                chats::trimmed_ordinal,
            ),
            Option::<ParticipantRow>::as_select(),
        ))
        .load(db)
}

/// Senders by chat and user, with the cursors that they should have. `None`: the user is not in the
/// chat.
type Behind = HashMap<(ChatId, UserId), Option<Participant>>;

/// Computes the cursors that messages above `written` have moved, and finds the newest message.
fn behind(db: &mut Db, written: MessageId) -> QueryResult<(Behind, MessageId)> {
    let (mut behind, mut newest) = (Behind::new(), written);
    loop {
        let page = sent_above(db, newest)?;
        let is_last = i64::try_from(page.len()).is_ok_and(|read| read < PAGE_MESSAGES);
        for (sent, row) in page {
            newest = sent.id;
            let person = match behind.entry((sent.chat, sent.sender)) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(row.map(Participant::try_from).transpose()?),
            };
            if let Some(person) = person {
                person.record_sent(sent.seq, sent.ordinal, sent.trimmed_ordinal);
            }
        }
        if is_last {
            return Ok((behind, newest));
        }
    }
}

/// Moves the cursors of participants that were read before in the same transaction.
pub fn catch_up(db: &mut Db, participants: &mut [(ChatId, Participant)]) -> QueryResult<()> {
    let Some(written) = meta::get(db, meta::CURSORS_WRITTEN)?.map(MessageId) else { return Ok(()) };
    let (mut behind, _) = behind(db, written)?;
    if behind.is_empty() {
        return Ok(());
    }
    for (chat, read) in participants {
        if let Some(person) = behind.remove(&(*chat, read.user_id)).flatten() {
            *read = person;
        }
    }
    Ok(())
}

/// Writes all lagging cursors.
pub fn write_all(db: &mut Db) -> QueryResult<()> {
    let Some(written) = meta::get(db, meta::CURSORS_WRITTEN)?.map(MessageId) else {
        let newest = messages::last_id(db)?;
        return set_written(db, newest);
    };
    let (behind, newest) = behind(db, written)?;
    let moved = behind.into_iter().filter_map(|((chat, _), person)| Some((chat, person?)));
    let moved: Vec<_> = moved.collect();
    for moved in moved.chunks(ROWS_PER_STATEMENT_MAX) {
        set_all_cursors(db, moved)?;
    }
    if written == newest { Ok(()) } else { set_written(db, newest) }
}

#[derive(QueryId)]
struct SetWritten {
    message: MessageId,
}

impl QueryFragment<Backend> for SetWritten {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.push_sql("INSERT INTO meta (key, value) VALUES (");
        out.push_bind_param::<Text, _>(meta::CURSORS_WRITTEN)?;
        out.push_sql(", ");
        out.push_bind_param::<BigInt, _>(&self.message)?;
        out.push_sql(") ON CONFLICT (key) DO UPDATE SET value = excluded.value");
        Ok(())
    }
}

impl RunQueryDsl<Db> for SetWritten {}

/// Records that the cursors of all messages up to `message` are written.
pub fn set_written(db: &mut Db, message: MessageId) -> QueryResult<()> {
    SetWritten { message }.execute(db).map(drop)
}
