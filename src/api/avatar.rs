//! Avatars of users, projects and chats.

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde::Deserialize;

use crate::domain::access::Credential;
use crate::domain::avatar::{Avatar, AvatarOf};
use crate::domain::ids::ChatId;
use crate::domain::permission::project::Act;
use crate::http::contents::IMAGE_SANDBOX;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, MaybeViewer, Path, Query, Viewer, client_of, holder_of};
use crate::http::picture::read_picture;
use crate::http::validator::knows;
use crate::services::Services;
use crate::services::access::ProjectPath;

/// The URL of a page names the version, so the browser keeps the avatar. Access may be lost: it is
/// asked for again after a day.
const KEPT: &str = "private, max-age=86400, immutable";
const ASKED_AGAIN: &str = "private, no-cache";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionKeys {
    v: Option<String>,
}

/// Sets the caller's avatar: the body is a PNG, JPEG, GIF or WebP of at most 2 MiB.
///
/// The server cuts a square of 256 pixels from its middle, and drops all metadata.
#[utoipa::path(put, operation_id = "set_own_avatar", path = "/api/users/me/avatar",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204), (status = 401), (status = 403), (status = 409), (status = 413), (status = 422), (status = 429), (status = 503)))]
pub(super) async fn set_own(
    caller: AuthenticatedUser,
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> HttpResult {
    set((&services, &request), caller.0, AvatarOf::User(caller.0.user), payload).await
}

/// Removes the caller's avatar.
#[utoipa::path(delete, operation_id = "delete_own_avatar", path = "/api/users/me/avatar",
    responses((status = 204), (status = 401), (status = 403), (status = 409), (status = 429)))]
pub(super) async fn remove_own(caller: AuthenticatedUser, services: web::Data<Services>) -> HttpResult {
    remove(&services, caller.0, AvatarOf::User(caller.0.user)).await
}

/// Returns the avatar of a user, as a JPEG or PNG of at most 256 x 256 pixels.
///
/// With its version in `v`, the answer may be kept for a day. Browsers may use the login cookie.
#[utoipa::path(get, operation_id = "get_user_avatar", path = "/api/users/{username}/avatar",
    params(("username" = String, Path), ("v" = Option<String>, Query, description = "the version: `avatar` of the user")),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 304), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn of_user(
    viewer: Viewer,
    request: HttpRequest,
    username: Path<String>,
    keys: Query<VersionKeys>,
    services: web::Data<Services>,
) -> HttpResult {
    let avatar = services.avatar_of_user(viewer.0, username.0).await?;
    Ok(answer(&request, &keys.0, avatar))
}

/// Sets the avatar of a project, like `PUT /api/users/me/avatar`. Only its owners may.
#[utoipa::path(put, operation_id = "set_project_avatar", path = "/api/projects/{user}/{project}/avatar",
    params(("user" = String, Path), ("project" = String, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 413), (status = 422), (status = 429), (status = 503)))]
pub(super) async fn set_of_project(
    caller: AuthenticatedUser,
    request: HttpRequest,
    at: Path<ProjectPath>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.project(Some(caller.0), &at.0, Act::Manage).await?;
    set((&services, &request), caller.0, AvatarOf::Project(view.project.id), payload).await
}

/// Removes the avatar of a project.
#[utoipa::path(delete, operation_id = "delete_project_avatar", path = "/api/projects/{user}/{project}/avatar",
    params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 429)))]
pub(super) async fn remove_of_project(
    caller: AuthenticatedUser,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.project(Some(caller.0), &at.0, Act::Manage).await?;
    remove(&services, caller.0, AvatarOf::Project(view.project.id)).await
}

/// Returns the avatar of a project, like `GET /api/users/{username}/avatar`.
#[utoipa::path(get, operation_id = "get_project_avatar", path = "/api/projects/{user}/{project}/avatar",
    params(("user" = String, Path), ("project" = String, Path), ("v" = Option<String>, Query, description = "the version: `avatar` of the project")),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 304), (status = 401), (status = 404)))]
pub(super) async fn of_project(
    viewer: MaybeViewer,
    request: HttpRequest,
    at: Path<ProjectPath>,
    keys: Query<VersionKeys>,
    services: web::Data<Services>,
) -> HttpResult {
    let avatar = services.avatar_of_project(viewer.0, holder_of(&request)?, &at.0).await?;
    Ok(answer(&request, &keys.0, avatar))
}

/// Sets the avatar of a group or channel, like `PUT /api/users/me/avatar`. Only its admins may.
#[utoipa::path(put, operation_id = "set_chat_avatar", path = "/api/chats/{id}/avatar", params(("id" = i64, Path)),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 413), (status = 422), (status = 429), (status = 503)))]
pub(super) async fn set_of_chat(
    caller: AuthenticatedUser,
    request: HttpRequest,
    id: Path<i64>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> HttpResult {
    services.check_chat_admin(caller.0, ChatId(id.0)).await?;
    set((&services, &request), caller.0, AvatarOf::Chat(ChatId(id.0)), payload).await
}

/// Removes the avatar of a group or channel.
#[utoipa::path(delete, operation_id = "delete_chat_avatar", path = "/api/chats/{id}/avatar", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 429)))]
pub(super) async fn remove_of_chat(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    remove(&services, caller.0, AvatarOf::Chat(ChatId(id.0))).await
}

/// Returns the avatar of a chat, like `GET /api/users/{username}/avatar`.
#[utoipa::path(get, operation_id = "get_chat_avatar", path = "/api/chats/{id}/avatar",
    params(("id" = i64, Path), ("v" = Option<String>, Query, description = "the version: `avatar` of the chat")),
    responses((status = 200, content_type = "image/jpeg", body = Vec<u8>), (status = 304), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn of_chat(
    viewer: Viewer,
    request: HttpRequest,
    id: Path<i64>,
    keys: Query<VersionKeys>,
    services: web::Data<Services>,
) -> HttpResult {
    let avatar = services.avatar_of_chat(viewer.0, ChatId(id.0)).await?;
    Ok(answer(&request, &keys.0, avatar))
}

async fn set(
    (services, request): (&Services, &HttpRequest),
    who: Credential,
    of: AvatarOf,
    payload: web::Payload,
) -> HttpResult {
    let client = client_of(request, Some(who.user))?;
    let turn = services.begin_avatar(who)?;
    let picture = read_picture(request, &mut payload.into_inner(), 0).await?;
    services.set_avatar(who, client, of, (Bytes::from(picture), turn)).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn remove(services: &Services, who: Credential, of: AvatarOf) -> HttpResult {
    services.remove_avatar(who, of).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn answer(request: &HttpRequest, keys: &VersionKeys, avatar: Avatar) -> HttpResponse {
    let Avatar { version, media_type, bytes } = avatar;
    let tag = format!("\"{version}\"");
    let kept = if keys.v.as_ref() == Some(&version) { KEPT } else { ASKED_AGAIN };
    let mut response = HttpResponse::Ok();
    response
        .content_type(media_type)
        .insert_header((header::CONTENT_DISPOSITION, "inline"))
        .insert_header((header::CONTENT_SECURITY_POLICY, IMAGE_SANDBOX))
        .insert_header((header::ETAG, tag.as_str()))
        .insert_header((header::CACHE_CONTROL, kept))
        .insert_header((header::VARY, "authorization, cookie"));
    if knows(request, &tag) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    response.body(bytes)
}
