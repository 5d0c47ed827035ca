//! Notifications that are still to be written or removed.

use diesel::prelude::*;

use super::Db;
use crate::core::saturate;
use crate::domain::ids::UserId;
use crate::storage::rows::fan_out::{FanOut, FanOutRow, NewFanOutRow};
use crate::storage::schema::fan_outs;

pub fn insert(db: &mut Db, rows: &[NewFanOutRow<'_>]) -> QueryResult<()> {
    diesel::insert_into(fan_outs::table).values(rows).execute(db).map(drop)
}

/// Returns the row with the fewest slices, of those without a failed attempt.
pub fn next(db: &mut Db) -> QueryResult<Option<FanOut>> {
    let row: Option<FanOutRow> = fan_outs::table
        .filter(fan_outs::attempts.eq(0))
        .order((fan_outs::slices, fan_outs::id))
        .select(FanOutRow::as_select())
        .first(db)
        .optional()?;
    row.map(FanOut::try_from).transpose()
}

pub fn by_id(db: &mut Db, id: i64) -> QueryResult<Option<FanOut>> {
    let row: Option<FanOutRow> =
        fan_outs::table.find(id).select(FanOutRow::as_select()).first(db).optional()?;
    row.map(FanOut::try_from).transpose()
}

/// Returns the id of the row with the fewest attempts and slices. Reads nothing else: the row may
/// be unreadable.
pub fn next_to_attempt(db: &mut Db) -> QueryResult<Option<i64>> {
    let order = (fan_outs::attempts, fan_outs::slices, fan_outs::id);
    fan_outs::table.order(order).select(fan_outs::id).first(db).optional()
}

/// Counts an attempt to process this row alone. Returns the number of attempts, including this one.
pub fn count_attempt(db: &mut Db, id: i64) -> QueryResult<i64> {
    diesel::update(fan_outs::table.find(id))
        .set(fan_outs::attempts.eq(fan_outs::attempts + 1))
        .returning(fan_outs::attempts)
        .get_result(db)
}

/// Returns how many rows of a user are waiting, counted up to `max`.
pub fn count_of(db: &mut Db, user: UserId, max: i64) -> QueryResult<i64> {
    let own = fan_outs::table.filter(fan_outs::user_id.eq(user)).select(fan_outs::id).limit(max);
    Ok(saturate::to_i64(own.load::<i64>(db)?.len()))
}

/// Stores the progress after a successful slice, and resets the attempts.
pub fn set_position(db: &mut Db, fan_out: &FanOut) -> QueryResult<()> {
    diesel::update(fan_outs::table.find(fan_out.id))
        .set((
            fan_outs::kind.eq(fan_out.kind.as_str()),
            fan_outs::position.eq(fan_out.position),
            fan_outs::members.eq(fan_out.members),
            fan_outs::slices.eq(fan_out.slices + 1),
            fan_outs::attempts.eq(0),
        ))
        .execute(db)
        .map(drop)
}

pub fn delete(db: &mut Db, id: i64) -> QueryResult<()> {
    diesel::delete(fan_outs::table.find(id)).execute(db).map(drop)
}
