//! Owners of chats. Deactivated users do not count as owners.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

use super::Found;
use crate::domain::ids::{ChatId, UserId};

type Db = SqliteConnection;

/// Returns whether an active user other than `user` owns the chat. No user has the id 0.
pub fn has_other_owner(db: &mut Db, chat: ChatId, user: UserId) -> QueryResult<bool> {
    let found: Found = diesel::sql_query(
        "SELECT EXISTS (
             SELECT 1 FROM chat_participants p JOIN users u ON u.id = p.user_id
             WHERE p.chat_id = ? AND p.user_id <> ? AND p.role = 'owner' AND u.deactivated_at IS NULL
         ) AS found",
    )
    .bind::<BigInt, _>(chat)
    .bind::<BigInt, _>(user)
    .get_result(db)?;
    Ok(found.found != 0)
}

/// Returns whether an active user other than `user` is in the chat.
pub fn has_company(db: &mut Db, chat: ChatId, user: UserId) -> QueryResult<bool> {
    let found: Found = diesel::sql_query(
        "SELECT EXISTS (
             SELECT 1 FROM chat_participants p JOIN users u ON u.id = p.user_id
             WHERE p.chat_id = ? AND p.user_id <> ? AND u.deactivated_at IS NULL
         ) AS found",
    )
    .bind::<BigInt, _>(chat)
    .bind::<BigInt, _>(user)
    .get_result(db)?;
    Ok(found.found != 0)
}

#[derive(QueryableByName)]
struct Heir {
    #[diesel(sql_type = BigInt)]
    user_id: UserId,
}

/// Returns the new owner of a chat when its last owner `leaving` is gone: `preferred` if in the
/// chat, else the active member with the highest role and the lowest id.
pub fn heir(db: &mut Db, chat: ChatId, leaving: UserId, preferred: UserId) -> QueryResult<Option<UserId>> {
    let heir: Option<Heir> = diesel::sql_query(
        "SELECT p.user_id FROM chat_participants p JOIN users u ON u.id = p.user_id
         WHERE p.chat_id = ? AND p.user_id <> ? AND u.deactivated_at IS NULL
         ORDER BY p.user_id = ? DESC, CASE p.role WHEN 'admin' THEN 0 WHEN 'member' THEN 1 ELSE 2 END, p.user_id
         LIMIT 1",
    )
    .bind::<BigInt, _>(chat)
    .bind::<BigInt, _>(leaving)
    .bind::<BigInt, _>(preferred)
    .get_result(db)
    .optional()?;
    Ok(heir.map(|heir| heir.user_id))
}
