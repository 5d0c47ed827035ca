//! Queries of thread followers, and of the threads that a user follows.

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Db;
use crate::core::saturate;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::thread::{FollowedThread, LastReply, ThreadPage, ThreadPlace};
use crate::domain::timestamp::Timestamp;
use crate::storage::rows::thread::ThreadRange;
use crate::storage::schema::{messages, thread_followers};

/// Makes users follow a thread, except those who follow it or have muted it.
pub fn join(db: &mut Db, thread: MessageId, users: &[UserId]) -> QueryResult<()> {
    let row = |user: &UserId| (thread_followers::thread_id.eq(thread), thread_followers::user_id.eq(*user));
    let rows: Vec<_> = users.iter().map(row).collect();
    diesel::insert_into(thread_followers::table).values(&rows).on_conflict_do_nothing().execute(db).map(drop)
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
    diesel::insert_into(thread_followers::table)
        .values(row)
        .on_conflict((thread_followers::thread_id, thread_followers::user_id))
        .do_update()
        .set(thread_followers::muted.eq(!follows))
        .execute(db)
        .map(drop)
}

/// Maximum number of rows that a request reads to find the threads of a page: an index entry and a
/// message for each thread, and index entries of its replies. 10,000 threads whose newest reply is
/// of another user fit.
pub(in crate::storage::queries) const ROWS_READ_MAX: usize = 30_000;
/// Number of threads that are read at once.
const CHUNK_THREADS: i64 = 500;
/// Maximum number of replies of one thread that are counted, the newest first.
const REPLIES_COUNTED_MAX: usize = 100;
/// Maximum number of index entries of one thread that are read, the newest first. Deleted replies
/// have entries too.
pub(in crate::storage::queries) const ENTRIES_READ_MAX: i64 = 1_000;
/// Length of an excerpt, in characters.
const EXCERPT_CHARS: i64 = 200;

#[derive(QueryableByName)]
struct Followed {
    #[diesel(sql_type = BigInt)]
    thread_id: MessageId,
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
}

/// A reply, as the index has it.
#[derive(Queryable)]
struct Reply {
    id: MessageId,
    seq: Seq,
    sender_id: UserId,
    deleted_at: Option<i64>,
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

/// A thread that belongs to the list.
struct Found {
    newest: Reply,
    thread_id: MessageId,
    chat_id: ChatId,
    read_seq: Seq,
}

/// Returns threads that a user follows, by their newest reply of another user, newest first. A
/// thread without such a reply among its newest replies is left out.
pub fn followed(db: &mut Db, user: UserId, range: &ThreadRange, limit: usize) -> QueryResult<ThreadPage> {
    followed_within(db, user, range, limit, ROWS_READ_MAX)
}

pub(in crate::storage::queries) fn followed_within(
    db: &mut Db,
    user: UserId,
    range: &ThreadRange,
    limit: usize,
    rows_max: usize,
) -> QueryResult<ThreadPage> {
    let place = range.place;
    let (mut found, window_end) = window(db, user, range, rows_max)?;
    found.sort_unstable_by_key(|thread| std::cmp::Reverse(thread.newest.id));
    let has_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().filter(|_| has_more).map(|thread| thread.newest.id);
    let next = match last {
        Some(before) => Some(ThreadPlace { before, top: place.top, end: window_end }),
        None => (window_end > MessageId(0)).then(|| ThreadPlace::window(window_end)),
    };
    let mut items = Vec::with_capacity(found.len());
    for Found { newest, thread_id, chat_id, read_seq } in found {
        let Some(first) = first_of(db, thread_id)? else { continue };
        let unread = count_of_others(db, thread_id, read_seq, user)?;
        let created_at = messages::table.find(newest.id).select(messages::created_at).first(db)?;
        items.push(FollowedThread {
            chat_id,
            thread_id,
            seq: first.seq,
            sender_id: first.sender_id,
            excerpt: first.excerpt,
            unread_count: saturate::to_i64(unread),
            last_reply: LastReply {
                message_id: newest.id,
                seq: newest.seq,
                sender_id: newest.sender_id,
                created_at: Timestamp(created_at),
            },
        });
    }
    Ok(ThreadPage { items, next })
}

/// Returns the threads of the window, and the id at which the window ends; 0: it is the last one.
fn window(
    db: &mut Db,
    user: UserId,
    range: &ThreadRange,
    rows_max: usize,
) -> QueryResult<(Vec<Found>, MessageId)> {
    let ThreadPlace { before, top, end } = range.place;
    let (mut found, mut below, mut rows) = (Vec::new(), top, 0_usize);
    loop {
        let threads = chunk(db, user, below, end)?;
        if threads.is_empty() {
            return Ok((found, end));
        }
        for Followed { thread_id, chat_id } in threads {
            if rows >= rows_max {
                return Ok((found, below));
            }
            below = thread_id;
            rows = rows.saturating_add(2);
            let Some(read_seq) = range.cursors.get(&chat_id).copied() else { continue };
            let (newest, read) = newest_of_others(db, thread_id, user)?;
            rows = rows.saturating_add(read);
            let is_listed = |newest: &Reply| newest.id < before && (!range.unread || newest.seq > read_seq);
            found.extend(newest.filter(is_listed).map(|newest| Found {
                newest,
                thread_id,
                chat_id,
                read_seq,
            }));
        }
    }
}

/// Returns the next followed threads from `end` to below `top`, those that began last first.
fn chunk(db: &mut Db, user: UserId, top: MessageId, end: MessageId) -> QueryResult<Vec<Followed>> {
    diesel::sql_query(
        "SELECT f.thread_id, m.chat_id FROM thread_followers f JOIN messages m ON m.id = f.thread_id
         WHERE f.user_id = ? AND NOT f.muted AND f.thread_id < ? AND f.thread_id >= ?
         ORDER BY f.thread_id DESC LIMIT ?",
    )
    .bind::<BigInt, _>(user)
    .bind::<BigInt, _>(top)
    .bind::<BigInt, _>(end)
    .bind::<BigInt, _>(CHUNK_THREADS)
    .load(db)
}

/// Selects the newest replies above a seq, deleted ones too.
#[diesel::dsl::auto_type(no_type_alias)]
pub(in crate::storage::queries) fn newest_replies(thread: MessageId, above: Seq) -> _ {
    let limit: i64 = ENTRIES_READ_MAX;
    messages::table
        .filter(messages::thread_id.eq(thread))
        .filter(messages::seq.gt(above))
        .order(messages::seq.desc())
        .limit(limit)
        .select((messages::id, messages::seq, messages::sender_id, messages::deleted_at))
}

/// Counts the replies above a seq that are not deleted and not of `reader`, among the newest.
fn count_of_others(db: &mut Db, thread: MessageId, above: Seq, reader: UserId) -> QueryResult<usize> {
    let (mut counted, mut of_others) = (0_usize, 0_usize);
    for reply in newest_replies(thread, above).load_iter::<Reply, DefaultLoadingMode>(db)? {
        let reply = reply?;
        if reply.deleted_at.is_some() {
            continue;
        }
        counted = counted.saturating_add(1);
        of_others = of_others.saturating_add(usize::from(reply.sender_id != reader));
        if counted == REPLIES_COUNTED_MAX {
            break;
        }
    }
    Ok(of_others)
}

/// Returns the newest reply that is not deleted and not of `reader`, and how many index entries
/// were read to find it.
fn newest_of_others(db: &mut Db, thread: MessageId, reader: UserId) -> QueryResult<(Option<Reply>, usize)> {
    let mut read = 0_usize;
    for reply in newest_replies(thread, 0).load_iter::<Reply, DefaultLoadingMode>(db)? {
        let reply = reply?;
        read = read.saturating_add(1);
        if reply.deleted_at.is_none() && reply.sender_id != reader {
            return Ok((Some(reply), read));
        }
    }
    Ok((None, read))
}

fn first_of(db: &mut Db, thread: MessageId) -> QueryResult<Option<First>> {
    diesel::sql_query("SELECT seq, sender_id, substr(content, 1, ?) AS excerpt FROM messages WHERE id = ?")
        .bind::<BigInt, _>(EXCERPT_CHARS)
        .bind::<BigInt, _>(thread)
        .get_result(db)
        .optional()
}
