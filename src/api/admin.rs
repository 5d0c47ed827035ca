//! Routes for administrators of the server.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use super::user::OwnUser;
use crate::core::saturate;
use crate::domain::audit::AuditEvent;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::page::Page;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Body, Path, Query};
use crate::services::Services;
use crate::services::health::Health;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    /// `false` deactivates the user: logins, sessions and tokens end at once.
    active: bool,
}

/// A user as administrators see it.
#[derive(Serialize, ToSchema)]
pub(super) struct ManagedUser {
    #[serde(flatten)]
    user: OwnUser,
    active: bool,
}

impl From<Arc<User>> for ManagedUser {
    fn from(user: Arc<User>) -> Self {
        let active = user.active;
        Self { user: user.into(), active }
    }
}

/// Deactivates or reactivates a user. Messages of the user stay.
#[utoipa::path(patch, operation_id = "update_user_as_administrator", path = "/api/admin/users/{username}", params(("username" = String, Path)), request_body = UserBody,
    responses((status = 200, body = ManagedUser), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn update_user(
    caller: AuthenticatedUser,
    username: Path<String>,
    body: Body<UserBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let user = services.set_user_active(caller.0, username.0, body.0.active).await?;
    Ok(HttpResponse::Ok().json_line(ManagedUser::from(user)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersQuery {
    prefix: Option<String>,
    limit: Option<i64>,
    cursor: Option<i64>,
}

/// Lists all users, including deactivated ones, sorted by id; for administrators of the server.
///
/// With `prefix`, lists only users whose names begin with it.
#[utoipa::path(get, operation_id = "list_users_as_administrator", path = "/api/admin/users",
    params(("prefix" = Option<String>, Query), ("limit" = Option<i64>, Query), ("cursor" = Option<i64>, Query)),
    responses((status = 200, body = page::Items<ManagedUser>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn users(
    caller: AuthenticatedUser,
    request: HttpRequest,
    query: Query<UsersQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let limit = page::limit(query.0.limit, &services.limits)?;
    let (above, prefix) = (query.0.cursor.unwrap_or(0), query.0.prefix.unwrap_or_default());
    let wanted = saturate::to_i64(limit).saturating_add(1);
    let found = Page::take(services.users(Some(caller.0), UserId(above), prefix, wanted).await?, limit);
    let next = found.next_cursor(|user| user.id.to_string());
    page::items(&request, found.items.into_iter().map(ManagedUser::from).collect(), next)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TakeOver)]
pub(super) struct TakeOverBody {
    /// The name of the active user who becomes an owner; absent: the caller.
    owner: Option<String>,
}

/// Makes an active user an owner of a chat that has no active owner.
///
/// The chat gets a `join` or `role` event.
#[utoipa::path(post, operation_id = "take_over_chat", path = "/api/admin/chats/{id}/take-over", params(("id" = i64, Path)), request_body = TakeOverBody,
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn take_over_chat(
    caller: AuthenticatedUser,
    id: Path<i64>,
    body: Body<TakeOverBody>,
    services: web::Data<Services>,
) -> HttpResult {
    services.take_over_chat(caller.0, ChatId(id.0), body.0.owner).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Makes an active user an owner of a project that has no active owner.
///
/// Its channel gets a `join` or `role` event.
#[utoipa::path(post, operation_id = "take_over_project", path = "/api/admin/projects/{user}/{project}/take-over",
    params(("user" = String, Path), ("project" = String, Path)), request_body = TakeOverBody,
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn take_over_project(
    caller: AuthenticatedUser,
    at: Path<(String, String)>,
    body: Body<TakeOverBody>,
    services: web::Data<Services>,
) -> HttpResult {
    services.take_over_project(caller.0, at.0, body.0.owner).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// An action of an administrator or owner.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditAnswer {
    id: i64,
    /// Absent: the operator of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<i64>)]
    actor_id: Option<UserId>,
    /// `user.deactivate`, `chat.rename`, `project.member`, …
    action: String,
    /// `user:3`, `chat:7`, …
    target: String,
    /// The values that were set.
    detail: serde_json::Map<String, serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

impl From<AuditEvent> for AuditAnswer {
    fn from(event: AuditEvent) -> Self {
        Self {
            id: event.id,
            actor_id: event.actor_id,
            action: event.action,
            target: event.target,
            detail: serde_json::from_str(&event.detail).unwrap_or_default(),
            request_id: event.request_id,
            created_at: event.created_at,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    limit: Option<i64>,
    cursor: Option<i64>,
}

/// Lists actions of administrators and owners, newest first; for administrators of the server.
#[utoipa::path(get, operation_id = "list_audit_events", path = "/api/admin/audit", params(("limit" = Option<i64>, Query), ("cursor" = Option<i64>, Query)),
    responses((status = 200, body = page::Items<AuditAnswer>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn audit(
    caller: AuthenticatedUser,
    request: HttpRequest,
    query: Query<AuditQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let limit = page::limit(query.0.limit, &services.limits)?;
    let below = query.0.cursor.unwrap_or(i64::MAX);
    let wanted = saturate::to_i64(limit).saturating_add(1);
    let found = Page::take(services.audit(Some(caller.0), below, wanted).await?, limit);
    let next = found.next_cursor(|event| event.id.to_string());
    page::items(&request, found.items.into_iter().map(AuditAnswer::from).collect(), next)
}

/// Returns the state of the server; for administrators of the server.
///
/// The same numbers as `/actors` of the operations listener, and the state of the disk.
#[utoipa::path(get, operation_id = "get_health", path = "/api/admin/health",
    responses((status = 200, body = Health), (status = 401), (status = 403)))]
pub(super) async fn health(
    caller: AuthenticatedUser,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    page::read(&request, &services.health(caller.0).await?, None)
}
