//! Routes that change an existing message.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use super::page::JsonLine;
use super::schemas::MessageShape;
use crate::actors::writer::commands::UpdatedMessage;
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::message::MessageUpdate;
use crate::domain::metadata::Metadata;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{AuthenticatedUser, Body, Path};
use crate::services::{ServiceError, Services};

async fn update(
    services: &Services,
    caller: AuthenticatedUser,
    (chat, message): (i64, i64),
    update: MessageUpdate,
) -> Result<UpdatedMessage, HttpError> {
    Ok(services.update_message(caller.0, ChatId(chat), MessageId(message), update).await?)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditBody {
    /// 1 to 16384 bytes.
    content: String,
    /// At most 4096 bytes of JSON; absent: unchanged.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
}

/// Edits the content of a message; only its sender may.
#[utoipa::path(patch, operation_id = "edit_message", path = "/api/chats/{id}/messages/{message_id}",
    params(("id" = i64, Path), ("message_id" = i64, Path)), request_body = EditBody,
    responses((status = 200, body = MessageShape), (status = 401), (status = 403), (status = 404), (status = 413), (status = 422), (status = 429)))]
pub(super) async fn edit(
    caller: AuthenticatedUser,
    path: Path<(i64, i64)>,
    body: Body<EditBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let EditBody { content, metadata } = body.0;
    let edit = MessageUpdate::parse_edit(content, metadata).map_err(ServiceError::from)?;
    let altered = update(&services, caller, path.0, edit).await?;
    Ok(HttpResponse::Ok().json_line(&*altered.message))
}

/// Deletes a message: its content is removed, its position stays.
///
/// Allowed for its sender, and for owners and admins of the chat.
#[utoipa::path(delete, operation_id = "delete_message", path = "/api/chats/{id}/messages/{message_id}",
    params(("id" = i64, Path), ("message_id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 429)))]
pub(super) async fn delete(
    caller: AuthenticatedUser,
    path: Path<(i64, i64)>,
    services: web::Data<Services>,
) -> HttpResult {
    update(&services, caller, path.0, MessageUpdate::Delete).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Adds a reaction: one emoji, or a shortcode of 1 to 32 bytes.
///
/// An emoji with and without variation selectors is the same reaction.
#[utoipa::path(put, operation_id = "add_reaction", path = "/api/chats/{id}/messages/{message_id}/reactions/{emoji}",
    params(("id" = i64, Path), ("message_id" = i64, Path), ("emoji" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422), (status = 429)))]
pub(super) async fn react(
    caller: AuthenticatedUser,
    path: Path<(i64, i64, String)>,
    services: web::Data<Services>,
) -> HttpResult {
    set_reaction(&services, caller, path.0, false).await
}

/// Removes the caller's reaction.
#[utoipa::path(delete, operation_id = "remove_reaction", path = "/api/chats/{id}/messages/{message_id}/reactions/{emoji}",
    params(("id" = i64, Path), ("message_id" = i64, Path), ("emoji" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 422), (status = 429)))]
pub(super) async fn unreact(
    caller: AuthenticatedUser,
    path: Path<(i64, i64, String)>,
    services: web::Data<Services>,
) -> HttpResult {
    set_reaction(&services, caller, path.0, true).await
}

async fn set_reaction(
    services: &Services,
    caller: AuthenticatedUser,
    (chat, message, emoji): (i64, i64, String),
    remove: bool,
) -> HttpResult {
    let reaction = MessageUpdate::parse_reaction(&emoji, remove).map_err(ServiceError::from)?;
    update(services, caller, (chat, message), reaction).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Pins a message; `?pinned=true` lists pinned messages.
#[utoipa::path(put, operation_id = "pin_message", path = "/api/chats/{id}/messages/{message_id}/pin",
    params(("id" = i64, Path), ("message_id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 429)))]
pub(super) async fn pin(
    caller: AuthenticatedUser,
    path: Path<(i64, i64)>,
    services: web::Data<Services>,
) -> HttpResult {
    update(&services, caller, path.0, MessageUpdate::Pin).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Follows the thread that contains or starts at a message: its replies notify the user.
///
/// A user who writes in a thread follows it automatically.
#[utoipa::path(put, operation_id = "follow_thread", path = "/api/chats/{id}/messages/{message_id}/follow",
    params(("id" = i64, Path), ("message_id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 429)))]
pub(super) async fn follow(
    caller: AuthenticatedUser,
    path: Path<(i64, i64)>,
    services: web::Data<Services>,
) -> HttpResult {
    let (chat, message) = path.0;
    services.follow_thread(caller.0, (ChatId(chat), MessageId(message)), true).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Mutes the thread that contains or starts at a message.
///
/// Only replies that mention the user still notify.
#[utoipa::path(delete, operation_id = "mute_thread", path = "/api/chats/{id}/messages/{message_id}/follow",
    params(("id" = i64, Path), ("message_id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 429)))]
pub(super) async fn mute(
    caller: AuthenticatedUser,
    path: Path<(i64, i64)>,
    services: web::Data<Services>,
) -> HttpResult {
    let (chat, message) = path.0;
    services.follow_thread(caller.0, (ChatId(chat), MessageId(message)), false).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Unpins a message.
#[utoipa::path(delete, operation_id = "unpin_message", path = "/api/chats/{id}/messages/{message_id}/pin",
    params(("id" = i64, Path), ("message_id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 429)))]
pub(super) async fn unpin(
    caller: AuthenticatedUser,
    path: Path<(i64, i64)>,
    services: web::Data<Services>,
) -> HttpResult {
    update(&services, caller, path.0, MessageUpdate::Unpin).await?;
    Ok(HttpResponse::NoContent().finish())
}
