//! Chats that are deleted, and what is left of them.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

use crate::storage::schema::chats;

type Db = SqliteConnection;

/// The chat is gone; its name is free.
pub fn set_deleted(db: &mut Db, id: i64, now: i64) -> QueryResult<()> {
    let free: Option<&str> = None;
    diesel::update(chats::table.find(id))
        .set((chats::deleted_at.eq(now), chats::name.eq(free), chats::channel_key.eq(free)))
        .execute(db)
        .map(drop)
}

pub fn set_purged(db: &mut Db, id: i64, now: i64) -> QueryResult<()> {
    diesel::update(chats::table.find(id)).set(chats::purged_at.eq(now)).execute(db).map(drop)
}

/// Deleted chats of which rows are left.
pub fn to_purge(db: &mut Db, limit: i64) -> QueryResult<Vec<i64>> {
    chats::table
        .filter(chats::deleted_at.is_not_null())
        .filter(chats::purged_at.is_null())
        .order(chats::id)
        .limit(limit)
        .select(chats::id)
        .load(db)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Archived chats without people, since before a time.
pub fn empty_since(db: &mut Db, before: i64, limit: i64) -> QueryResult<Vec<i64>> {
    let found: Vec<Id> = diesel::sql_query(
        "SELECT id FROM chats
         WHERE archived_at IS NOT NULL AND deleted_at IS NULL AND archived_at <= ? AND kind <> 'direct'
           AND NOT EXISTS (SELECT 1 FROM chat_participants p WHERE p.chat_id = chats.id)
         ORDER BY archived_at LIMIT ?",
    )
    .bind::<BigInt, _>(before)
    .bind::<BigInt, _>(limit)
    .load(db)?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// Whether the chat is archived since before a time, and nobody is in it.
pub fn is_empty_since(db: &mut Db, id: i64, before: i64) -> QueryResult<bool> {
    let found: Vec<Id> = diesel::sql_query(
        "SELECT id FROM chats
         WHERE id = ? AND archived_at <= ? AND deleted_at IS NULL AND kind <> 'direct'
           AND NOT EXISTS (SELECT 1 FROM chat_participants p WHERE p.chat_id = chats.id)",
    )
    .bind::<BigInt, _>(id)
    .bind::<BigInt, _>(before)
    .load(db)?;
    Ok(!found.is_empty())
}

/// What a chat's rows are in, and the statement that removes some of them.
const PURGES: [&str; 5] = [
    "DELETE FROM messages WHERE rowid IN (SELECT rowid FROM messages WHERE chat_id = ? LIMIT ?)",
    "DELETE FROM chat_events WHERE rowid IN (SELECT rowid FROM chat_events WHERE chat_id = ? LIMIT ?)",
    "DELETE FROM chat_participants WHERE rowid IN (SELECT rowid FROM chat_participants WHERE chat_id = ? LIMIT ?)",
    "DELETE FROM chat_former_participants WHERE rowid IN
         (SELECT rowid FROM chat_former_participants WHERE chat_id = ? LIMIT ?)",
    "DELETE FROM removed_messages WHERE (client_id, sender_id) IN
         (SELECT client_id, sender_id FROM removed_messages WHERE chat_id = ? LIMIT ?)",
];

/// Removes rows of a chat, at most `limit`; returns whether there may be more.
pub fn purge_some(db: &mut Db, id: i64, limit: i64) -> QueryResult<bool> {
    let mut left = limit;
    for statement in PURGES {
        let removed =
            diesel::sql_query(statement).bind::<BigInt, _>(id).bind::<BigInt, _>(left).execute(db)?;
        left -= i64::try_from(removed).unwrap_or(limit);
        if left <= 0 {
            return Ok(true);
        }
    }
    Ok(false)
}
