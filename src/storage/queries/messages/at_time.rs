//! The position of a chat at a time.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::Db;
use super::last_id;
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::timestamp::Timestamp;

#[derive(QueryableByName)]
struct CreatedAt {
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

/// Returns the first event at or after `at` among those with `after < seq <= last`; `last` if there
/// is none.
///
/// This is a binary search of at most 63 reads. A clock that was set back leaves times that are not
/// sorted. The answer is then an event at or after `at` whose predecessor is before `at`, of
/// several such places any.
pub fn first_at(db: &mut Db, chat: ChatId, after: Seq, last: Seq, at: Timestamp) -> QueryResult<Seq> {
    let (mut low, mut high) = (after.saturating_add(1), last);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<CreatedAt> = diesel::sql_query(
            "SELECT created_at FROM messages WHERE chat_id = $1 AND seq = $2
             UNION ALL SELECT created_at FROM chat_events WHERE chat_id = $1 AND seq = $2 LIMIT 1",
        )
        .bind::<BigInt, _>(chat)
        .bind::<BigInt, _>(middle)
        .get_result(db)
        .optional()?;
        // An event that was trimmed meanwhile is before every other.
        if found.is_some_and(|event| event.created_at >= at.0) { high = middle } else { low = middle + 1 }
    }
    Ok(high)
}

#[derive(QueryableByName)]
struct SentAt {
    #[diesel(sql_type = BigInt)]
    id: MessageId,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

/// Returns the id from which on messages of all chats were sent at or after a time.
///
/// A binary search, as in [`first_at`]. If the clock was set back, it is any of several such ids.
pub fn first_id_at(db: &mut Db, at: Timestamp) -> QueryResult<MessageId> {
    let (mut low, mut high) = (1, last_id(db)?.0.saturating_add(1));
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<SentAt> =
            diesel::sql_query("SELECT id, created_at FROM messages WHERE id >= $1 ORDER BY id LIMIT 1")
                .bind::<BigInt, _>(middle)
                .get_result(db)
                .optional()?;
        match found {
            Some(message) if message.created_at < at.0 => low = message.id.0.saturating_add(1),
            // Ids of trimmed messages belong to the message that follows them.
            Some(_) | None => high = middle,
        }
    }
    Ok(MessageId(high))
}
