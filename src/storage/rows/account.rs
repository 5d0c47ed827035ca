//! Rows of `users` and `refresh_tokens`.

use std::sync::Arc;

use diesel::prelude::*;

use crate::domain::ids::{LoginId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::storage::schema::{refresh_tokens, users};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = users)]
pub struct UserRow {
    pub id: UserId,
    pub username: String,
    pub display_name: String,
    pub email: Option<String>,
    pub password_hash: String,
    pub is_admin: bool,
    pub token_version: i64,
    pub deactivated_at: Option<i64>,
    pub created_at: i64,
    pub avatar: Option<String>,
}

impl UserRow {
    /// Returns the user, and the hash that only logins read.
    pub fn into_parts(self) -> (User, Arc<str>) {
        let user = User {
            id: self.id,
            username: self.username,
            display_name: self.display_name,
            email: self.email,
            is_admin: self.is_admin,
            token_version: self.token_version,
            active: self.deactivated_at.is_none(),
            created_at: Timestamp(self.created_at),
            avatar: self.avatar,
        };
        (user, self.password_hash.into())
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = users)]
pub struct NewUserRow<'a> {
    pub username: &'a str,
    pub display_name: &'a str,
    pub email: Option<&'a str>,
    pub password_hash: &'a str,
    pub is_admin: bool,
    pub created_at: i64,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = refresh_tokens)]
pub struct RefreshTokenRow {
    pub token_hash: Vec<u8>,
    pub session_id: LoginId,
    pub generation: i64,
    pub superseded_at: Option<i64>,
    pub exchanged_at: Option<i64>,
}
