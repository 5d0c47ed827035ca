//! Rows of `access_tokens`.

use diesel::prelude::*;

use super::chat::unreadable;
use crate::domain::access::{AccessToken, Scope};
use crate::domain::ids::{AccessTokenId, RepositoryId, UserId};
use crate::domain::timestamp::Timestamp;
use crate::storage::schema::access_tokens;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = access_tokens)]
pub struct AccessTokenRow {
    pub id: AccessTokenId,
    pub user_id: UserId,
    pub name: String,
    pub token_hash: Vec<u8>,
    pub scopes: String,
    pub repositories: Option<String>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
}

impl AccessTokenRow {
    /// Returns the token, and the hash by which it is found.
    pub fn into_parts(self) -> QueryResult<(AccessToken, [u8; 32])> {
        let hash = self
            .token_hash
            .try_into()
            .map_err(|_| unreadable("access_tokens.token_hash", "of another length"))?;
        let scope =
            |name: &str| Scope::from_name(name).ok_or_else(|| unreadable("access_tokens.scopes", name));
        let repositories = match &self.repositories {
            None => None,
            Some(text) => Some(
                serde_json::from_str::<Vec<RepositoryId>>(text)
                    .map_err(|_| unreadable("access_tokens.repositories", text))?,
            ),
        };
        let token = AccessToken {
            id: self.id,
            user_id: self.user_id,
            name: self.name,
            scopes: self.scopes.split_whitespace().map(scope).collect::<QueryResult<_>>()?,
            repositories,
            created_at: Timestamp(self.created_at),
            expires_at: self.expires_at.map(Timestamp),
            last_used_at: self.last_used_at.map(Timestamp),
        };
        Ok((token, hash))
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = access_tokens)]
pub struct NewAccessTokenRow<'a> {
    pub user_id: UserId,
    pub name: &'a str,
    pub token_hash: &'a [u8],
    pub scopes: &'a str,
    pub repositories: Option<&'a str>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
}
