//! Users, login sessions and refresh tokens.

use std::collections::HashMap;

use diesel::dsl::{exists, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::Db;
use crate::domain::ids::{LoginId, UserId};
use crate::storage::rows::account::{NewUserRow, RefreshTokenRow, UserRow};
use crate::storage::schema::{blocks, former_usernames, refresh_tokens, sessions, users};

pub fn user(db: &mut Db, id: UserId) -> QueryResult<Option<UserRow>> {
    users::table.find(id).select(UserRow::as_select()).first(db).optional()
}

/// Returns those of the users who are active, and whether each of them blocks `other`.
pub fn active_among(db: &mut Db, users: &[UserId], other: UserId) -> QueryResult<HashMap<UserId, bool>> {
    let block = blocks::table.filter(blocks::user_id.eq(users::id)).filter(blocks::blocked_id.eq(other));
    let found: Vec<(UserId, bool)> = users::table
        .filter(users::id.eq_any(users))
        .filter(users::deactivated_at.is_null())
        .select((users::id, exists(block)))
        .load(db)?;
    Ok(found.into_iter().collect())
}

pub fn user_named(db: &mut Db, username: &str) -> QueryResult<Option<UserRow>> {
    users::table.filter(users::username.eq(username)).select(UserRow::as_select()).first(db).optional()
}

pub fn all_users(db: &mut Db) -> QueryResult<Vec<UserRow>> {
    users::table.order(users::id).select(UserRow::as_select()).load(db)
}

/// Returns users above an id whose names begin with `prefix`.
pub fn users_above(db: &mut Db, id: UserId, prefix: &str, limit: i64) -> QueryResult<Vec<UserRow>> {
    // Names are ASCII: no name that begins with the prefix is above this.
    let end = format!("{prefix}\u{7f}");
    users::table
        .filter(users::id.gt(id).and(users::username.ge(prefix)).and(users::username.lt(end)))
        .order(users::id)
        .limit(limit)
        .select(UserRow::as_select())
        .load(db)
}

/// Grants or revokes the administrator role.
pub fn set_admin(db: &mut Db, id: UserId, is_admin: bool) -> QueryResult<UserRow> {
    diesel::update(users::table.find(id))
        .set(users::is_admin.eq(is_admin))
        .returning(UserRow::as_returning())
        .get_result(db)
}

/// Returns the number of active administrators.
pub fn administrators(db: &mut Db) -> QueryResult<i64> {
    users::table.filter(users::is_admin.eq(true).and(users::deactivated_at.is_null())).count().get_result(db)
}

/// Returns the user who has or had this name; the name is not free for others.
pub fn holder_of_username(db: &mut Db, username: &str) -> QueryResult<Option<UserId>> {
    let now = users::table.filter(users::username.eq(username)).select(users::id).first(db).optional()?;
    let formerly = former_usernames::table.find(username).select(former_usernames::user_id);
    now.map_or_else(|| formerly.first(db).optional(), |user| Ok(Some(user)))
}

pub fn former_username_count(db: &mut Db, user: UserId) -> QueryResult<i64> {
    former_usernames::table.filter(former_usernames::user_id.eq(user)).count().get_result(db)
}

/// Returns every former name: (name, user).
pub fn all_former_usernames(db: &mut Db) -> QueryResult<Vec<(String, UserId)>> {
    former_usernames::table.load(db)
}

/// Renames a user and keeps the old name reserved.
pub fn rename_user(db: &mut Db, id: UserId, left: &str, username: &str) -> QueryResult<UserRow> {
    diesel::delete(former_usernames::table.find(username)).execute(db)?;
    diesel::insert_into(former_usernames::table)
        .values((former_usernames::username.eq(left), former_usernames::user_id.eq(id)))
        .execute(db)?;
    diesel::update(users::table.find(id))
        .set(users::username.eq(username))
        .returning(UserRow::as_returning())
        .get_result(db)
}

#[derive(QueryableByName)]
struct Mark {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    mark: i64,
}

/// Returns a number that grows whenever an administrator is created, activated, deactivated or
/// given a password. It never shrinks: administrators are not deleted, and token versions only
/// increase.
pub fn admin_mark(db: &mut Db) -> QueryResult<i64> {
    let sum = "SELECT CAST(COALESCE(SUM(token_version + 1), 0) AS BIGINT) AS mark FROM users WHERE is_admin";
    diesel::sql_query(sum).get_result::<Mark>(db).map(|row| row.mark)
}

/// Returns when an open login began. Refreshing the login does not change that.
pub fn login_began(db: &mut Db, login: LoginId) -> QueryResult<Option<i64>> {
    sessions::table
        .find(login)
        .filter(sessions::ended_at.is_null())
        .select(sessions::created_at)
        .first(db)
        .optional()
}

/// Returns the active administrator with the lowest id.
pub fn first_admin(db: &mut Db) -> QueryResult<Option<UserId>> {
    users::table
        .filter(users::is_admin.eq(true))
        .filter(users::deactivated_at.is_null())
        .order(users::id)
        .select(users::id)
        .first(db)
        .optional()
}

pub fn insert_user(db: &mut Db, row: &NewUserRow<'_>) -> QueryResult<UserRow> {
    diesel::insert_into(users::table).values(row).returning(UserRow::as_returning()).get_result(db)
}

pub fn set_profile(db: &mut Db, id: UserId, display_name: &str, email: Option<&str>) -> QueryResult<UserRow> {
    diesel::update(users::table.find(id))
        .set((users::display_name.eq(display_name), users::email.eq(email)))
        .returning(UserRow::as_returning())
        .get_result(db)
}

/// Stores a new password and invalidates every token of the old one.
pub fn set_password(db: &mut Db, id: UserId, password_hash: &str) -> QueryResult<UserRow> {
    diesel::update(users::table.find(id))
        .set((users::password_hash.eq(password_hash), users::token_version.eq(users::token_version + 1)))
        .returning(UserRow::as_returning())
        .get_result(db)
}

/// Stores another hash of the same password.
pub fn set_password_hash(db: &mut Db, id: UserId, password_hash: &str) -> QueryResult<()> {
    diesel::update(users::table.find(id)).set(users::password_hash.eq(password_hash)).execute(db).map(drop)
}

/// Activates or deactivates a user; every token of the user becomes invalid.
pub fn set_active(db: &mut Db, id: UserId, deactivated_at: Option<i64>) -> QueryResult<UserRow> {
    diesel::update(users::table.find(id))
        .set((users::deactivated_at.eq(deactivated_at), users::token_version.eq(users::token_version + 1)))
        .returning(UserRow::as_returning())
        .get_result(db)
}

/// Returns whether the login is open, belongs to the active user, and the token version is current.
pub fn credential_is_live(
    db: &mut Db,
    user: UserId,
    login: LoginId,
    token_version: i64,
) -> QueryResult<bool> {
    let found: Option<LoginId> = sessions::table
        .inner_join(users::table)
        .filter(sessions::id.eq(login))
        .filter(sessions::user_id.eq(user))
        .filter(sessions::ended_at.is_null())
        .filter(users::token_version.eq(token_version))
        .filter(users::deactivated_at.is_null())
        .select(sessions::id)
        .first(db)
        .optional()?;
    Ok(found.is_some())
}

/// Returns whether the user is active and the token version current.
pub fn user_is_live(db: &mut Db, user: UserId, token_version: i64) -> QueryResult<bool> {
    diesel::select(exists(
        users::table
            .find(user)
            .filter(users::token_version.eq(token_version))
            .filter(users::deactivated_at.is_null()),
    ))
    .get_result(db)
}

/// Returns an open login: its user, its generation, and when its refresh tokens expire.
pub fn live_login(db: &mut Db, login: LoginId) -> QueryResult<Option<(UserId, i64, i64)>> {
    sessions::table
        .find(login)
        .filter(sessions::ended_at.is_null())
        .select((sessions::user_id, sessions::generation, sessions::expires_at))
        .first(db)
        .optional()
}

/// Returns the open logins of a user, oldest first.
pub fn live_logins_of(db: &mut Db, user: UserId) -> QueryResult<Vec<LoginId>> {
    sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(sessions::ended_at.is_null())
        .order(sessions::id)
        .select(sessions::id)
        .load(db)
}

/// Returns the open login of a user that was not used for the longest time. Logins of earlier
/// versions have no time of use: they were refreshed `lifetime_ms` before they expire.
pub fn stalest_login_of(db: &mut Db, user: UserId, lifetime_ms: i64) -> QueryResult<Option<LoginId>> {
    let last_used = sql::<BigInt>("COALESCE(last_used_at, expires_at - ");
    let last_used = last_used.bind::<BigInt, _>(lifetime_ms).sql(")");
    sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(sessions::ended_at.is_null())
        .order((last_used, sessions::id))
        .select(sessions::id)
        .first(db)
        .optional()
}

/// Returns every open login with its user.
pub fn all_live_logins(db: &mut Db) -> QueryResult<Vec<(LoginId, UserId)>> {
    sessions::table.filter(sessions::ended_at.is_null()).select((sessions::id, sessions::user_id)).load(db)
}

/// Returns open logins whose refresh tokens have expired, at most `limit`.
pub fn expired_logins(db: &mut Db, now: i64, limit: i64) -> QueryResult<Vec<(LoginId, UserId)>> {
    sessions::table
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.lt(now))
        .order(sessions::id)
        .limit(limit)
        .select((sessions::id, sessions::user_id))
        .load(db)
}

/// Ends logins and deletes their secrets, and what is known of their clients.
pub fn end_logins(db: &mut Db, logins: &[LoginId], now: i64) -> QueryResult<()> {
    diesel::update(sessions::table.filter(sessions::id.eq_any(logins)))
        .set((
            sessions::ended_at.eq(now),
            sessions::web_hash.eq(None::<Vec<u8>>),
            sessions::device.eq(None::<String>),
            sessions::address.eq(None::<String>),
        ))
        .execute(db)?;
    let secrets = refresh_tokens::table.filter(refresh_tokens::session_id.eq_any(logins));
    diesel::delete(secrets).execute(db).map(drop)
}

pub fn refresh_token(db: &mut Db, hash: &[u8]) -> QueryResult<Option<RefreshTokenRow>> {
    refresh_tokens::table.find(hash).select(RefreshTokenRow::as_select()).first(db).optional()
}

/// Stores a token unless it exists: a repeated exchange returns the same token again.
pub fn insert_refresh_token(db: &mut Db, row: &RefreshTokenRow) -> QueryResult<()> {
    let insert = diesel::insert_into(refresh_tokens::table).values(row);
    insert.on_conflict_do_nothing().execute(db).map(drop)
}

/// Records when a token was first exchanged.
pub fn set_exchanged(db: &mut Db, hash: &[u8], now: i64) -> QueryResult<()> {
    diesel::update(refresh_tokens::table.find(hash))
        .set(refresh_tokens::exchanged_at.eq(now))
        .execute(db)
        .map(drop)
}

/// Records the first use of a token of `generation`: tokens of earlier generations are superseded.
pub fn advance_generation(db: &mut Db, login: LoginId, generation: i64, now: i64) -> QueryResult<()> {
    diesel::update(sessions::table.find(login)).set(sessions::generation.eq(generation)).execute(db)?;
    diesel::update(
        refresh_tokens::table
            .filter(refresh_tokens::session_id.eq(login))
            .filter(refresh_tokens::generation.lt(generation))
            .filter(refresh_tokens::superseded_at.is_null()),
    )
    .set(refresh_tokens::superseded_at.eq(now))
    .execute(db)
    .map(drop)
}

/// Deletes tokens so old that their reuse no longer indicates a theft.
pub fn delete_refresh_tokens(db: &mut Db, login: LoginId, below_generation: i64) -> QueryResult<()> {
    diesel::delete(
        refresh_tokens::table
            .filter(refresh_tokens::session_id.eq(login))
            .filter(refresh_tokens::generation.lt(below_generation)),
    )
    .execute(db)
    .map(drop)
}
