//! Messages.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use crate::domain::message::Message;
use crate::storage::rows::message::{MessageRow, NewMessageRow};
use crate::storage::schema::messages;

type Db = SqliteConnection;

pub fn insert(db: &mut Db, row: &NewMessageRow<'_>) -> QueryResult<i64> {
    diesel::insert_into(messages::table).values(row).returning(messages::id).get_result(db)
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

pub fn exists_in_chat(db: &mut Db, chat: i64, id: i64) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(messages::table.find(id).filter(messages::chat_id.eq(chat))))
        .get_result(db)
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

/// Messages with `after < seq < before` in ascending order: the first `limit`, or the last when `newest`.
pub fn between(
    db: &mut Db,
    chat: i64,
    after: i64,
    before: i64,
    limit: i64,
    newest: bool,
) -> QueryResult<Vec<Message>> {
    let range = messages::table
        .filter(messages::chat_id.eq(chat))
        .filter(messages::seq.gt(after))
        .filter(messages::seq.lt(before))
        .limit(limit)
        .select(MessageRow::as_select());
    let mut rows = if newest {
        range.order(messages::seq.desc()).load(db)?
    } else {
        range.order(messages::seq.asc()).load(db)?
    };
    if newest {
        rows.reverse();
    }
    rows.into_iter().map(Message::try_from).collect()
}
