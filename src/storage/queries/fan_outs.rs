//! Notifications that are left to write or to remove.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use crate::storage::rows::fan_out::{FanOut, FanOutRow, NewFanOutRow};
use crate::storage::schema::fan_outs;

type Db = SqliteConnection;

pub fn insert(db: &mut Db, row: &NewFanOutRow<'_>) -> QueryResult<()> {
    diesel::insert_into(fan_outs::table).values(row).execute(db).map(drop)
}

/// The one that had the fewest turns, behind `skipped` others.
pub fn next(db: &mut Db, skipped: i64) -> QueryResult<Option<FanOut>> {
    let row: Option<FanOutRow> = fan_outs::table
        .order((fan_outs::slices, fan_outs::id))
        .offset(skipped)
        .select(FanOutRow::as_select())
        .first(db)
        .optional()?;
    row.map(FanOut::try_from).transpose()
}

/// How many wait of one user, counted up to `max`.
pub fn count_of(db: &mut Db, user: i64, max: i64) -> QueryResult<i64> {
    let own = fan_outs::table.filter(fan_outs::user_id.eq(user)).select(fan_outs::id).limit(max);
    Ok(i64::try_from(own.load::<i64>(db)?.len()).unwrap_or(i64::MAX))
}

/// It had a turn and is so far.
pub fn set_position(db: &mut Db, fan_out: &FanOut) -> QueryResult<()> {
    diesel::update(fan_outs::table.find(fan_out.id))
        .set((
            fan_outs::kind.eq(fan_out.kind.as_str()),
            fan_outs::position.eq(fan_out.position),
            fan_outs::members.eq(fan_out.members),
            fan_outs::slices.eq(fan_out.slices + 1),
        ))
        .execute(db)
        .map(drop)
}

pub fn delete(db: &mut Db, id: i64) -> QueryResult<()> {
    diesel::delete(fan_outs::table.find(id)).execute(db).map(drop)
}
