//! Queries of notifications.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

use crate::domain::ids::{ChatId, MessageId, NotificationId, Seq, UserId};
use crate::domain::notification::Notification;
use crate::storage::rows::notification::{NewNotificationRow, NotificationRow};
use crate::storage::schema::notifications;

type Db = SqliteConnection;

/// Inserts a notification. Returns `None`, and changes nothing, when the user was notified of this
/// cause before.
pub fn insert(db: &mut Db, row: &NewNotificationRow<'_>) -> QueryResult<Option<Notification>> {
    let row: Option<NotificationRow> = diesel::insert_into(notifications::table)
        .values(row)
        .on_conflict_do_nothing()
        .returning(NotificationRow::as_returning())
        .get_result(db)
        .optional()?;
    row.map(Notification::try_from).transpose()
}

/// Returns whether a user has more than `count` notifications.
pub fn exceed(db: &mut Db, user: UserId, count: i64) -> QueryResult<bool> {
    let own = notifications::table.filter(notifications::user_id.eq(user));
    let beyond: Option<NotificationId> =
        own.order(notifications::id.desc()).offset(count).select(notifications::id).first(db).optional()?;
    Ok(beyond.is_some())
}

/// Removes all but `keep` notifications of a user. Read notifications are removed first, then those
/// that are not mentions, and among equals the oldest.
pub fn evict(db: &mut Db, user: UserId, keep: i64) -> QueryResult<Vec<NotificationId>> {
    let gone: Vec<Id> = diesel::sql_query(
        "DELETE FROM notifications WHERE id IN (
             SELECT id FROM notifications WHERE user_id = ?
             ORDER BY read_at IS NULL DESC, read_at IS NULL AND kind = 'mention' DESC, id DESC LIMIT -1 OFFSET ?
         ) RETURNING id",
    )
    .bind::<BigInt, _>(user)
    .bind::<BigInt, _>(keep)
    .load(db)?;
    Ok(gone.into_iter().map(|row| row.id).collect())
}

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

/// Returns whether more than `count` notifications belong to a range of seqs of a chat.
pub fn exceed_in(db: &mut Db, chat: ChatId, (from, to): (Seq, Seq), count: i64) -> QueryResult<bool> {
    let beyond: Option<NotificationId> = notifications::table
        .filter(notifications::seq.is_not_null())
        .filter(notifications::chat_id.eq(chat))
        .filter(notifications::seq.between(from, to))
        .order((notifications::seq, notifications::user_id))
        .offset(count)
        .select(notifications::id)
        .first(db)
        .optional()?;
    Ok(beyond.is_some())
}

/// Returns whether the user has unread notifications of a chat up to a seq.
pub fn any_unread_in(db: &mut Db, user: UserId, chat: ChatId, seq: Seq) -> QueryResult<bool> {
    let unread = notifications::table
        .filter(notifications::user_id.eq(user))
        .filter(notifications::chat_id.eq(chat))
        .filter(notifications::seq.le(seq))
        .filter(notifications::read_at.is_null());
    diesel::select(diesel::dsl::exists(unread)).get_result(db)
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

/// Marks the notifications of a chat up to a seq as read.
pub fn mark_read_in(db: &mut Db, user: UserId, chat: ChatId, seq: Seq, now: i64) -> QueryResult<()> {
    let unread = notifications::table
        .filter(notifications::user_id.eq(user))
        .filter(notifications::chat_id.eq(chat))
        .filter(notifications::seq.le(seq))
        .filter(notifications::read_at.is_null());
    diesel::update(unread).set(notifications::read_at.eq(now)).execute(db).map(drop)
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
