//! Acquaintances: users who are in common chats for another reason than an addition.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Db;
use crate::domain::ids::UserId;

/// Maximum number of chats that are searched for a common one: the newest chats of the person.
const ACQUAINTANCE_CHATS: i64 = 500;
/// Maximum number of common chats, and of newest messages in each, that are searched for a message
/// of the person.
const ANSWERED_CHATS: i64 = 20;
const ANSWERED_MESSAGES: i64 = 100;

#[derive(QueryableByName)]
struct Person {
    #[diesel(sql_type = BigInt)]
    id: UserId,
}

/// Returns those of `people` who are with `adder` in a chat that shows an acquaintance. It is a
/// chat that not all users can join, into which `adder` did not put the person, or a chat in which
/// the person has written recently.
pub fn acquainted_among(db: &mut Db, adder: UserId, people: &[UserId]) -> QueryResult<HashSet<UserId>> {
    let sql = format!(
        "SELECT person.id FROM users person WHERE person.id IN ({}) AND (EXISTS (
             SELECT 1 FROM (
                 SELECT chat_id FROM chat_participants
                 WHERE user_id = person.id AND (added_by IS NULL OR added_by <> ?)
                 ORDER BY chat_id DESC LIMIT ?
             ) own
             JOIN chat_participants other ON other.chat_id = own.chat_id AND other.user_id = ?
             JOIN chats ON chats.id = own.chat_id
             WHERE chats.audience <> 'joinable'
         ) OR EXISTS (
             SELECT 1 FROM (
                 SELECT own.chat_id FROM chat_participants own
                 JOIN chat_participants other ON other.chat_id = own.chat_id AND other.user_id = ?
                 WHERE own.user_id = person.id AND own.added_by = ?
                 ORDER BY own.chat_id DESC LIMIT ?
             ) common
             WHERE person.id IN (
                 SELECT sender_id FROM messages WHERE messages.chat_id = common.chat_id
                 ORDER BY seq DESC LIMIT ?
             )
         ))",
        vec!["?"; people.len()].join(", ")
    );
    let query = diesel::sql_query(sql).into_boxed();
    let query = people.iter().fold(query, |query, person| query.bind::<BigInt, _>(*person));
    let found: Vec<Person> = query
        .bind::<BigInt, _>(adder)
        .bind::<BigInt, _>(ACQUAINTANCE_CHATS)
        .bind::<BigInt, _>(adder)
        .bind::<BigInt, _>(adder)
        .bind::<BigInt, _>(adder)
        .bind::<BigInt, _>(ANSWERED_CHATS)
        .bind::<BigInt, _>(ANSWERED_MESSAGES)
        .load(db)?;
    Ok(found.into_iter().map(|person| person.id).collect())
}
