//! Personal access tokens.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Db;
use super::given::given;
use crate::domain::access::AccessToken;
use crate::domain::ids::{AccessTokenId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::storage::rows::access_token::{AccessTokenRow, NewAccessTokenRow};
use crate::storage::schema::{access_tokens, users};

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

pub fn revoke(db: &mut Db, ids: &[AccessTokenId], now: i64) -> QueryResult<()> {
    diesel::update(access_tokens::table.filter(access_tokens::id.eq_any(ids)))
        .set(access_tokens::revoked_at.eq(now))
        .execute(db)
        .map(drop)
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

pub fn set_warned(db: &mut Db, ids: &[AccessTokenId], now: i64) -> QueryResult<()> {
    diesel::update(access_tokens::table.filter(access_tokens::id.eq_any(ids)))
        .set(access_tokens::warned_at.eq(now))
        .execute(db)
        .map(drop)
}

#[derive(QueryableByName)]
struct Used {
    #[diesel(sql_type = BigInt)]
    id: AccessTokenId,
}

/// Records the uses of tokens that are not revoked. Returns the ids of these.
pub fn set_used(db: &mut Db, uses: &[(AccessTokenId, Timestamp)]) -> QueryResult<HashSet<AccessTokenId>> {
    if uses.is_empty() {
        return Ok(HashSet::new());
    }
    let live = given(
        "token_id, used_at",
        uses.iter().map(|(id, at)| [id.0, at.0]),
        "UPDATE access_tokens SET last_used_at = given.used_at FROM given
         WHERE access_tokens.id = given.token_id AND access_tokens.revoked_at IS NULL
         RETURNING access_tokens.id AS id",
    );
    let live: Vec<Used> = live.load(db)?;
    Ok(live.into_iter().map(|used| used.id).collect())
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
