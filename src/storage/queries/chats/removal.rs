//! Deleted chats and their remaining rows.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

use crate::domain::ids::ChatId;
use crate::storage::schema::chats;

type Db = SqliteConnection;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Synchronous;
    use crate::core::database;

    const ROWS: &str = "
        INSERT INTO chats (id, kind, created_at) VALUES (1, 'group', 0);
        WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 20)
            INSERT INTO users (id, username, display_name, password_hash, created_at)
            SELECT n, 'user' || n, '', '', 0 FROM n;
        INSERT INTO messages (id, chat_id, seq, ordinal, sender_id, client_id, request_hash, content, created_at, updated_seq)
            SELECT id, 1, id, id, 1, id, '', '', 0, id FROM users WHERE id <= 3;
        INSERT INTO thread_followers (thread_id, user_id) SELECT 2, id FROM users";

    /// Regression: all followers of a thread were deleted with its first message, by the foreign
    /// key.
    #[test]
    fn purge_counts_followers_among_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netbit.db");
        let mut db = database::open_writer(&path, Synchronous::Normal).unwrap();
        database::migrate(&mut db, &path).unwrap();
        diesel::connection::SimpleConnection::batch_execute(&mut db, ROWS).unwrap();
        let count = |sql: &str, db: &mut Db| database::integer(db, sql).unwrap();
        let changes = "SELECT total_changes() AS value";
        for slice in 0..5 {
            let before = count(changes, &mut db);
            let more = purge_some(&mut db, ChatId(1), 6).unwrap();
            assert!(count(changes, &mut db) - before <= 6, "slice {slice}");
            assert_eq!(more, slice < 3, "slice {slice}");
        }
        let left =
            "SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM thread_followers) AS value";
        assert_eq!(count(left, &mut db), 0);
    }
}
