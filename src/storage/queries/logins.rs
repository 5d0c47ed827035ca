//! Web logins, their uses, and the list of a user's logins.

use std::collections::HashMap;

use diesel::prelude::*;

use super::Db;
use super::given::given;
use crate::domain::ids::{LoginId, UserId};
use crate::domain::login::{Login, WebHandle, WebLoginUse};
use crate::domain::timestamp::Timestamp;
use crate::storage::rows::chat::unreadable;
use crate::storage::rows::login::NewLogin;
use crate::storage::schema::sessions;

pub fn insert(db: &mut Db, new: &NewLogin<'_>) -> QueryResult<LoginId> {
    let created_at = new.created_at.0;
    diesel::insert_into(sessions::table)
        .values((
            sessions::user_id.eq(new.user),
            sessions::created_at.eq(created_at),
            sessions::last_used_at.eq(created_at),
            sessions::expires_at.eq(new.expires_at.0),
            sessions::web_hash.eq(new.web_hash.map(<[u8; 32]>::as_slice)),
            sessions::device.eq(new.client.device.as_deref()),
            sessions::address.eq(new.client.address.map(|address| address.to_string())),
        ))
        .returning(sessions::id)
        .get_result(db)
}

/// Returns every open web login.
pub fn all_web(db: &mut Db) -> QueryResult<Vec<(LoginId, WebHandle)>> {
    type Row = (LoginId, Option<Vec<u8>>, i64, i64, Option<i64>);
    let rows: Vec<Row> = sessions::table
        .filter(sessions::ended_at.is_null())
        .filter(sessions::web_hash.is_not_null())
        .select((
            sessions::id,
            sessions::web_hash,
            sessions::created_at,
            sessions::expires_at,
            sessions::last_used_at,
        ))
        .load(db)?;
    let handle = |(id, hash, created_at, expires_at, last_used_at): Row| {
        let hash = hash.and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or_else(|| unreadable("sessions.web_hash", "of another length"))?;
        let last_used_at = Timestamp(last_used_at.unwrap_or(created_at));
        Ok((id, WebHandle { hash, expires_at: Timestamp(expires_at), last_used_at }))
    };
    rows.into_iter().map(handle).collect()
}

/// Returns the open logins of a user that have not expired, the last used first, at most `limit`.
pub fn open_of(db: &mut Db, user: UserId, now: Timestamp, limit: i64) -> QueryResult<Vec<Login>> {
    type Row = (LoginId, Option<String>, Option<String>, i64, Option<i64>, i64, bool);
    let rows: Vec<Row> = sessions::table
        .filter(sessions::user_id.eq(user))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::expires_at.ge(now.0))
        // PostgreSQL considers NULL the largest value, SQLite the smallest.
        .order((sessions::last_used_at.is_null(), sessions::last_used_at.desc(), sessions::id.desc()))
        .limit(limit)
        .select((
            sessions::id,
            sessions::device,
            sessions::address,
            sessions::created_at,
            sessions::last_used_at,
            sessions::expires_at,
            sessions::web_hash.is_not_null(),
        ))
        .load(db)?;
    let login = |(id, device, address, created_at, last_used_at, expires_at, web): Row| Login {
        id,
        device,
        address,
        created_at: Timestamp(created_at),
        last_used_at: last_used_at.map(Timestamp),
        expires_at: Timestamp(expires_at),
        web,
    };
    Ok(rows.into_iter().map(login).collect())
}

/// Returns when those of the logins expire that are open web logins.
pub fn expiries_of_web(
    db: &mut Db,
    logins: impl Iterator<Item = LoginId>,
) -> QueryResult<HashMap<LoginId, Timestamp>> {
    let found: Vec<(LoginId, i64)> = sessions::table
        .filter(sessions::id.eq_any(logins))
        .filter(sessions::ended_at.is_null())
        .filter(sessions::web_hash.is_not_null())
        .select((sessions::id, sessions::expires_at))
        .load(db)?;
    Ok(found.into_iter().map(|(login, expires_at)| (login, Timestamp(expires_at))).collect())
}

/// Records uses of logins, like [`set_used`].
pub fn set_all_used(db: &mut Db, uses: &[WebLoginUse]) -> QueryResult<()> {
    given(
        "session_id, used_at, until",
        uses.iter().map(|used| [used.login.0, used.last_used_at.0, used.expires_at.0]),
        "UPDATE sessions SET last_used_at = given.used_at, expires_at = given.until FROM given
         WHERE sessions.id = given.session_id",
    )
    .execute(db)
    .map(drop)
}

/// Records a use of a login, and until when it is open.
pub fn set_used(db: &mut Db, login: LoginId, at: Timestamp, expires_at: Timestamp) -> QueryResult<()> {
    diesel::update(sessions::table.find(login))
        .set((sessions::last_used_at.eq(at.0), sessions::expires_at.eq(expires_at.0)))
        .execute(db)
        .map(drop)
}
