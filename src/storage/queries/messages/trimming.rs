//! Messages beyond their chat's retention, and their remaining records.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::Db;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::ClientId;
use crate::storage::rows::message::client_id;
use crate::storage::rows::trimming::{Candidate, RemovedMessage, Trim};
use crate::storage::schema::{chat_events, messages, removed_messages, thread_followers};

/// Bytes kept of a request hash: enough to distinguish requests.
const HASH_BYTES: usize = 16;

/// Returns (seq, ordinal) of the first messages above a seq, up to a seq and an ordinal.
pub fn to_trim(
    db: &mut Db,
    chat: ChatId,
    (above, to): (Seq, Seq),
    ordinal_max: i64,
    limit: i64,
) -> QueryResult<Vec<(Seq, i64)>> {
    messages::table
        .filter(messages::chat_id.eq(chat))
        .filter(messages::seq.gt(above))
        .filter(messages::seq.le(to))
        .filter(messages::ordinal.le(ordinal_max))
        .order(messages::seq)
        .limit(limit)
        .select((messages::seq, messages::ordinal))
        .load(db)
}

/// Condition for the rows to remove: all but pinned messages and those with a reply that is kept
/// and not deleted.
const GOES: &str = "pinned_at IS NULL AND NOT EXISTS (
     SELECT 1 FROM messages reply WHERE reply.thread_id = messages.id AND reply.deleted_at IS NULL
         AND (reply.seq > $1 OR reply.pinned_at IS NOT NULL))";
/// Condition for the rows of a range. It follows [`GOES`]: SQLite numbers `$1` and the others by
/// their first places in a statement.
const IN_RANGE: &str = "chat_id = $2 AND seq > $3 AND seq <= $4";

/// Returns the messages of the range, in ascending order.
pub fn candidates(db: &mut Db, trim: Trim) -> QueryResult<Vec<Candidate>> {
    let sql = format!(
        "SELECT id, seq, thread_id IS NOT NULL AS is_reply,
             edited_at IS NOT NULL AND updated_seq > $1 AS is_shown_above, {GOES} AS goes
         FROM messages WHERE {IN_RANGE} ORDER BY seq"
    );
    diesel::sql_query(sql)
        .bind::<BigInt, _>(trim.trimmed)
        .bind::<BigInt, _>(trim.chat)
        .bind::<BigInt, _>(trim.above)
        .bind::<BigInt, _>(trim.to)
        .load(db)
}

/// Returns the seq of the message with the follower after the first `count` followers of messages
/// in a range of seqs, if there is one. Deleting a message deletes all followers of its thread.
pub fn follower_beyond(
    db: &mut Db,
    chat: ChatId,
    (above, to): (Seq, Seq),
    count: i64,
) -> QueryResult<Option<Seq>> {
    thread_followers::table
        .inner_join(messages::table.on(messages::id.eq(thread_followers::thread_id)))
        .filter(messages::chat_id.eq(chat))
        .filter(messages::seq.gt(above))
        .filter(messages::seq.le(to))
        .order(messages::seq)
        .offset(count)
        .select(messages::seq)
        .first(db)
        .optional()
}

/// Removes the messages of the range that are not kept. Returns how many.
pub fn remove(db: &mut Db, trim: Trim) -> QueryResult<usize> {
    let keep = format!(
        "INSERT INTO removed_messages (client_id, sender_id, request_hash, id, chat_id, seq)
         SELECT client_id, sender_id, substr(request_hash, 1, {HASH_BYTES}), id, chat_id, seq
         FROM messages WHERE {GOES} AND {IN_RANGE} ON CONFLICT DO NOTHING"
    );
    let mut removed = 0;
    for sql in [keep, format!("DELETE FROM messages WHERE {GOES} AND {IN_RANGE}")] {
        removed = diesel::sql_query(sql)
            .bind::<BigInt, _>(trim.trimmed)
            .bind::<BigInt, _>(trim.chat)
            .bind::<BigInt, _>(trim.above)
            .bind::<BigInt, _>(trim.to)
            .execute(db)?;
    }
    Ok(removed)
}

/// Returns the seq of the `count`th event above a seq that is not a message, or `None` if there are
/// fewer.
pub fn event_above(db: &mut Db, chat: ChatId, above: Seq, count: i64) -> QueryResult<Option<Seq>> {
    chat_events::table
        .filter(chat_events::chat_id.eq(chat))
        .filter(chat_events::seq.gt(above))
        .order(chat_events::seq)
        .offset(count.saturating_sub(1))
        .select(chat_events::seq)
        .first(db)
        .optional()
}

/// Removes the events of the range that are about messages. Joins, leaves and the like are kept,
/// because rules query them.
pub fn remove_events(db: &mut Db, trim: Trim) -> QueryResult<()> {
    diesel::sql_query(
        "DELETE FROM chat_events WHERE chat_id = $1 AND seq > $2 AND seq <= $3
         AND kind IN ('edit', 'delete', 'react', 'unreact', 'pin', 'unpin', 'trim')",
    )
    .bind::<BigInt, _>(trim.chat)
    .bind::<BigInt, _>(trim.above)
    .bind::<BigInt, _>(trim.to)
    .execute(db)
    .map(drop)
}

/// Returns the remaining record of the sender's message with this client id.
pub fn removed(db: &mut Db, sender: UserId, client_id: &[u8]) -> QueryResult<Option<RemovedMessage>> {
    let found: Option<(MessageId, ChatId, Seq, Vec<u8>)> = removed_messages::table
        .find((client_id, sender))
        .select((
            removed_messages::id,
            removed_messages::chat_id,
            removed_messages::seq,
            removed_messages::request_hash,
        ))
        .first(db)
        .optional()?;
    Ok(found.map(|(id, chat_id, seq, hash)| RemovedMessage { id, chat_id, seq, hash }))
}

/// Returns the largest client id up to `up_to` among the removed messages.
pub(super) fn largest_client_id(db: &mut Db, up_to: ClientId) -> QueryResult<Option<ClientId>> {
    let found: Option<Vec<u8>> = removed_messages::table
        .filter(removed_messages::client_id.le(&up_to.0[..]))
        .order(removed_messages::client_id.desc())
        .select(removed_messages::client_id)
        .first(db)
        .optional()?;
    found.map(|name| client_id(name).map(ClientId)).transpose()
}
