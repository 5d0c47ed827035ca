//! Owners of chats. Deactivated users do not count as owners.

use super::super::Db;
use crate::storage::rows::chat::Company;
use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable};

use super::{Found, given};
use crate::domain::ids::{ChatId, UserId};

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

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
    #[diesel(sql_type = Bool)]
    has_owner: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    heir: Option<UserId>,
}

/// Returns the other active participants of chats that `leaving` leaves, with the preferred heir of
/// each chat.
pub fn company_of(
    db: &mut Db,
    leaving: UserId,
    chats: &[(ChatId, Option<UserId>)],
) -> QueryResult<HashMap<ChatId, Company>> {
    if chats.is_empty() {
        return Ok(HashMap::new());
    }
    let company = given(
        "chat_id, preferred",
        chats.iter().map(|(chat, preferred)| [chat.0, preferred.map_or(0, |user| user.0)]),
        "SELECT chat_id, EXISTS (
             SELECT 1 FROM chat_participants p JOIN users u ON u.id = p.user_id
             WHERE p.chat_id = given.chat_id AND p.user_id <> ? AND p.role = 'owner' AND u.deactivated_at IS NULL
         ) AS has_owner, (
             SELECT p.user_id FROM chat_participants p JOIN users u ON u.id = p.user_id
             WHERE p.chat_id = given.chat_id AND p.user_id <> ? AND u.deactivated_at IS NULL
             ORDER BY p.user_id = given.preferred DESC,
                 CASE p.role WHEN 'owner' THEN 0 WHEN 'admin' THEN 1 WHEN 'member' THEN 2 ELSE 3 END, p.user_id
             LIMIT 1
         ) AS heir FROM given",
    );
    let rows: Vec<Row> = company.bind::<BigInt, _>(leaving).bind::<BigInt, _>(leaving).load(db)?;
    let company = |row: Row| {
        let company = Company { is_any: row.heir.is_some(), has_owner: row.has_owner, heir: row.heir };
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
