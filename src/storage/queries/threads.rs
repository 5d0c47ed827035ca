//! Queries of thread followers, and of the threads that a user follows.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::SqliteConnection;

use crate::core::saturate;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::thread::{FollowedThread, LastReply};
use crate::domain::timestamp::Timestamp;
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

/// Maximum number of followed threads that one request reads; the threads that began last.
const FOLLOWED_READ_MAX: i64 = 5_000;
/// Maximum number of replies of one thread that are read, the newest first.
const REPLIES_READ_MAX: i64 = 100;
/// Length of an excerpt, in characters.
const EXCERPT_CHARS: i64 = 200;

#[derive(QueryableByName)]
struct Followed {
    #[diesel(sql_type = BigInt)]
    thread_id: MessageId,
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
}

#[derive(QueryableByName)]
struct Reply {
    #[diesel(sql_type = BigInt)]
    id: MessageId,
    #[diesel(sql_type = BigInt)]
    seq: Seq,
    #[diesel(sql_type = BigInt)]
    sender_id: UserId,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

#[derive(QueryableByName)]
struct First {
    #[diesel(sql_type = BigInt)]
    seq: Seq,
    #[diesel(sql_type = BigInt)]
    sender_id: UserId,
    #[diesel(sql_type = Text)]
    excerpt: String,
}

/// The threads of a list.
#[derive(Debug, Clone)]
pub struct ThreadRange {
    /// The chats whose threads are listed, with the user's read cursors.
    pub cursors: HashMap<ChatId, Seq>,
    /// Only threads with replies above the cursor.
    pub unread: bool,
    /// Only threads whose newest reply has a smaller id.
    pub before: MessageId,
}

/// Returns threads that a user follows, by their newest reply of another user, newest first. A
/// thread without such a reply among its newest replies is left out.
pub fn followed(
    db: &mut Db,
    user: UserId,
    range: &ThreadRange,
    limit: usize,
) -> QueryResult<Vec<FollowedThread>> {
    let threads: Vec<Followed> = diesel::sql_query(
        "SELECT f.thread_id, m.chat_id FROM thread_followers f JOIN messages m ON m.id = f.thread_id
         WHERE f.user_id = ? AND NOT f.muted ORDER BY f.thread_id DESC LIMIT ?",
    )
    .bind::<BigInt, _>(user)
    .bind::<BigInt, _>(FOLLOWED_READ_MAX)
    .load(db)?;
    let mut found = Vec::new();
    for Followed { thread_id, chat_id } in threads {
        let Some(read_seq) = range.cursors.get(&chat_id).copied() else { continue };
        let above = if range.unread { read_seq } else { 0 };
        let newest = replies_of_others(db, thread_id, user, above, 1)?.pop();
        if let Some(newest) = newest.filter(|newest| newest.id < range.before) {
            found.push((newest, thread_id, chat_id, read_seq));
        }
    }
    found.sort_unstable_by_key(|(newest, ..)| std::cmp::Reverse(newest.id));
    found.truncate(limit);
    let mut listed = Vec::with_capacity(found.len());
    for (newest, thread_id, chat_id, read_seq) in found {
        let Some(first) = first_of(db, thread_id)? else { continue };
        let unread = replies_of_others(db, thread_id, user, read_seq, REPLIES_READ_MAX)?;
        listed.push(FollowedThread {
            chat_id,
            thread_id,
            seq: first.seq,
            sender_id: first.sender_id,
            excerpt: first.excerpt,
            unread_count: saturate::to_i64(unread.len()),
            last_reply: LastReply {
                message_id: newest.id,
                seq: newest.seq,
                sender_id: newest.sender_id,
                created_at: Timestamp(newest.created_at),
            },
        });
    }
    Ok(listed)
}

/// Returns replies above a seq that are not deleted and not of `reader`, newest first.
fn replies_of_others(
    db: &mut Db,
    thread: MessageId,
    reader: UserId,
    above: Seq,
    limit: i64,
) -> QueryResult<Vec<Reply>> {
    diesel::sql_query(
        "SELECT id, seq, sender_id, created_at FROM (
             SELECT id, seq, sender_id, created_at, deleted_at FROM messages
             WHERE thread_id = ? AND seq > ? ORDER BY seq DESC LIMIT ?
         ) WHERE sender_id <> ? AND deleted_at IS NULL LIMIT ?",
    )
    .bind::<BigInt, _>(thread)
    .bind::<BigInt, _>(above)
    .bind::<BigInt, _>(REPLIES_READ_MAX)
    .bind::<BigInt, _>(reader)
    .bind::<BigInt, _>(limit)
    .load(db)
}

fn first_of(db: &mut Db, thread: MessageId) -> QueryResult<Option<First>> {
    diesel::sql_query("SELECT seq, sender_id, substr(content, 1, ?) AS excerpt FROM messages WHERE id = ?")
        .bind::<BigInt, _>(EXCERPT_CHARS)
        .bind::<BigInt, _>(thread)
        .get_result(db)
        .optional()
}
