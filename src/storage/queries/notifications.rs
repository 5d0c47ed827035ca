//! Notifications.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;

use crate::domain::notification::Notification;
use crate::storage::rows::notification::{NewNotificationRow, NotificationRow};
use crate::storage::schema::notifications;

type Db = SqliteConnection;

pub fn insert(db: &mut Db, row: &NewNotificationRow<'_>) -> QueryResult<Notification> {
    let row: NotificationRow = diesel::insert_into(notifications::table)
        .values(row)
        .returning(NotificationRow::as_returning())
        .get_result(db)?;
    row.try_into()
}

/// Forgets all but the newest `keep` notifications of a user; answers the newest of those, if there were any.
pub fn forget_old(db: &mut Db, user: i64, keep: i64) -> QueryResult<Option<i64>> {
    let own = notifications::table.filter(notifications::user_id.eq(user));
    let newest: Option<i64> =
        own.order(notifications::id.desc()).offset(keep).select(notifications::id).first(db).optional()?;
    if let Some(newest) = newest {
        diesel::delete(own.filter(notifications::id.le(newest))).execute(db)?;
    }
    Ok(newest)
}

/// What a user was told of a message, if that is still kept.
pub fn of_message(db: &mut Db, user: i64, message: i64) -> QueryResult<Option<Notification>> {
    let row: Option<NotificationRow> = notifications::table
        .filter(notifications::user_id.eq(user))
        .filter(notifications::message_id.eq(message))
        .select(NotificationRow::as_select())
        .first(db)
        .optional()?;
    row.map(Notification::try_from).transpose()
}

/// One's notifications below `before`, the newest first.
pub fn below(
    db: &mut Db,
    user: i64,
    before: i64,
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

/// Marks one notification read, or all; answers how many were unread.
pub fn mark_read(db: &mut Db, user: i64, id: Option<i64>, now: i64) -> QueryResult<usize> {
    let unread =
        notifications::table.filter(notifications::user_id.eq(user)).filter(notifications::read_at.is_null());
    match id {
        Some(id) => diesel::update(unread.filter(notifications::id.eq(id)))
            .set(notifications::read_at.eq(now))
            .execute(db),
        None => diesel::update(unread).set(notifications::read_at.eq(now)).execute(db),
    }
}

pub fn exists(db: &mut Db, user: i64, id: i64) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(notifications::table.find(id).filter(notifications::user_id.eq(user))))
        .get_result(db)
}

#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// The newest `limit` notifications of every user, by id.
pub fn all_recent(db: &mut Db, limit: i64) -> QueryResult<Vec<Notification>> {
    let ids: Vec<Newest> = diesel::sql_query(
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY id DESC) AS place \
         FROM notifications) WHERE place <= ? ORDER BY id",
    )
    .bind::<BigInt, _>(limit)
    .load(db)?;
    let mut found = Vec::with_capacity(ids.len());
    // SQLite binds 32,766 values at most in one statement.
    for slice in ids.chunks(10_000) {
        let rows: Vec<NotificationRow> = notifications::table
            .filter(notifications::id.eq_any(slice.iter().map(|newest| newest.id)))
            .order(notifications::id)
            .select(NotificationRow::as_select())
            .load(db)?;
        for row in rows {
            found.push(row.try_into()?);
        }
    }
    Ok(found)
}
