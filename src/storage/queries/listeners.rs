//! Participants of a chat, with the fields that decide whether a message notifies them.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};

use super::Db;
use crate::core::saturate;
use crate::domain::ids::{MessageId, UserId};
use crate::storage::rows::chat::notify_level;
use crate::storage::rows::listener::{Followers, Listener, SentMessage};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    user_id: UserId,
    #[diesel(sql_type = Text)]
    username: String,
    #[diesel(sql_type = Text)]
    notify: String,
    #[diesel(sql_type = Bool)]
    active: bool,
    #[diesel(sql_type = BigInt)]
    read_seq: i64,
    #[diesel(sql_type = Bool)]
    blocks_sender: bool,
}

const COLUMNS: &str =
    "SELECT p.user_id, u.username, p.notify, u.deactivated_at IS NULL AS active, p.read_seq,
    EXISTS (SELECT 1 FROM blocks b WHERE b.user_id = p.user_id AND b.blocked_id = ?) AS blocks_sender";

fn listeners(rows: Vec<Row>) -> QueryResult<Vec<Listener>> {
    let listener = |row: Row| {
        Ok(Listener {
            user_id: row.user_id,
            username: row.username,
            level: notify_level(&row.notify)?,
            active: row.active,
            read_seq: row.read_seq,
            blocks_sender: row.blocks_sender,
        })
    };
    rows.into_iter().map(listener).collect()
}

/// Returns the next participants of the chat, by ascending id.
pub fn all_members(db: &mut Db, sent: SentMessage, after: UserId, limit: i64) -> QueryResult<Vec<Listener>> {
    let sql = format!(
        "{COLUMNS} FROM chat_participants p JOIN users u ON u.id = p.user_id
         WHERE p.chat_id = ? AND p.user_id > ? ORDER BY p.user_id LIMIT ?"
    );
    let rows = diesel::sql_query(sql)
        .bind::<BigInt, _>(sent.sender)
        .bind::<BigInt, _>(sent.chat)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit);
    listeners(rows.load(db)?)
}

/// Returns the participants of the chat with these user names.
pub fn named(db: &mut Db, sent: SentMessage, names: &[&str]) -> QueryResult<Vec<Listener>> {
    let sql = format!(
        "{COLUMNS} FROM json_each(?) n JOIN users u ON u.username = n.value
         JOIN chat_participants p ON p.chat_id = ? AND p.user_id = u.id ORDER BY n.key"
    );
    let rows = diesel::sql_query(sql)
        .bind::<BigInt, _>(sent.sender)
        .bind::<Text, _>(serde_json::to_string(names).unwrap_or_default())
        .bind::<BigInt, _>(sent.chat);
    listeners(rows.load(db)?)
}

#[derive(QueryableByName)]
struct FollowerRow {
    #[diesel(sql_type = BigInt)]
    user_id: UserId,
}

/// Returns the next `limit` followers of the thread who did not mute it, by ascending id.
pub fn followers(
    db: &mut Db,
    sent: SentMessage,
    thread: MessageId,
    after: UserId,
    limit: i64,
) -> QueryResult<Followers> {
    // SQLite uses the partial index only if the condition is written exactly like this.
    let sql = "SELECT user_id FROM thread_followers
         WHERE thread_id = ? AND user_id > ? AND NOT muted ORDER BY user_id LIMIT ?";
    let ids: Vec<FollowerRow> = diesel::sql_query(sql)
        .bind::<BigInt, _>(thread)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(limit)
        .load(db)?;
    let ids: Vec<UserId> = ids.into_iter().map(|row| row.user_id).collect();
    let scanned = saturate::to_i64(ids.len());
    let scanned_to = ids.last().copied().filter(|_| scanned >= limit);
    let sql = format!(
        "{COLUMNS} FROM json_each(?) t JOIN users u ON u.id = t.value
         JOIN chat_participants p ON p.chat_id = ? AND p.user_id = u.id ORDER BY t.key"
    );
    let rows = diesel::sql_query(sql)
        .bind::<BigInt, _>(sent.sender)
        .bind::<Text, _>(serde_json::to_string(&ids).unwrap_or_default())
        .bind::<BigInt, _>(sent.chat);
    Ok(Followers { listeners: listeners(rows.load(db)?)?, scanned, scanned_to })
}
