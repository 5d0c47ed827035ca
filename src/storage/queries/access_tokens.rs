//! Personal access tokens.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use crate::domain::access::AccessToken;
use crate::domain::ids::{AccessTokenId, UserId};
use crate::storage::rows::access_token::{AccessTokenRow, NewAccessTokenRow};
use crate::storage::schema::{access_tokens, users};

type Db = SqliteConnection;

pub fn insert(db: &mut Db, row: &NewAccessTokenRow<'_>) -> QueryResult<(AccessToken, [u8; 32])> {
    let row: AccessTokenRow = diesel::insert_into(access_tokens::table)
        .values(row)
        .returning(AccessTokenRow::as_returning())
        .get_result(db)?;
    row.into_parts()
}

/// Returns a token that is not revoked, of an active user. The caller checks whether it has
/// expired.
pub fn live(db: &mut Db, id: AccessTokenId) -> QueryResult<Option<AccessToken>> {
    let row: Option<AccessTokenRow> = access_tokens::table
        .inner_join(users::table)
        .filter(access_tokens::id.eq(id))
        .filter(access_tokens::revoked_at.is_null())
        .filter(users::deactivated_at.is_null())
        .select(AccessTokenRow::as_select())
        .first(db)
        .optional()?;
    row.map(|row| row.into_parts().map(|(token, _)| token)).transpose()
}

pub fn all_live(db: &mut Db) -> QueryResult<Vec<(AccessToken, [u8; 32])>> {
    let rows: Vec<AccessTokenRow> = access_tokens::table
        .filter(access_tokens::revoked_at.is_null())
        .select(AccessTokenRow::as_select())
        .load(db)?;
    rows.into_iter().map(AccessTokenRow::into_parts).collect()
}

pub fn count_of(db: &mut Db, user: UserId) -> QueryResult<i64> {
    access_tokens::table
        .filter(access_tokens::user_id.eq(user))
        .filter(access_tokens::revoked_at.is_null())
        .count()
        .get_result(db)
}

pub fn revoke(db: &mut Db, id: AccessTokenId, now: i64) -> QueryResult<()> {
    diesel::update(access_tokens::table.find(id)).set(access_tokens::revoked_at.eq(now)).execute(db).map(drop)
}

/// Returns a token that is not revoked, even of a deactivated user.
pub fn unrevoked(db: &mut Db, id: AccessTokenId) -> QueryResult<Option<AccessToken>> {
    let row: Option<AccessTokenRow> = access_tokens::table
        .find(id)
        .filter(access_tokens::revoked_at.is_null())
        .select(AccessTokenRow::as_select())
        .first(db)
        .optional()?;
    row.map(|row| row.into_parts().map(|(token, _)| token)).transpose()
}

/// Returns the ids of a user's tokens that are not revoked and were created at `since` or later, in
/// ascending order.
pub fn unrevoked_of(db: &mut Db, user: UserId, since: i64) -> QueryResult<Vec<AccessTokenId>> {
    access_tokens::table
        .filter(access_tokens::user_id.eq(user))
        .filter(access_tokens::revoked_at.is_null())
        .filter(access_tokens::created_at.ge(since))
        .order(access_tokens::id)
        .select(access_tokens::id)
        .load(db)
}

/// Returns tokens of active users that expire after `now` and until `until`, and whose owners are
/// not warned yet. Tokens with a lifetime of at most `until - now` are left out.
pub fn to_warn(db: &mut Db, now: i64, until: i64, limit: i64) -> QueryResult<Vec<AccessToken>> {
    let rows: Vec<AccessTokenRow> = access_tokens::table
        .inner_join(users::table)
        .filter(users::deactivated_at.is_null())
        .filter(access_tokens::revoked_at.is_null())
        .filter(access_tokens::warned_at.is_null())
        .filter(access_tokens::expires_at.gt(now))
        .filter(access_tokens::expires_at.le(until))
        .filter((access_tokens::expires_at - access_tokens::created_at.nullable()).gt(until - now))
        .order(access_tokens::id)
        .limit(limit)
        .select(AccessTokenRow::as_select())
        .load(db)?;
    rows.into_iter().map(|row| row.into_parts().map(|(token, _)| token)).collect()
}

pub fn set_warned(db: &mut Db, id: AccessTokenId, now: i64) -> QueryResult<()> {
    diesel::update(access_tokens::table.find(id)).set(access_tokens::warned_at.eq(now)).execute(db).map(drop)
}

/// Records the use of a token that is not revoked. Returns whether such a token exists.
pub fn set_used(db: &mut Db, id: AccessTokenId, at: i64) -> QueryResult<bool> {
    let live = access_tokens::table.find(id).filter(access_tokens::revoked_at.is_null());
    Ok(diesel::update(live).set(access_tokens::last_used_at.eq(at)).execute(db)? > 0)
}

/// Returns tokens that expired at `now` or before, to be revoked.
pub fn expired(db: &mut Db, now: i64, limit: i64) -> QueryResult<Vec<AccessTokenId>> {
    access_tokens::table
        .filter(access_tokens::revoked_at.is_null())
        .filter(access_tokens::expires_at.le(now))
        .limit(limit)
        .select(access_tokens::id)
        .load(db)
}
