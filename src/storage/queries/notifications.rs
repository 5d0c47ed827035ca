//! Queries of notifications.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::BigInt;

use super::given::given;
use super::{Backend, Db};
use crate::domain::ids::{ChatId, MessageId, NotificationId, Seq, UserId};
use crate::domain::notification::Notification;
use crate::storage::rows::notification::{NewNotificationRow, NotificationRow};
use crate::storage::schema::notifications;

/// Inserts notifications, except those whose user was notified of the same cause before. Returns
/// them by ascending id, which is the order of `rows`.
pub fn insert(db: &mut Db, rows: &[NewNotificationRow<'_>]) -> QueryResult<Vec<Notification>> {
    let returned = NotificationRow::as_returning;
    let mut inserted: Vec<NotificationRow> = match rows {
        // This statement is prepared once.
        [row] => diesel::insert_into(notifications::table)
            .values(row)
            .on_conflict_do_nothing()
            .returning(returned())
            .load(db)?,
        _ => diesel::insert_into(notifications::table)
            .values(rows)
            .on_conflict_do_nothing()
            .returning(returned())
            .load(db)?,
    };
    inserted.sort_unstable_by_key(|row| row.id);
    inserted.into_iter().map(Notification::try_from).collect()
}

/// Of each user with more than `max` notifications, removes all but `keep`. Read notifications are
/// removed first, then those that are not mentions, and among equals the oldest.
pub fn evict(
    db: &mut Db,
    users: &[UserId],
    keep: i64,
    max: i64,
) -> QueryResult<Vec<(UserId, NotificationId)>> {
    let mut gone: Vec<(UserId, NotificationId)> = Evict { users, keep, max }.load(db)?;
    gone.sort_unstable();
    Ok(gone)
}

/// The statement for one user is prepared once.
struct Evict<'a> {
    users: &'a [UserId],
    keep: i64,
    max: i64,
}

impl QueryId for Evict<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Evict<'_> {
    type SqlType = (BigInt, BigInt);
}

impl QueryFragment<Backend> for Evict<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        if self.users.len() > 1 {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(
            "DELETE FROM notifications WHERE id IN (
                 SELECT id FROM (
                     SELECT id, row_number() OVER (
                         PARTITION BY user_id
                         ORDER BY read_at IS NULL DESC, read_at IS NULL AND kind = 'mention' DESC, id DESC
                     ) AS place
                     FROM notifications WHERE user_id IN (
                         SELECT user_id FROM notifications WHERE user_id IN (",
        );
        for (n, user) in self.users.iter().enumerate() {
            out.push_sql(if n == 0 { "" } else { ", " });
            out.push_bind_param::<BigInt, _>(user)?;
        }
        out.push_sql(") GROUP BY user_id HAVING count(*) > ");
        out.push_bind_param::<BigInt, _>(&self.max)?;
        out.push_sql(")) AS ranked WHERE place > ");
        out.push_bind_param::<BigInt, _>(&self.keep)?;
        out.push_sql(") RETURNING user_id, id");
        Ok(())
    }
}

impl RunQueryDsl<Db> for Evict<'_> {}

/// Removes at most `limit` notifications of removed events in a range of seqs of a chat. The
/// notification that a user was added stays while the chat exists.
pub fn retract(
    db: &mut Db,
    chat: ChatId,
    (from, to): (Seq, Seq),
    limit: i64,
) -> QueryResult<Vec<(UserId, NotificationId)>> {
    let gone: Vec<Retracted> = diesel::sql_query(
        "DELETE FROM notifications WHERE id IN (
             SELECT id FROM notifications WHERE seq IS NOT NULL AND chat_id = ? AND seq BETWEEN ? AND ?
                 AND (kind <> 'added' OR EXISTS (SELECT 1 FROM chats WHERE chats.id = chat_id AND deleted_at IS NOT NULL))
             ORDER BY seq, user_id LIMIT ?
         ) RETURNING user_id, id",
    )
    .bind::<BigInt, _>(chat)
    .bind::<BigInt, _>(from)
    .bind::<BigInt, _>(to)
    .bind::<BigInt, _>(limit)
    .load(db)?;
    Ok(gone.into_iter().map(|row| (row.user_id, row.id)).collect())
}

/// Returns those of the ranges of seqs of a chat that more than `count` notifications belong to.
pub fn ranges_above(
    db: &mut Db,
    chat: ChatId,
    ranges: &[(Seq, Seq)],
    count: i64,
) -> QueryResult<Vec<(Seq, Seq)>> {
    let beyond = given(
        "first_seq, last_seq",
        ranges.iter().map(|(first, last)| [*first, *last]),
        "SELECT first_seq, last_seq FROM given WHERE (
             SELECT n.id FROM notifications n
             WHERE n.seq IS NOT NULL AND n.chat_id = ? AND n.seq BETWEEN given.first_seq AND given.last_seq
             ORDER BY n.seq, n.user_id LIMIT 1 OFFSET ?
         ) IS NOT NULL",
    );
    let found: Vec<Range> = beyond.bind::<BigInt, _>(chat).bind::<BigInt, _>(count).load(db)?;
    Ok(found.into_iter().map(|range| (range.first_seq, range.last_seq)).collect())
}

#[derive(QueryableByName)]
struct Range {
    #[diesel(sql_type = BigInt)]
    first_seq: Seq,
    #[diesel(sql_type = BigInt)]
    last_seq: Seq,
}

/// Removes the notifications of removed events in ranges of seqs of a chat, like [`retract`], by
/// ascending id. Returns the seq of each.
pub fn retract_ranges(
    db: &mut Db,
    chat: ChatId,
    ranges: &[(Seq, Seq)],
) -> QueryResult<Vec<(Seq, UserId, NotificationId)>> {
    let gone = given(
        "first_seq, last_seq",
        ranges.iter().map(|(first, last)| [*first, *last]),
        "DELETE FROM notifications WHERE id IN (
             SELECT n.id FROM given CROSS JOIN notifications n
             WHERE n.seq IS NOT NULL AND n.chat_id = ? AND n.seq BETWEEN given.first_seq AND given.last_seq
                 AND (n.kind <> 'added' OR EXISTS (
                     SELECT 1 FROM chats WHERE chats.id = n.chat_id AND chats.deleted_at IS NOT NULL))
         ) RETURNING seq, user_id, id",
    );
    let mut gone: Vec<Gone> = gone.bind::<BigInt, _>(chat).load(db)?;
    gone.sort_unstable_by_key(|row| row.id);
    Ok(gone.into_iter().map(|row| (row.seq, row.user_id, row.id)).collect())
}

#[derive(QueryableByName)]
struct Gone {
    #[diesel(sql_type = BigInt)]
    seq: Seq,
    #[diesel(sql_type = BigInt)]
    user_id: UserId,
    #[diesel(sql_type = BigInt)]
    id: NotificationId,
}

/// Returns those of the chats in which the user has unread notifications up to a seq.
pub fn unread_in(db: &mut Db, user: UserId, chats: &[(ChatId, Seq)]) -> QueryResult<Vec<ChatId>> {
    if let [(chat, seq)] = *chats {
        // This statement is prepared once.
        let unread = notifications::table
            .filter(notifications::user_id.eq(user))
            .filter(notifications::chat_id.eq(chat))
            .filter(notifications::seq.le(seq))
            .filter(notifications::read_at.is_null());
        let any: bool = diesel::select(diesel::dsl::exists(unread)).get_result(db)?;
        return Ok(any.then_some(chat).into_iter().collect());
    }
    let unread = given(
        "chat_id, seq",
        chats.iter().map(|(chat, seq)| [chat.0, *seq]),
        "SELECT chat_id FROM given WHERE EXISTS (
             SELECT 1 FROM notifications n
             WHERE n.user_id = ? AND n.chat_id = given.chat_id AND n.seq <= given.seq AND n.read_at IS NULL)",
    );
    let found: Vec<UnreadChat> = unread.bind::<BigInt, _>(user).load(db)?;
    Ok(found.into_iter().map(|row| row.chat_id).collect())
}

#[derive(QueryableByName)]
struct UnreadChat {
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
}

#[derive(QueryableByName)]
struct ReadChat {
    #[diesel(sql_type = BigInt)]
    chat_id: ChatId,
    #[diesel(sql_type = BigInt)]
    read_seq: Seq,
}

/// Returns chats with unread notifications at or below the user's cursor, with the cursor.
pub fn unread_below_cursors(db: &mut Db, user: UserId, limit: i64) -> QueryResult<Vec<(ChatId, Seq)>> {
    let found: Vec<ReadChat> = diesel::sql_query(
        "SELECT DISTINCT p.chat_id, p.read_seq FROM notifications n
         JOIN chat_participants p ON p.chat_id = n.chat_id AND p.user_id = n.user_id
         WHERE n.user_id = ? AND n.read_at IS NULL AND n.seq <= p.read_seq LIMIT ?",
    )
    .bind::<BigInt, _>(user)
    .bind::<BigInt, _>(limit)
    .load(db)?;
    Ok(found.into_iter().map(|row| (row.chat_id, row.read_seq)).collect())
}

/// Marks the notifications of chats up to a seq as read.
pub fn mark_read_in(db: &mut Db, user: UserId, chats: &[(ChatId, Seq)], now: i64) -> QueryResult<()> {
    if let [(chat, seq)] = *chats {
        // This statement is prepared once.
        let unread = notifications::table
            .filter(notifications::user_id.eq(user))
            .filter(notifications::chat_id.eq(chat))
            .filter(notifications::seq.le(seq))
            .filter(notifications::read_at.is_null());
        return diesel::update(unread).set(notifications::read_at.eq(now)).execute(db).map(drop);
    }
    given(
        "chat_id, seq",
        chats.iter().map(|(chat, seq)| [chat.0, *seq]),
        "UPDATE notifications SET read_at = ? FROM given
         WHERE notifications.user_id = ? AND notifications.chat_id = given.chat_id
             AND notifications.seq <= given.seq AND notifications.read_at IS NULL",
    )
    .bind::<BigInt, _>(now)
    .bind::<BigInt, _>(user)
    .execute(db)
    .map(drop)
}

/// Returns the user's notification of a message, if it still exists.
pub fn of_message(db: &mut Db, user: UserId, message: MessageId) -> QueryResult<Option<Notification>> {
    let row: Option<NotificationRow> = notifications::table
        .filter(notifications::user_id.eq(user))
        .filter(notifications::message_id.eq(message))
        .select(NotificationRow::as_select())
        .first(db)
        .optional()?;
    row.map(Notification::try_from).transpose()
}

/// Returns the user's notifications below `before`, newest first.
pub fn below(
    db: &mut Db,
    user: UserId,
    before: NotificationId,
    unread: bool,
    limit: i64,
) -> QueryResult<Vec<Notification>> {
    let mut query = notifications::table
        .filter(notifications::user_id.eq(user))
        .filter(notifications::id.lt(before))
        .order(notifications::id.desc())
        .limit(limit)
        .select(NotificationRow::as_select())
        .into_boxed();
    if unread {
        query = query.filter(notifications::read_at.is_null());
    }
    query.load(db)?.into_iter().map(Notification::try_from).collect()
}

/// Marks one notification as read, or all. Returns how many were unread.
pub fn mark_read(db: &mut Db, user: UserId, id: Option<NotificationId>, now: i64) -> QueryResult<usize> {
    let unread =
        notifications::table.filter(notifications::user_id.eq(user)).filter(notifications::read_at.is_null());
    match id {
        Some(id) => diesel::update(unread.filter(notifications::id.eq(id)))
            .set(notifications::read_at.eq(now))
            .execute(db),
        None => diesel::update(unread).set(notifications::read_at.eq(now)).execute(db),
    }
}

pub fn exists(db: &mut Db, user: UserId, id: NotificationId) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(notifications::table.find(id).filter(notifications::user_id.eq(user))))
        .get_result(db)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: NotificationId,
}

#[derive(QueryableByName)]
struct Retracted {
    #[diesel(sql_type = BigInt)]
    user_id: UserId,
    #[diesel(sql_type = BigInt)]
    id: NotificationId,
}

/// Returns the newest `limit` notifications of every user, by id; of these the newest `total`.
pub fn all_recent(db: &mut Db, limit: i64, total: i64) -> QueryResult<Vec<Notification>> {
    let mut ids: Vec<Id> = diesel::sql_query(
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY id DESC) AS place \
         FROM notifications) WHERE place <= ? ORDER BY id DESC LIMIT ?",
    )
    .bind::<BigInt, _>(limit)
    .bind::<BigInt, _>(total)
    .load(db)?;
    ids.reverse();
    let mut found = Vec::with_capacity(ids.len());
    // SQLite binds at most 32,766 values in a statement.
    for slice in ids.chunks(10_000) {
        let rows: Vec<NotificationRow> = notifications::table
            .filter(notifications::id.eq_any(slice.iter().map(|row| row.id)))
            .order(notifications::id)
            .select(NotificationRow::as_select())
            .load(db)?;
        for row in rows {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}
