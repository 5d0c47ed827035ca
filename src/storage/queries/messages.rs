//! Queries of messages.

use std::collections::HashMap;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};

use super::given::given;
use super::{Backend, Db};
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::message::{ClientId, Message};
use crate::storage::rows::message::Choice;
use crate::storage::rows::message::{MessageChanges, MessageRow, NewMessageRow, client_id};
use crate::storage::schema::{chats, messages, removed_messages};

pub use super::bulk::insert_new;

mod at_time;
mod trimming;

pub use at_time::{first_at, first_id_at};
pub use trimming::{candidates, event_above, follower_beyond, remove, remove_events, removed, to_trim};

/// Inserts a message. Returns `false`, and changes nothing, when the sender already has a message
/// with this `client_id`.
pub fn insert(db: &mut Db, row: &NewMessageRow<'_>) -> QueryResult<bool> {
    let named_alike = (messages::sender_id, messages::client_id);
    let inserted = diesel::insert_into(messages::table).values(row).on_conflict(named_alike).do_nothing();
    Ok(inserted.execute(db)? > 0)
}

/// Returns the largest client id up to `up_to` that any sender has used.
pub fn largest_client_id(db: &mut Db, up_to: ClientId) -> QueryResult<Option<ClientId>> {
    let removed = trimming::largest_client_id(db, up_to)?;
    let found: Option<Vec<u8>> = messages::table
        .filter(messages::client_id.le(&up_to.0[..]))
        .order(messages::client_id.desc())
        .select(messages::client_id)
        .first(db)
        .optional()?;
    Ok(found.map(|name| client_id(name).map(ClientId)).transpose()?.max(removed))
}

pub fn is_client_id_used(db: &mut Db, sender: UserId, client_id: &[u8]) -> QueryResult<bool> {
    let removed = removed_messages::table.find((client_id, sender));
    let named_alike =
        messages::table.filter(messages::sender_id.eq(sender)).filter(messages::client_id.eq(client_id));
    diesel::select(exists(removed).or(exists(named_alike))).get_result(db)
}

#[derive(QueryableByName)]
struct LastId {
    #[diesel(sql_type = BigInt)]
    id: MessageId,
}

/// Returns the largest id that a message ever had: ids are not reused. Rows of messages are
/// deleted; the row of their chat stays, with the id of its last message.
pub fn last_id(db: &mut Db) -> QueryResult<MessageId> {
    let last: LastId = diesel::sql_query(
        "SELECT COALESCE(MAX(id), 0) AS id FROM (
             SELECT MAX(id) AS id FROM messages UNION ALL SELECT MAX(last_message_id) FROM chats
         ) AS newest",
    )
    .get_result(db)?;
    Ok(last.id)
}

/// Returns the sender's message with this client id, and the hash of its request.
pub fn by_client_id(
    db: &mut Db,
    sender: UserId,
    client_id: &[u8],
) -> QueryResult<Option<(Message, Vec<u8>)>> {
    let found: Option<(MessageRow, Vec<u8>)> = messages::table
        .filter(messages::sender_id.eq(sender))
        .filter(messages::client_id.eq(client_id))
        .select((MessageRow::as_select(), messages::request_hash))
        .first(db)
        .optional()?;
    found.map(|(row, hash)| Ok((row.try_into()?, hash))).transpose()
}

/// Returns the message with this id if it is in the chat.
pub fn in_chat(db: &mut Db, chat: ChatId, id: MessageId) -> QueryResult<Option<Message>> {
    let row = messages::table
        .find(id)
        .filter(messages::chat_id.eq(chat))
        .select(MessageRow::as_select())
        .first(db)
        .optional()?;
    row.map(Message::try_from).transpose()
}

/// Returns the thread that a reply to this message of the chat belongs to, and the sender of the
/// message. Returns `None` if the message is not in the chat.
pub fn thread_of(db: &mut Db, chat: ChatId, id: MessageId) -> QueryResult<Option<(MessageId, UserId)>> {
    // A chat that trims its messages may no longer have the first message: then a thread begins
    // here.
    let firsts = diesel::alias!(messages as firsts);
    let found: Option<(UserId, Option<MessageId>)> = messages::table
        .left_join(firsts.on(firsts.field(messages::id).nullable().eq(messages::thread_id)))
        .filter(messages::id.eq(id))
        .filter(messages::chat_id.eq(chat))
        .select((messages::sender_id, firsts.field(messages::id).nullable()))
        .first(db)
        .optional()?;
    Ok(found.map(|(sender, first)| (first.unwrap_or(id), sender)))
}

pub fn change(db: &mut Db, id: MessageId, changes: &MessageChanges<'_>) -> QueryResult<()> {
    diesel::update(messages::table.find(id)).set(changes).execute(db).map(drop)
}

/// Returns messages by id. `ids` holds the ids of a single page or window.
pub fn by_ids(db: &mut Db, ids: &[MessageId]) -> QueryResult<Vec<Message>> {
    let rows = messages::table.filter(messages::id.eq_any(ids)).select(MessageRow::as_select()).load(db)?;
    rows.into_iter().map(Message::try_from).collect()
}

/// Like [`between`], for the selected messages only.
pub fn chosen(
    db: &mut Db,
    chat: ChatId,
    choice: Choice,
    after: i64,
    before: i64,
    limit: i64,
    newest: bool,
) -> QueryResult<Vec<Message>> {
    let range = in_range(chat, after, before);
    match choice {
        Choice::Pinned => ascending(db, range.filter(messages::pinned_at.is_not_null()), limit, newest),
        Choice::Thread(id) => {
            let Some((first, _)) = thread_of(db, chat, id)? else { return Ok(Vec::new()) };
            // The first message has the smallest seq of its thread.
            let mut thread = ascending(db, range.filter(messages::id.eq(first)), 1, newest)?;
            thread.append(&mut ascending(db, replies(first, after, before), limit, newest)?);
            let limit = usize::try_from(limit).unwrap_or(0);
            if newest {
                thread.drain(..thread.len().saturating_sub(limit));
            } else {
                thread.truncate(limit);
            }
            Ok(thread)
        }
    }
}

/// Selects the replies of a thread with `after < seq < before`. Without the chat: SQLite would
/// search all messages of the chat in this range instead of the index of threads.
pub(in crate::storage::queries) fn replies(
    first: MessageId,
    after: i64,
    before: i64,
) -> messages::BoxedQuery<'static, Backend> {
    messages::table
        .filter(messages::thread_id.eq(first))
        .filter(messages::seq.gt(after))
        .filter(messages::seq.lt(before))
        .into_boxed()
}

/// Returns the message with this seq.
pub fn message_at(db: &mut Db, chat: ChatId, seq: i64) -> QueryResult<Option<Message>> {
    let row = messages::table
        .filter(messages::chat_id.eq(chat))
        .filter(messages::seq.eq(seq))
        .select(MessageRow::as_select())
        .first(db)
        .optional()?;
    row.map(Message::try_from).transpose()
}

/// Returns the ordinal of the newest message at or below a seq in each chat. Places before the
/// first message of a chat are absent.
pub fn ordinals_at(db: &mut Db, places: &[(ChatId, Seq)]) -> QueryResult<HashMap<(ChatId, Seq), i64>> {
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    if let [(chat, seq)] = *places {
        // This statement is prepared once.
        let found: Option<i64> = messages::table
            .filter(messages::chat_id.eq(chat))
            .filter(messages::seq.le(seq))
            .order(messages::seq.desc())
            .select(messages::ordinal)
            .first(db)
            .optional()?;
        return Ok(found.map(|ordinal| ((chat, seq), ordinal)).into_iter().collect());
    }
    let newest = given(
        "chat_id, seq",
        places.iter().map(|(chat, seq)| [chat.0, *seq]),
        "SELECT chat_id, seq, (
             SELECT m.ordinal FROM messages m WHERE m.chat_id = given.chat_id AND m.seq <= given.seq
             ORDER BY m.seq DESC LIMIT 1
         ) AS ordinal FROM given",
    );
    let found: Vec<PlaceOrdinal> = newest.load(db)?;
    Ok(found.into_iter().filter_map(|row| Some(((row.chat_id, row.seq), row.ordinal?))).collect())
}

#[derive(QueryableByName)]
struct PlaceOrdinal {
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
    #[diesel(sql_type = BigInt)]
    seq: Seq,
    #[diesel(sql_type = Nullable<BigInt>)]
    ordinal: Option<i64>,
}

#[derive(QueryableByName)]
struct Ordinal {
    #[diesel(sql_type = BigInt)]
    ordinal: i64,
}

/// Returns the ordinals of a sender's messages from `seq` on, ascending, among the newest `scanned`
/// messages of the chat.
pub fn own_from(db: &mut Db, chat: ChatId, sender: UserId, seq: i64, scanned: i64) -> QueryResult<Vec<i64>> {
    let found: Vec<Ordinal> = diesel::sql_query(
        "SELECT ordinal FROM (
             SELECT ordinal, sender_id FROM messages WHERE chat_id = $1 AND seq >= $2 ORDER BY seq DESC LIMIT $3
         ) AS newest WHERE sender_id = $4 ORDER BY ordinal",
    )
    .bind::<BigInt, _>(chat)
    .bind::<BigInt, _>(seq)
    .bind::<BigInt, _>(scanned)
    .bind::<BigInt, _>(sender)
    .load(db)?;
    Ok(found.into_iter().map(|row| row.ordinal).collect())
}

/// Returns (chat, ordinal) of every deleted message above the trimmed part of its chat, in order.
pub fn all_deleted(db: &mut Db) -> QueryResult<Vec<(ChatId, i64)>> {
    messages::table
        .inner_join(chats::table)
        .filter(messages::deleted_at.is_not_null())
        .filter(messages::ordinal.gt(chats::trimmed_ordinal))
        .order((messages::chat_id, messages::ordinal))
        .select((messages::chat_id, messages::ordinal))
        .load(db)
}

/// Returns messages with `after < seq < before` in ascending order: the first `limit`, or the last
/// if `newest`.
pub fn between(
    db: &mut Db,
    chat: ChatId,
    after: i64,
    before: i64,
    limit: i64,
    newest: bool,
) -> QueryResult<Vec<Message>> {
    ascending(db, in_range(chat, after, before), limit, newest)
}

fn in_range(chat: ChatId, after: i64, before: i64) -> messages::BoxedQuery<'static, Backend> {
    messages::table
        .filter(messages::chat_id.eq(chat))
        .filter(messages::seq.gt(after))
        .filter(messages::seq.lt(before))
        .into_boxed()
}

/// Returns the first `limit` of these messages, or the last if `newest`, in ascending order.
fn ascending(
    db: &mut Db,
    range: messages::BoxedQuery<'static, Backend>,
    limit: i64,
    newest: bool,
) -> QueryResult<Vec<Message>> {
    let ordered = if newest { range.order(messages::seq.desc()) } else { range.order(messages::seq.asc()) };
    let mut rows = ordered.limit(limit).select(MessageRow::as_select()).load(db)?;
    if newest {
        rows.reverse();
    }
    rows.into_iter().map(Message::try_from).collect()
}
