//! Messages.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Binary, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};

use crate::domain::ids::{MessageId, UserId};
use crate::domain::message::{ClientId, Message};
use crate::storage::rows::message::{MessageChanges, MessageRow, NewMessageRow, client_id};
use crate::storage::schema::{chats, messages};

mod trimming;

pub use trimming::{
    RemovedMessage, Trim, any_reply_goes, edited_above, event_above, remove, remove_events, removed, seqs_in,
    to_trim, within_followers,
};

type Db = SqliteConnection;

/// `false`, and nothing is changed, when the sender has a message of this name already.
pub fn insert(db: &mut Db, row: &NewMessageRow<'_>) -> QueryResult<bool> {
    let named_alike = (messages::sender_id, messages::client_id);
    let inserted = diesel::insert_into(messages::table).values(row).on_conflict(named_alike).do_nothing();
    Ok(inserted.execute(db)? > 0)
}

/// How many rows one statement of [`insert_new`] inserts; more bring nothing.
const ROWS_AT_ONCE: usize = 16;

/// Messages whose names are known to be new, with as few statements as that takes. After a failure some of the rows are
/// there (`OR FAIL`: a statement that takes nothing back keeps no journal): the transaction must be rolled back.
pub fn insert_new(db: &mut Db, rows: &[NewMessageRow<'_>]) -> QueryResult<()> {
    let (many, rest) = rows.as_chunks::<ROWS_AT_ONCE>();
    for rows in many {
        InsertRows(rows).execute(db)?;
    }
    for row in rest {
        InsertRows(std::array::from_ref(row)).execute(db)?;
    }
    Ok(())
}

/// The same statement for any `N` rows: prepared once.
struct InsertRows<'a, const N: usize>(&'a [NewMessageRow<'a>; N]);

impl<const N: usize> QueryId for InsertRows<'_, N> {
    type QueryId = InsertRows<'static, N>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<const N: usize> QueryFragment<Sqlite> for InsertRows<'_, N> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql(
            "INSERT OR FAIL INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, reply_to, \
             metadata, created_at, updated_seq, thread_id) VALUES ",
        );
        for (n, row) in self.0.iter().enumerate() {
            out.push_sql(if n == 0 { "(" } else { ", (" });
            for number in [&row.id, &row.chat_id, &row.seq, &row.ordinal, &row.sender_id] {
                out.push_bind_param::<BigInt, _>(number)?;
                out.push_sql(", ");
            }
            out.push_bind_param::<Binary, _>(&row.client_id)?;
            out.push_sql(", ");
            out.push_bind_param::<Binary, _>(&row.request_hash)?;
            out.push_sql(", ");
            out.push_bind_param::<Text, _>(&row.content)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&row.reply_to)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<Text>, _>(&row.metadata)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&row.created_at)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(&row.updated_seq)?;
            out.push_sql(", ");
            out.push_bind_param::<Nullable<BigInt>, _>(&row.thread_id)?;
            out.push_sql(")");
        }
        Ok(())
    }
}

impl<const N: usize> RunQueryDsl<Db> for InsertRows<'_, N> {}

/// The largest name up to `horizon` that anybody has used.
pub fn largest_client_id(db: &mut Db, horizon: ClientId) -> QueryResult<Option<ClientId>> {
    let removed = trimming::largest_client_id(db, horizon)?;
    let found: Option<Vec<u8>> = messages::table
        .filter(messages::client_id.le(&horizon.0[..]))
        .order(messages::client_id.desc())
        .select(messages::client_id)
        .first(db)
        .optional()?;
    Ok(found.map(|name| client_id(name).map(ClientId)).transpose()?.max(removed))
}

pub fn is_client_id_used(db: &mut Db, sender: i64, client_id: &[u8]) -> QueryResult<bool> {
    if trimming::removed(db, sender, client_id)?.is_some() {
        return Ok(true);
    }
    let named_alike = messages::table
        .filter(messages::sender_id.eq(sender))
        .filter(messages::client_id.eq(client_id))
        .select(messages::id);
    Ok(named_alike.first::<i64>(db).optional()?.is_some())
}

#[derive(QueryableByName)]
struct LastId {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    seq: i64,
}

/// The largest id that a message ever had: ids are not used again.
pub fn last_id(db: &mut Db) -> QueryResult<i64> {
    let found: Option<LastId> = diesel::sql_query("SELECT seq FROM sqlite_sequence WHERE name = 'messages'")
        .get_result(db)
        .optional()?;
    Ok(found.map_or(0, |last| last.seq))
}

/// The message that this sender wrote under this name, and the hash of what was received then.
pub fn by_client_id(db: &mut Db, sender: i64, client_id: &[u8]) -> QueryResult<Option<(Message, Vec<u8>)>> {
    let found: Option<(MessageRow, Vec<u8>)> = messages::table
        .filter(messages::sender_id.eq(sender))
        .filter(messages::client_id.eq(client_id))
        .select((MessageRow::as_select(), messages::request_hash))
        .first(db)
        .optional()?;
    found.map(|(row, hash)| Ok((row.try_into()?, hash))).transpose()
}

/// The message of this id, if it is one of the chat.
pub fn in_chat(db: &mut Db, chat: i64, id: i64) -> QueryResult<Option<Message>> {
    let row = messages::table
        .find(id)
        .filter(messages::chat_id.eq(chat))
        .select(MessageRow::as_select())
        .first(db)
        .optional()?;
    row.map(Message::try_from).transpose()
}

/// The thread that a reply to this message of the chat belongs to, and whom it replies to; `None` when there is no such
/// message.
pub fn thread_of(db: &mut Db, chat: i64, id: i64) -> QueryResult<Option<(MessageId, UserId)>> {
    let found: Option<(Option<i64>, i64)> = messages::table
        .find(id)
        .filter(messages::chat_id.eq(chat))
        .select((messages::thread_id, messages::sender_id))
        .first(db)
        .optional()?;
    let Some((thread, sender)) = found else { return Ok(None) };
    // A chat that trims its messages may not have the first one any more: then a thread begins here.
    let first: Option<i64> = match thread {
        Some(first) => messages::table.find(first).select(messages::id).first(db).optional()?,
        None => None,
    };
    Ok(Some((MessageId(first.unwrap_or(id)), UserId(sender))))
}

pub fn change(db: &mut Db, id: i64, changes: &MessageChanges<'_>) -> QueryResult<()> {
    diesel::update(messages::table.find(id)).set(changes).execute(db).map(drop)
}

/// Messages by id. `ids` are those of one page or window.
pub fn by_ids(db: &mut Db, ids: &[i64]) -> QueryResult<Vec<Message>> {
    let rows = messages::table.filter(messages::id.eq_any(ids)).select(MessageRow::as_select()).load(db)?;
    rows.into_iter().map(Message::try_from).collect()
}

/// A choice among the messages of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// The thread that the message is in: its first message and every reply below it.
    Thread(MessageId),
    Pinned,
}

/// As [`between`], of the chosen messages only.
pub fn chosen(
    db: &mut Db,
    chat: i64,
    choice: Choice,
    after: i64,
    before: i64,
    limit: i64,
    newest: bool,
) -> QueryResult<Vec<Message>> {
    let range = in_range(chat, after, before);
    let chosen = match choice {
        Choice::Pinned => range.filter(messages::pinned_at.is_not_null()),
        Choice::Thread(id) => {
            let Some((first, _)) = thread_of(db, chat, id.0)? else { return Ok(Vec::new()) };
            range.filter(messages::id.eq(first.0).or(messages::thread_id.eq(first.0)))
        }
    };
    ascending(db, chosen, limit, newest)
}

/// The message with this seq.
pub fn at_seq(db: &mut Db, chat: i64, seq: i64) -> QueryResult<Option<i64>> {
    messages::table
        .filter(messages::chat_id.eq(chat))
        .filter(messages::seq.eq(seq))
        .select(messages::id)
        .first(db)
        .optional()
}

/// The ordinal of the newest message at or below `seq`; 0 before the first.
pub fn ordinal_at(db: &mut Db, chat: i64, seq: i64) -> QueryResult<i64> {
    let found: Option<i64> = messages::table
        .filter(messages::chat_id.eq(chat))
        .filter(messages::seq.le(seq))
        .order(messages::seq.desc())
        .select(messages::ordinal)
        .first(db)
        .optional()?;
    Ok(found.unwrap_or(0))
}

#[derive(QueryableByName)]
struct Ordinal {
    #[diesel(sql_type = BigInt)]
    ordinal: i64,
}

/// The ordinals of a sender's messages from `seq` on, ascending, among the newest `scanned` messages of the chat.
pub fn own_from(db: &mut Db, chat: i64, sender: i64, seq: i64, scanned: i64) -> QueryResult<Vec<i64>> {
    let found: Vec<Ordinal> = diesel::sql_query(
        "SELECT ordinal FROM (
             SELECT ordinal, sender_id FROM messages WHERE chat_id = ? AND seq >= ? ORDER BY seq DESC LIMIT ?
         ) WHERE sender_id = ? ORDER BY ordinal",
    )
    .bind::<BigInt, _>(chat)
    .bind::<BigInt, _>(seq)
    .bind::<BigInt, _>(scanned)
    .bind::<BigInt, _>(sender)
    .load(db)?;
    Ok(found.into_iter().map(|row| row.ordinal).collect())
}

/// (chat, ordinal) of every deleted message above what its chat has trimmed, in order.
pub fn all_deleted(db: &mut Db) -> QueryResult<Vec<(i64, i64)>> {
    messages::table
        .inner_join(chats::table)
        .filter(messages::deleted_at.is_not_null())
        .filter(messages::ordinal.gt(chats::trimmed_ordinal))
        .order((messages::chat_id, messages::ordinal))
        .select((messages::chat_id, messages::ordinal))
        .load(db)
}

/// Messages with `after < seq < before` in ascending order: the first `limit`, or the last when `newest`.
pub fn between(
    db: &mut Db,
    chat: i64,
    after: i64,
    before: i64,
    limit: i64,
    newest: bool,
) -> QueryResult<Vec<Message>> {
    ascending(db, in_range(chat, after, before), limit, newest)
}

fn in_range(chat: i64, after: i64, before: i64) -> messages::BoxedQuery<'static, Sqlite> {
    messages::table
        .filter(messages::chat_id.eq(chat))
        .filter(messages::seq.gt(after))
        .filter(messages::seq.lt(before))
        .into_boxed()
}

/// The first `limit` of these, or the last when `newest`; either way the oldest comes first.
fn ascending(
    db: &mut Db,
    range: messages::BoxedQuery<'static, Sqlite>,
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
