//! Routes of personal access tokens.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use crate::core::config::Secret;
use crate::domain::access::{AccessToken, Scope};
use crate::domain::ids::{AccessTokenId, RepositoryId};
use crate::domain::timestamp::Timestamp;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Body, Path, Peer};
use crate::services::Services;
use crate::services::tokens::TokenRequest;

/// A personal access token; `token` is present only in the response that creates it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AccessTokenAnswer {
    #[schema(value_type = i64)]
    id: AccessTokenId,
    name: String,
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// Ids of the repositories that the token is limited to; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<i64>>)]
    repository_ids: Option<Vec<RepositoryId>>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    expires_at: Option<Timestamp>,
    /// With a precision of an hour; absent: not used yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl AccessTokenAnswer {
    pub(super) fn new(token: &AccessToken, secret: Option<String>) -> Self {
        Self {
            id: token.id,
            name: token.name.clone(),
            scopes: token.scopes.clone(),
            repository_ids: token.repositories.clone(),
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            token: secret,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    name: String,
    /// `repo:read`, `repo:write`, `chat:read`, `chat:write`, `admin` (permissions of project
    /// owners), `server:admin` (administration of the server; for administrators, without
    /// `repositories`).
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    /// Each is `owner/project/repository`; absent: every repository.
    repositories: Option<Vec<String>>,
    /// 1 to 3650; absent: 90; 0: never, if the server allows it.
    expires_in_days: Option<i64>,
    /// The user's password. Required unless the login began within the last 10 minutes.
    #[schema(value_type = Option<String>)]
    password: Option<Secret>,
}

impl TokenBody {
    /// Returns the request, and the password that was sent with it.
    pub(super) fn into_parts(self) -> (TokenRequest, Option<String>) {
        let Self { name, scopes, repositories, expires_in_days, password } = self;
        let password = password.map(|password| password.expose().to_owned());
        (TokenRequest { name, scopes, repositories, expires_in_days }, password)
    }
}

/// Creates an access token.
///
/// The caller must send the password, or have logged in within the last 10 minutes; otherwise the
/// response is 403 with the code `fresh_login_required`. The token is in this response only. Its
/// owner is notified.
#[utoipa::path(post, operation_id = "create_access_token", path = "/api/users/me/tokens", request_body = TokenBody,
    responses((status = 201, body = AccessTokenAnswer), (status = 401), (status = 403), (status = 409), (status = 422), (status = 429)))]
pub(super) async fn create(
    caller: AuthenticatedUser,
    peer: Peer,
    body: Body<TokenBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let (request, password) = body.0.into_parts();
    let (token, secret) = services.create_token(caller.0, peer.0, request, password).await?;
    Ok(HttpResponse::Created().json_line(AccessTokenAnswer::new(&token, Some(secret))))
}

/// Lists the caller's access tokens, without their secrets.
#[utoipa::path(get, operation_id = "list_access_tokens", path = "/api/users/me/tokens", responses((status = 200, body = page::Items<AccessTokenAnswer>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: AuthenticatedUser,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let tokens = services.tokens(caller.0).await?;
    page::items(&request, tokens.iter().map(|token| AccessTokenAnswer::new(token, None)).collect(), None)
}

/// Revokes an access token; it becomes invalid at once.
#[utoipa::path(delete, operation_id = "revoke_access_token", path = "/api/users/me/tokens/{id}", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn revoke(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    services.revoke_token(caller.0, AccessTokenId(id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}
