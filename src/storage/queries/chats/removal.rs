//! Deleted chats and their remaining rows.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::Db;
use crate::domain::ids::ChatId;
use crate::storage::schema::chats;

/// Marks a chat as deleted; its name becomes free.
pub fn set_deleted(db: &mut Db, id: ChatId, now: i64) -> QueryResult<()> {
    let free: Option<&str> = None;
    diesel::update(chats::table.find(id))
        .set((chats::deleted_at.eq(now), chats::name.eq(free), chats::channel_key.eq(free)))
        .execute(db)
        .map(drop)
}

pub fn set_purged(db: &mut Db, id: ChatId, now: i64) -> QueryResult<()> {
    diesel::update(chats::table.find(id)).set(chats::purged_at.eq(now)).execute(db).map(drop)
}

/// Returns deleted chats with remaining rows.
pub fn to_purge(db: &mut Db, limit: i64) -> QueryResult<Vec<ChatId>> {
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
    id: ChatId,
}

/// Returns chats without participants that were archived at or before a time.
pub fn empty_since(db: &mut Db, before: i64, limit: i64) -> QueryResult<Vec<ChatId>> {
    let found: Vec<Id> = diesel::sql_query(
        "SELECT id FROM chats
         WHERE archived_at IS NOT NULL AND deleted_at IS NULL AND archived_at <= $1 AND kind <> 'direct'
           AND NOT EXISTS (SELECT 1 FROM chat_participants p WHERE p.chat_id = chats.id)
         ORDER BY archived_at LIMIT $2",
    )
    .bind::<BigInt, _>(before)
    .bind::<BigInt, _>(limit)
    .load(db)?;
    Ok(found.into_iter().map(|row| row.id).collect())
}

/// Returns whether the chat has no participants and was archived at or before a time.
pub fn is_empty_since(db: &mut Db, id: ChatId, before: i64) -> QueryResult<bool> {
    let found: Vec<Id> = diesel::sql_query(
        "SELECT id FROM chats
         WHERE id = $1 AND archived_at <= $2 AND deleted_at IS NULL AND kind <> 'direct'
           AND NOT EXISTS (SELECT 1 FROM chat_participants p WHERE p.chat_id = chats.id)",
    )
    .bind::<BigInt, _>(id)
    .bind::<BigInt, _>(before)
    .load(db)?;
    Ok(!found.is_empty())
}

/// The statements that delete rows of a chat, in execution order. The followers of the first
/// messages are deleted before these messages: deleting a message deletes all of its followers at
/// once.
const PURGES: [&str; 6] = [
    "DELETE FROM thread_followers WHERE (thread_id, user_id) IN (
         SELECT f.thread_id, f.user_id FROM (SELECT id FROM messages WHERE chat_id = $1 ORDER BY seq LIMIT $2) m
         JOIN thread_followers f ON f.thread_id = m.id LIMIT $2)",
    "DELETE FROM messages WHERE id IN (SELECT id FROM messages WHERE chat_id = $1 ORDER BY seq LIMIT $2)",
    "DELETE FROM chat_events WHERE chat_id = $1 AND seq IN (SELECT seq FROM chat_events WHERE chat_id = $1 LIMIT $2)",
    "DELETE FROM chat_participants WHERE chat_id = $1 AND user_id IN
         (SELECT user_id FROM chat_participants WHERE chat_id = $1 LIMIT $2)",
    "DELETE FROM chat_former_participants WHERE chat_id = $1 AND user_id IN
         (SELECT user_id FROM chat_former_participants WHERE chat_id = $1 LIMIT $2)",
    "DELETE FROM removed_messages WHERE (client_id, sender_id) IN
         (SELECT client_id, sender_id FROM removed_messages WHERE chat_id = $1 LIMIT $2)",
];

/// Deletes at most `limit` rows of a chat. Returns whether more may exist.
pub fn purge_some(db: &mut Db, id: ChatId, limit: i64) -> QueryResult<bool> {
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
