//! The position of a chat at a time.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::super::Db;
use crate::domain::ids::{ChatId, Seq};
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
