//! Routes of chats and their participants.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use super::schemas::MessageShape;
use crate::core::shares::Holder;
use crate::domain::chat::{ChatKind, ChatRole, Participant};
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::message::Message;
use crate::domain::notification::NotifyLevel;
use crate::domain::timestamp::Timestamp;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Body, Path, Query};
use crate::protocol::json_size::json_bytes_max;
use crate::protocol::view::ChatSummary;
use crate::services::chats::ChatRequest;
use crate::services::{ChatView, ListedChat, Services};

/// Upper bound of the JSON bytes of a chat in a list, without its last message.
const CHAT_BYTES: usize = 1024;

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParticipantAnswer {
    #[schema(value_type = i64)]
    user_id: UserId,
    username: String,
    /// `owner`, `admin`, `member` or `reader`.
    #[schema(value_type = String)]
    role: ChatRole,
    read_seq: Seq,
    delivered_seq: Seq,
}

impl From<(Participant, String)> for ParticipantAnswer {
    fn from((participant, username): (Participant, String)) -> Self {
        Self {
            user_id: participant.user_id,
            username,
            role: participant.role,
            read_seq: participant.read_seq,
            delivered_seq: participant.delivered_seq,
        }
    }
}

/// A chat with its first participants; all participants are at `/participants`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatAnswer {
    #[schema(value_type = i64)]
    id: ChatId,
    /// `direct`, `group` or `channel`.
    #[schema(value_type = String)]
    kind: ChatKind,
    name: Option<String>,
    /// The other user of a direct chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// Present only when `false`: the other user of the direct chat is deactivated, so no user can
    /// post in it.
    #[serde(skip_serializing_if = "Clone::clone")]
    active: bool,
    archived: bool,
    /// How many of its newest messages the chat keeps; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<i64>,
    last_seq: Seq,
    read_seq: Seq,
    unread_count: i64,
    /// The caller has hidden this direct chat until its next message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    hidden: bool,
    /// The version of the avatar, if the chat has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
    participants: Vec<ParticipantAnswer>,
    participant_count: usize,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

impl From<ChatView> for ChatAnswer {
    fn from(view: ChatView) -> Self {
        Self {
            id: view.chat.id,
            kind: view.chat.kind,
            name: view.chat.name,
            peer: view.summary.peer,
            active: view.summary.active,
            archived: view.chat.archived,
            retention: view.chat.retention,
            last_seq: view.chat.last_seq,
            read_seq: view.summary.read_seq,
            unread_count: view.summary.unread_count,
            hidden: view.summary.hidden,
            avatar: view.summary.avatar,
            participants: view.people.into_iter().map(ParticipantAnswer::from).collect(),
            participant_count: view.people_count,
            created_at: view.chat.created_at,
        }
    }
}

/// A chat in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatItem {
    #[serde(flatten)]
    summary: ChatSummary,
    /// Absent when it is not in memory, or when long messages fill the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<MessageShape>)]
    last_message: Option<Message>,
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<i64>,
    /// Lists the channels that the caller can join, instead of the caller's own chats.
    #[serde(default)]
    joinable: bool,
}

/// Lists the caller's chats, sorted by id.
///
/// With `joinable=true`, lists the channels that the caller is not in.
#[utoipa::path(get, operation_id = "list_chats", path = "/api/chats",
    params(("limit" = Option<i64>, Query), ("cursor" = Option<i64>, Query), ("joinable" = Option<bool>, Query)),
    responses((status = 200, body = page::Items<ChatItem>), (status = 400), (status = 401)))]
pub(super) async fn list(
    caller: AuthenticatedUser,
    request: HttpRequest,
    query: Query<ListQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let limit = page::limit(query.0.limit, &services.limits)?;
    let after = ChatId(query.0.cursor.unwrap_or(0));
    let found = services.chats(caller.0, after, limit, query.0.joinable).await?;
    let next = found.next_cursor(|chat| chat.summary.id.to_string());
    let last_bytes =
        found.items.iter().filter_map(|chat| chat.last_message.as_deref()).map(json_bytes_max).sum::<usize>();
    let (most, small) = (services.limits.server_frame_bytes, services.limits.answer_small_bytes);
    let space = if last_bytes <= small / 2 {
        None
    } else {
        let bytes = last_bytes.min(most).saturating_add(found.items.len().saturating_mul(CHAT_BYTES));
        services.answer_space(Holder::Account(caller.0.user), bytes)
    };
    let mut room = if space.is_some() { most } else { small / 2 };
    let items = found
        .items
        .into_iter()
        .map(|ListedChat { summary, last_message: last }| {
            // Long last messages are left out when they fill the page: clients find them at
            // `/messages`.
            let cost = last.as_deref().map_or(0, json_bytes_max);
            let fits = cost <= room;
            room -= if fits { cost } else { 0 };
            let last_message = last.filter(|_| fits).and_then(|event| event.message().map(|m| (**m).clone()));
            ChatItem { summary, last_message }
        })
        .collect();
    page::items_within(&request, items, next, space)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewChat)]
pub(super) struct CreateBody {
    /// `direct`, `group` or `channel`.
    #[schema(value_type = String)]
    kind: ChatKind,
    /// Required for groups and channels.
    name: Option<String>,
    /// User names, without the creator's.
    #[serde(default)]
    participants: Vec<String>,
}

/// Creates a chat.
///
/// A direct chat exists once per pair of users: a repeated request returns 200 with the existing
/// chat, and shows it if the caller has hidden it.
#[utoipa::path(post, operation_id = "create_chat", path = "/api/chats", request_body = CreateBody,
    responses((status = 201, body = ChatAnswer), (status = 200, body = ChatAnswer), (status = 401), (status = 409), (status = 422)))]
pub(super) async fn create(
    caller: AuthenticatedUser,
    body: Body<CreateBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let CreateBody { kind, name, participants } = body.0;
    let (chat, existed) = services.create_chat(caller.0, ChatRequest { kind, name, participants }).await?;
    let mut response = if existed { HttpResponse::Ok() } else { HttpResponse::Created() };
    Ok(response.json_line(ChatAnswer::from(chat)))
}

/// Returns a chat.
#[utoipa::path(get, operation_id = "get_chat", path = "/api/chats/{id}", params(("id" = i64, Path)),
    responses((status = 200, body = ChatAnswer), (status = 401), (status = 404)))]
pub(super) async fn get(
    caller: AuthenticatedUser,
    request: HttpRequest,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    page::read(&request, &ChatAnswer::from(services.chat(caller.0, ChatId(id.0)).await?), None)
}

/// Deletes a chat with all its messages, permanently and for all participants; for owners.
///
/// Clients of its participants receive `Reset`.
#[utoipa::path(delete, operation_id = "delete_chat", path = "/api/chats/{id}", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn delete(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    services.delete_chat(caller.0, ChatId(id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChatChange)]
pub(super) struct UpdateBody {
    name: Option<String>,
    archived: Option<bool>,
    /// How many of its newest messages the chat keeps: older messages are deleted permanently.
    /// `null`: all. Only for owners.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<i64>)]
    retention: Option<Option<i64>>,
}

/// Distinguishes `null` from an absent field.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Renames, archives or reopens a chat, or sets how many messages it keeps.
#[utoipa::path(patch, operation_id = "update_chat", path = "/api/chats/{id}", params(("id" = i64, Path)), request_body = UpdateBody,
    responses((status = 200, body = ChatAnswer), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn update(
    caller: AuthenticatedUser,
    id: Path<i64>,
    body: Body<UpdateBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let UpdateBody { name, archived, retention } = body.0;
    let (who, id) = (caller.0, ChatId(id.0));
    // The channel of a project has a retention, but its name follows the project. The retention
    // comes last: it deletes messages, and the rest of the request may be refused.
    if retention.is_none() || name.is_some() || archived.is_some() {
        services.update_chat(who, id, name, archived).await?;
    }
    if let Some(keep) = retention {
        services.set_retention(Some(who), id, keep).await?;
    }
    Ok(HttpResponse::Ok().json_line(ChatAnswer::from(services.chat(who, id).await?)))
}

#[derive(Deserialize)]
pub(super) struct PageQuery {
    limit: Option<i64>,
    cursor: Option<i64>,
}

/// Lists the participants of a chat, sorted by user id.
#[utoipa::path(get, operation_id = "list_participants", path = "/api/chats/{id}/participants",
    params(("id" = i64, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<i64>, Query)),
    responses((status = 200, body = page::Items<ParticipantAnswer>), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn participants(
    caller: AuthenticatedUser,
    request: HttpRequest,
    id: Path<i64>,
    query: Query<PageQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let limit = page::limit(query.0.limit, &services.limits)?;
    let after = UserId(query.0.cursor.unwrap_or(0));
    let found = services.participants(caller.0, ChatId(id.0), after, limit).await?;
    let next = found.next_cursor(|(participant, _)| participant.user_id.to_string());
    page::items(&request, found.items.into_iter().map(ParticipantAnswer::from).collect(), next)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ParticipantRole)]
pub(super) struct RoleBody {
    /// `owner`, `admin`, `member` or `reader`; absent: `member`, or the present role.
    #[schema(value_type = Option<String>)]
    role: Option<ChatRole>,
}

/// Adds a participant (201), changes a role (204), or joins a channel.
#[utoipa::path(put, operation_id = "put_participant", path = "/api/chats/{id}/participants/{username}", request_body = RoleBody,
    params(("id" = i64, Path), ("username" = String, Path)),
    responses((status = 201), (status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn put_participant(
    caller: AuthenticatedUser,
    path: Path<(i64, String)>,
    body: Body<RoleBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let (id, username) = path.0;
    let existed = services.set_participant(caller.0, ChatId(id), username, body.0.role).await?;
    Ok(if existed { HttpResponse::NoContent().finish() } else { HttpResponse::Created().finish() })
}

/// Removes a participant, or leaves.
#[utoipa::path(delete, operation_id = "remove_participant", path = "/api/chats/{id}/participants/{username}",
    params(("id" = i64, Path), ("username" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn remove_participant(
    caller: AuthenticatedUser,
    path: Path<(i64, String)>,
    services: web::Data<Services>,
) -> HttpResult {
    let (id, username) = path.0;
    services.remove_participant(caller.0, ChatId(id), username).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReadBody {
    /// The new position of the read cursor; absent: the last message.
    read_seq: Option<u64>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct ReadAnswer {
    read_seq: Seq,
}

/// Moves the read cursor forward. A position before the cursor changes nothing.
#[utoipa::path(post, operation_id = "mark_chat_read", path = "/api/chats/{id}/read", params(("id" = i64, Path)), request_body = ReadBody,
    responses((status = 200, body = ReadAnswer), (status = 401), (status = 404), (status = 422)))]
pub(super) async fn mark_read(
    caller: AuthenticatedUser,
    id: Path<i64>,
    body: Body<ReadBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let seq = page::seq("read_seq", body.0.read_seq)?;
    let read_seq = services.mark_read(caller.0, ChatId(id.0), seq).await?;
    Ok(HttpResponse::Ok().json_line(ReadAnswer { read_seq }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UnreadMark)]
pub(super) struct UnreadBody {
    /// Messages from this seq on are unread.
    from_seq: u64,
}

/// Marks messages as unread.
///
/// The read cursor moves back to before `from_seq`, on every device of the caller.
#[utoipa::path(post, operation_id = "mark_chat_unread", path = "/api/chats/{id}/unread", params(("id" = i64, Path)), request_body = UnreadBody,
    responses((status = 200, body = ReadAnswer), (status = 401), (status = 404), (status = 422), (status = 429)))]
pub(super) async fn mark_unread(
    caller: AuthenticatedUser,
    id: Path<i64>,
    body: Body<UnreadBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let from = page::seq("from_seq", Some(body.0.from_seq))?.unwrap_or(0);
    let read_seq = services.mark_unread(caller.0, ChatId(id.0), from).await?;
    Ok(HttpResponse::Ok().json(ReadAnswer { read_seq }))
}

/// Marks all messages in all chats of the caller as read.
#[utoipa::path(post, operation_id = "mark_all_chats_read", path = "/api/chats/read",
    responses((status = 204), (status = 401), (status = 403)))]
pub(super) async fn mark_all_read(caller: AuthenticatedUser, services: web::Data<Services>) -> HttpResult {
    services.mark_all_read(caller.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Hides a direct chat from the list of the caller until its next message.
#[utoipa::path(put, operation_id = "hide_chat", path = "/api/chats/{id}/hidden", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn hide(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    services.set_hidden(caller.0, ChatId(id.0), true).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Shows a hidden direct chat again.
#[utoipa::path(delete, operation_id = "show_chat", path = "/api/chats/{id}/hidden", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn show(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    services.set_hidden(caller.0, ChatId(id.0), false).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifyBody {
    /// `all` (direct messages, replies, threads, mentions), `mentions`, `none`.
    #[schema(value_type = String)]
    level: NotifyLevel,
}

/// Sets the caller's notification level in the chat.
#[utoipa::path(put, operation_id = "set_notify_level", path = "/api/chats/{id}/notify", params(("id" = i64, Path)), request_body = NotifyBody,
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn set_notify_level(
    caller: AuthenticatedUser,
    id: Path<i64>,
    body: Body<NotifyBody>,
    services: web::Data<Services>,
) -> HttpResult {
    services.set_notify_level(caller.0, ChatId(id.0), body.0.level).await?;
    Ok(HttpResponse::NoContent().finish())
}
