//! Acquaintances: users who are in common chats for another reason than an addition.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::BigInt;

use super::super::{Backend, Db};
use crate::domain::ids::UserId;

/// Maximum number of chats that are searched for a common one: the newest chats of the person.
const ACQUAINTANCE_CHATS: i64 = 500;
/// Maximum number of common chats, and of newest messages in each, that are searched for a message
/// of the person.
const ANSWERED_CHATS: i64 = 20;
const ANSWERED_MESSAGES: i64 = 100;

/// Returns those of `people` who are with `adder` in a chat that shows an acquaintance. It is a
/// chat that not all users can join, into which `adder` did not put the person, or a chat in which
/// the person has written recently.
pub fn acquainted_among(db: &mut Db, adder: UserId, people: &[UserId]) -> QueryResult<HashSet<UserId>> {
    let found: Vec<UserId> = AcquaintedAmong { adder, people }.load(db)?;
    Ok(found.into_iter().collect())
}

struct AcquaintedAmong<'a> {
    adder: UserId,
    people: &'a [UserId],
}

impl QueryId for AcquaintedAmong<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for AcquaintedAmong<'_> {
    type SqlType = BigInt;
}

impl QueryFragment<Backend> for AcquaintedAmong<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        out.unsafe_to_cache_prepared();
        out.push_sql("SELECT person.id FROM users person WHERE person.id IN (");
        for (n, person) in self.people.iter().enumerate() {
            out.push_sql(if n == 0 { "" } else { ", " });
            out.push_bind_param::<BigInt, _>(person)?;
        }
        out.push_sql(
            ") AND (EXISTS (
                 SELECT 1 FROM (
                     SELECT chat_id FROM chat_participants
                     WHERE user_id = person.id AND (added_by IS NULL OR added_by <> ",
        );
        out.push_bind_param::<BigInt, _>(&self.adder)?;
        out.push_sql(") ORDER BY chat_id DESC LIMIT ");
        out.push_bind_param::<BigInt, _>(&ACQUAINTANCE_CHATS)?;
        out.push_sql(
            ") AS own
                 JOIN chat_participants other ON other.chat_id = own.chat_id AND other.user_id = ",
        );
        out.push_bind_param::<BigInt, _>(&self.adder)?;
        out.push_sql(
            " JOIN chats ON chats.id = own.chat_id
                 WHERE chats.audience <> 'joinable'
             ) OR EXISTS (
                 SELECT 1 FROM (
                     SELECT own.chat_id FROM chat_participants own
                     JOIN chat_participants other ON other.chat_id = own.chat_id AND other.user_id = ",
        );
        out.push_bind_param::<BigInt, _>(&self.adder)?;
        out.push_sql(" WHERE own.user_id = person.id AND own.added_by = ");
        out.push_bind_param::<BigInt, _>(&self.adder)?;
        out.push_sql(" ORDER BY own.chat_id DESC LIMIT ");
        out.push_bind_param::<BigInt, _>(&ANSWERED_CHATS)?;
        out.push_sql(
            ") AS common
                 WHERE person.id IN (
                     SELECT sender_id FROM messages WHERE messages.chat_id = common.chat_id
                     ORDER BY seq DESC LIMIT ",
        );
        out.push_bind_param::<BigInt, _>(&ANSWERED_MESSAGES)?;
        out.push_sql(")))");
        Ok(())
    }
}

impl RunQueryDsl<Db> for AcquaintedAmong<'_> {}
