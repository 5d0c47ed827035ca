//! Queries of thread followers.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use crate::domain::ids::{MessageId, UserId};
use crate::storage::schema::thread_followers;

type Db = SqliteConnection;

/// Makes a user follow a thread, unless the user follows it or has muted it.
pub fn join(db: &mut Db, thread: MessageId, user: UserId) -> QueryResult<()> {
    let row = (thread_followers::thread_id.eq(thread), thread_followers::user_id.eq(user));
    diesel::insert_into(thread_followers::table).values(row).on_conflict_do_nothing().execute(db).map(drop)
}

/// Returns whether a user follows a thread (`true`) or has muted it (`false`); `None`: neither.
pub fn follows(db: &mut Db, thread: MessageId, user: UserId) -> QueryResult<Option<bool>> {
    let muted: Option<bool> =
        thread_followers::table.find((thread, user)).select(thread_followers::muted).first(db).optional()?;
    Ok(muted.map(|muted| !muted))
}

pub fn set_follows(db: &mut Db, thread: MessageId, user: UserId, follows: bool) -> QueryResult<()> {
    let row = (
        thread_followers::thread_id.eq(thread),
        thread_followers::user_id.eq(user),
        thread_followers::muted.eq(!follows),
    );
    diesel::replace_into(thread_followers::table).values(row).execute(db).map(drop)
}
