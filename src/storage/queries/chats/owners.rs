//! Owners of chats. Deactivated users do not count as owners.

use super::super::Db;
use crate::storage::rows::chat::{Company, LeftChat};
use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};

use super::given;
use crate::domain::ids::{ChatId, UserId};

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Returns whether an active user other than `user` owns the chat. No user has the id 0.
pub fn has_other_owner(db: &mut Db, chat: ChatId, user: UserId) -> QueryResult<bool> {
    let found: Found = diesel::sql_query(
        "SELECT EXISTS (
             SELECT 1 FROM chat_participants p JOIN users u ON u.id = p.user_id
             WHERE p.chat_id = $1 AND p.user_id <> $2 AND p.role = 'owner' AND u.deactivated_at IS NULL
         ) AS found",
    )
    .bind::<BigInt, _>(chat)
    .bind::<BigInt, _>(user)
    .get_result(db)?;
    Ok(found.found)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
    #[diesel(sql_type = Bool)]
    is_any: bool,
    #[diesel(sql_type = Bool)]
    has_owner: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    heir: Option<UserId>,
}

/// Returns the other active participants of chats that `leaving` leaves. Reads a participant or two
/// of each chat that the user does not own; of the others up to all.
pub fn company_of(db: &mut Db, leaving: UserId, chats: &[LeftChat]) -> QueryResult<HashMap<ChatId, Company>> {
    if chats.is_empty() {
        return Ok(HashMap::new());
    }
    let preferred = |chat: &LeftChat| chat.preferred.map_or(0, |user| user.0);
    let company = given(
        "chat_id, owns, preferred",
        chats.iter().map(|chat| [chat.id.0, i64::from(chat.owns), preferred(chat)]),
        "SELECT chat_id, is_any, has_owner, CASE WHEN owns = 1 AND preferred > 0 AND NOT has_owner THEN COALESCE((
             SELECT p.user_id FROM chat_participants p JOIN users u ON u.id = p.user_id
             WHERE p.chat_id = known.chat_id AND p.user_id = known.preferred AND p.user_id <> $1
                 AND u.deactivated_at IS NULL
         ), (
             SELECT p.user_id FROM chat_participants p JOIN users u ON u.id = p.user_id
             WHERE p.chat_id = known.chat_id AND p.user_id <> $1 AND u.deactivated_at IS NULL
             ORDER BY CASE p.role WHEN 'owner' THEN 0 WHEN 'admin' THEN 1 WHEN 'member' THEN 2 ELSE 3 END, p.user_id
             LIMIT 1
         )) END AS heir FROM (
             SELECT chat_id, owns, preferred, EXISTS (
                 SELECT 1 FROM chat_participants p JOIN users u ON u.id = p.user_id
                 WHERE p.chat_id = given.chat_id AND p.user_id <> $1 AND u.deactivated_at IS NULL
             ) AS is_any, CASE WHEN owns = 1 THEN EXISTS (
                 SELECT 1 FROM chat_participants p JOIN users u ON u.id = p.user_id
                 WHERE p.chat_id = given.chat_id AND p.user_id <> $1 AND p.role = 'owner'
                     AND u.deactivated_at IS NULL
             ) ELSE FALSE END AS has_owner FROM given
         ) AS known",
    );
    let rows: Vec<Row> = company.bind::<BigInt, _>(leaving).load(db)?;
    let company = |row: Row| {
        let company = Company { is_any: row.is_any, has_owner: row.has_owner, heir: row.heir };
        (row.chat_id, company)
    };
    Ok(rows.into_iter().map(company).collect())
}

/// Makes a participant of each chat an owner.
pub fn set_owners(db: &mut Db, owners: &[(ChatId, UserId)]) -> QueryResult<()> {
    given(
        "chat_id, user_id",
        owners.iter().map(|(chat, user)| [chat.0, user.0]),
        "UPDATE chat_participants SET role = 'owner' FROM given
         WHERE chat_participants.chat_id = given.chat_id AND chat_participants.user_id = given.user_id",
    )
    .execute(db)
    .map(drop)
}
