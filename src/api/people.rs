//! Routes to find users, to block them, and to leave chats that another user added the caller to.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use super::user::PublicUser;
use crate::domain::ids::UserId;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{AuthenticatedUser, Body, Path, Query};
use crate::services::Services;

#[derive(Deserialize)]
pub(super) struct PageQuery {
    limit: Option<i64>,
    cursor: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsersQuery {
    ids: Option<String>,
    prefix: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Longer prefixes are refused: no user name is that long.
const PREFIX_BYTES_MAX: usize = 64;

/// Finds users by id, or by the beginning of their user name or display name.
///
/// `ids` returns the users that the caller meets in chats which the caller can read, including
/// users who left or were deactivated; other ids are left out.
///
/// `prefix` returns active users, sorted by user name. While registration is closed these are all
/// users. Otherwise they are the users in chats that the caller can read, the newest first up to
/// `limits.memberships_scanned`, and an exact match of the user name.
#[utoipa::path(get, operation_id = "find_users", path = "/api/users",
    params(("ids" = Option<String>, Query, description = "up to 100 ids, separated by commas"),
        ("prefix" = Option<String>, Query, description = "the beginning of user names or display names"),
        ("limit" = Option<i64>, Query, description = "users per page"),
        ("cursor" = Option<String>, Query, description = "the `next` of the previous page, with `prefix`")),
    responses((status = 200, body = page::Items<PublicUser>), (status = 400), (status = 401), (status = 403), (status = 429)))]
pub(super) async fn users(
    caller: AuthenticatedUser,
    request: HttpRequest,
    query: Query<UsersQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let UsersQuery { ids, prefix, limit, cursor } = query.0;
    let (users, next) = match (ids, prefix) {
        (Some(ids), None) => {
            let max = services.limits.page_max;
            let ids: Option<Vec<_>> = ids.split(',').map(|id| id.parse().ok().map(UserId)).collect();
            let ids = ids.filter(|ids| ids.len() <= max);
            let ids = ids.ok_or_else(|| HttpError::bad_request(format!("ids must be 1 to {max} numbers")))?;
            (services.users_by_id(caller.0, ids).await?, None)
        }
        (None, Some(prefix)) if prefix.len() <= PREFIX_BYTES_MAX => {
            let limit = page::limit(limit, &services.limits)?;
            let prefix = prefix.to_lowercase();
            let found = services.users_by_prefix(caller.0, prefix, cursor.unwrap_or_default(), limit).await?;
            (found.users, found.next)
        }
        (None, Some(_)) => {
            return Err(HttpError::bad_request(format!("prefix must have at most {PREFIX_BYTES_MAX} bytes")));
        }
        _ => return Err(HttpError::bad_request("exactly one of ids and prefix is required".to_owned())),
    };
    page::items(&request, users.iter().map(|user| PublicUser::from(&**user)).collect(), next)
}

/// Lists the users that the caller blocks, sorted by id.
#[utoipa::path(get, operation_id = "list_blocked_users", path = "/api/users/me/blocks",
    params(("limit" = Option<i64>, Query), ("cursor" = Option<i64>, Query)),
    responses((status = 200, body = page::Items<PublicUser>), (status = 400), (status = 401), (status = 403)))]
pub(super) async fn blocks(
    caller: AuthenticatedUser,
    request: HttpRequest,
    query: Query<PageQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let limit = page::limit(query.0.limit, &services.limits)?;
    let after = UserId(query.0.cursor.unwrap_or(0));
    let found = services.blocks(caller.0, after, limit).await?;
    let next = found.next_cursor(|user| user.id.to_string());
    page::items(&request, found.items.iter().map(|user| PublicUser::from(&**user)).collect(), next)
}

/// Blocks a user.
///
/// The blocked user cannot add the caller to chats and projects, open a direct chat with the
/// caller, or cause notifications. Such requests get the same response as if the caller did not
/// exist. Common chats stay.
#[utoipa::path(put, operation_id = "block_user", path = "/api/users/me/blocks/{username}", params(("username" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn block(
    caller: AuthenticatedUser,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    services.set_block(caller.0, username.0, true).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Unblocks a user.
#[utoipa::path(delete, operation_id = "unblock_user", path = "/api/users/me/blocks/{username}", params(("username" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn unblock(
    caller: AuthenticatedUser,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    services.set_block(caller.0, username.0, false).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LeaveChats)]
pub(super) struct LeaveBody {
    /// The name of the user who put the caller into the chats.
    added_by: String,
}

#[derive(Serialize, ToSchema)]
pub(super) struct LeftAnswer {
    /// The number of chats left.
    left: usize,
    /// More such chats exist: repeat the request.
    more: bool,
}

/// Leaves every group, channel and project into which a user put the caller.
///
/// Direct chats stay. Not rate-limited.
#[utoipa::path(post, operation_id = "leave_chats", path = "/api/chats/leave", request_body = LeaveBody,
    responses((status = 200, body = LeftAnswer), (status = 401), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn leave_chats(
    caller: AuthenticatedUser,
    body: Body<LeaveBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let left = services.leave_chats_of(caller.0, body.0.added_by).await?;
    Ok(HttpResponse::Ok().json_line(LeftAnswer { left: left.left, more: left.more }))
}
