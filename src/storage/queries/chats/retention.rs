//! Message retention of chats, and the progress of trimming.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::Db;
use crate::domain::chat::Chat;
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::storage::rows::chat::ChatRow;
use crate::storage::rows::trimming::Trims;
use crate::storage::schema::chats;

/// Sets how many messages a chat keeps, and the user who set it last.
pub fn set_retention(db: &mut Db, id: ChatId, keep: Option<i64>, by: UserId) -> QueryResult<()> {
    diesel::update(chats::table.find(id))
        .set((chats::retention.eq(keep), chats::retention_by.eq(by)))
        .execute(db)
        .map(drop)
}

/// Returns a chat that is not deleted, with the remaining work.
pub fn chat_to_trim(db: &mut Db, id: ChatId) -> QueryResult<Option<(Chat, Trims)>> {
    let found: Option<(ChatRow, Option<UserId>, i64, Option<i64>)> = chats::table
        .find(id)
        .filter(chats::deleted_at.is_null())
        .select((ChatRow::as_select(), chats::retention_by, chats::trim_untold, chats::trim_again_above))
        .first(db)
        .optional()?;
    let Some((chat, by, event_due, again_above)) = found else { return Ok(None) };
    Ok(Some((chat.try_into()?, Trims { by, event_due: event_due != 0, again_above })))
}

/// Records that messages up to this one are trimmed, except those that the chat keeps, and that a
/// `trim` event is due. `again`: all kept messages are checked again.
pub fn set_trimmed(db: &mut Db, id: ChatId, seq: i64, ordinal: i64, again: bool) -> QueryResult<()> {
    diesel::update(chats::table.find(id))
        .set((
            chats::trimmed_seq.eq(seq),
            chats::trimmed_ordinal.eq(ordinal),
            chats::trim_untold.eq(1),
            again.then_some(chats::trim_again_above.eq(0)),
        ))
        .execute(db)
        .map(drop)
}

/// Records that kept messages up to a seq were checked again, and whether a `trim` event is due.
pub fn set_checked_again(db: &mut Db, id: ChatId, to: Seq, event_due: bool) -> QueryResult<()> {
    diesel::update(chats::table.find(id))
        .set((chats::trim_again_above.eq(to), event_due.then_some(chats::trim_untold.eq(1))))
        .execute(db)
        .map(drop)
}

/// Records that the chat has the `trim` event of all removed rows.
pub fn clear_trim_event_due(db: &mut Db, id: ChatId) -> QueryResult<()> {
    diesel::update(chats::table.find(id)).set(chats::trim_untold.eq(0)).execute(db).map(drop)
}

/// Sets the seq above which kept messages are checked again, or clears it.
pub fn set_again_above(db: &mut Db, id: ChatId, above: Option<Seq>) -> QueryResult<()> {
    diesel::update(chats::table.find(id)).set(chats::trim_again_above.eq(above)).execute(db).map(drop)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: ChatId,
}

/// Returns chats that have more messages than they keep, or for which a `trim` event is due.
pub fn to_trim(db: &mut Db, limit: i64) -> QueryResult<Vec<ChatId>> {
    let found: Vec<Id> = diesel::sql_query(
        "SELECT id FROM chats WHERE retention IS NOT NULL AND deleted_at IS NULL
             AND (last_ordinal - retention > trimmed_ordinal OR trim_again_above IS NOT NULL)
         UNION SELECT id FROM chats WHERE trim_untold = 1 AND deleted_at IS NULL
         ORDER BY id LIMIT $1",
    )
    .bind::<BigInt, _>(limit)
    .load(db)?;
    Ok(found.into_iter().map(|row| row.id).collect())
}
