//! Messages and events of a chat.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use super::schemas::{EventShape, MessageShape, PostShape};
use crate::core::shares::{Holder, Slot};
use crate::domain::event_page::{EventPage, EventRange};
use crate::domain::ids::{ChatId, FileId, MessageId, Seq};
use crate::domain::message::{ClientId, Message, NewMessage};
use crate::domain::metadata::Metadata;
use crate::domain::timestamp::Timestamp;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{AuthenticatedUser, Body, Path, Query};
use crate::protocol::json_size::{JSON_BYTES_MAX, json_bytes_max};
use crate::protocol::view::EventView;
use crate::services::messages::Choice;
use crate::services::{ServiceError, Services};

#[derive(Deserialize)]
pub(super) struct RangeQuery {
    before_seq: Option<u64>,
    after_seq: Option<u64>,
    limit: Option<i64>,
    thread: Option<i64>,
    pinned: Option<bool>,
}

impl RangeQuery {
    fn choice(&self) -> Result<Option<Choice>, HttpError> {
        match (self.thread, self.pinned.unwrap_or(false)) {
            (Some(_), true) => Err(HttpError::bad_request("thread and pinned cannot be combined")),
            (Some(id), false) => Ok(Some(Choice::Thread(MessageId(id)))),
            (None, true) => Ok(Some(Choice::Pinned)),
            (None, false) => Ok(None),
        }
    }

    fn range(&self, services: &Services, messages_only: bool) -> Result<EventRange, HttpError> {
        Ok(EventRange {
            before: page::seq("before_seq", self.before_seq)?,
            after: page::seq("after_seq", self.after_seq)?,
            limit: page::limit(self.limit, &services.limits)?,
            messages_only,
        })
    }
}

/// A page in ascending order of seq.
#[derive(Serialize, ToSchema)]
struct PageAnswer<T> {
    items: Vec<T>,
    has_more: bool,
}

/// Returns the link to the next page: further back, unless the client reads forward.
fn next_link(request: &HttpRequest, range: &EventRange, page: &EventPage) -> Option<String> {
    let edge = if range.after.is_some() { page.events.last() } else { page.events.first() };
    let (edge, name) =
        (edge.filter(|_| page.has_more)?, if range.after.is_some() { "after_seq" } else { "before_seq" });
    Some(page::link(request, &[(name, &edge.seq.to_string())], &[name]))
}

/// Returns a page, cut where it would become too large: a client that requests and does not read
/// must not cost much memory. A large page holds space that counts for the caller; without space it
/// is cut to a small page.
async fn page_of(
    services: &Services,
    caller: AuthenticatedUser,
    chat: ChatId,
    choice: Option<Choice>,
    range: EventRange,
) -> Result<(EventPage, Option<Slot>), HttpError> {
    let newest = range.after.is_none();
    let page = match choice {
        Some(choice) => services.chosen_messages(caller.0, chat, choice, range).await?,
        None => services.events(caller.0, chat, range).await?,
    };
    let (most, small) = (services.limits.server_frame_bytes, services.limits.answer_small_bytes);
    let about = page.bytes();
    if about <= small && page.events.iter().map(|event| json_bytes_max(event)).sum::<usize>() <= small {
        return Ok((page, None));
    }
    Ok(match services.answer_space(Holder::Account(caller.0.user), about.min(most)) {
        // Most pages are so small that they fit even if every byte is escaped.
        Some(space) if about * JSON_BYTES_MAX <= most => (page, Some(space)),
        Some(space) => (page.fit(newest, most, json_bytes_max), Some(space)),
        // Field names take a part of the space.
        None => (page.fit(newest, small / 4 * 3, json_bytes_max), None),
    })
}

/// Lists messages: the latest, or those before or after a seq.
///
/// With `thread`, lists the messages of the thread that contains that message; with `pinned`, the
/// pinned messages.
#[utoipa::path(get, operation_id = "list_messages", path = "/api/chats/{id}/messages",
    params(("id" = i64, Path), ("before_seq" = Option<u64>, Query), ("after_seq" = Option<u64>, Query), ("limit" = Option<i64>, Query),
        ("thread" = Option<i64>, Query), ("pinned" = Option<bool>, Query)),
    responses((status = 200, body = PageAnswer<MessageShape>), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn list(
    caller: AuthenticatedUser,
    request: HttpRequest,
    id: Path<i64>,
    query: Query<RangeQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let (range, choice) = (query.0.range(&services, true)?, query.0.choice()?);
    let (found, space) = page_of(&services, caller, ChatId(id.0), choice, range.clone()).await?;
    let items: Vec<&Message> =
        found.events.iter().filter_map(|event| event.message()).map(|m| &**m).collect();
    let (link, bytes) = (next_link(&request, &range, &found), found.bytes());
    page::read_about(&request, &PageAnswer { items, has_more: found.has_more }, link, (bytes, space))
}

/// Lists all events of a chat, including messages.
#[utoipa::path(get, operation_id = "list_events", path = "/api/chats/{id}/events",
    params(("id" = i64, Path), ("before_seq" = Option<u64>, Query), ("after_seq" = Option<u64>, Query), ("limit" = Option<i64>, Query)),
    responses((status = 200, body = PageAnswer<EventShape>), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn events(
    caller: AuthenticatedUser,
    request: HttpRequest,
    id: Path<i64>,
    query: Query<RangeQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let range = query.0.range(&services, false)?;
    if query.0.choice()?.is_some() {
        return Err(HttpError::bad_request("thread and pinned choose among messages, not events"));
    }
    let (found, space) = page_of(&services, caller, ChatId(id.0), None, range.clone()).await?;
    let items: Vec<_> = found.events.iter().map(|event| EventView::listed(event)).collect();
    let (link, bytes) = (next_link(&request, &range, &found), found.bytes());
    page::read_about(&request, &PageAnswer { items, has_more: found.has_more }, link, (bytes, space))
}

#[derive(Deserialize)]
pub(super) struct TimeQuery {
    /// RFC 3339.
    at: String,
}

/// A position in a chat.
#[derive(Serialize, ToSchema)]
struct SeqAnswer {
    seq: Seq,
}

/// Returns the seq of the first event at or after a time, or the newest seq.
///
/// If the clock of the server was set back, several events can be the first after this time. The
/// answer is one of them.
#[utoipa::path(get, operation_id = "get_seq_at_time", path = "/api/chats/{id}/seq",
    params(("id" = i64, Path), ("at" = String, Query, description = "RFC 3339, such as `2026-11-24T09:00:00Z`")),
    responses((status = 200, body = SeqAnswer), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn seq_at(
    caller: AuthenticatedUser,
    request: HttpRequest,
    id: Path<i64>,
    query: Query<TimeQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let at = Timestamp::parse_nearest(&query.0.at)
        .ok_or_else(|| HttpError::bad_request("at must be a time like 2026-11-24T09:00:00Z"))?;
    let seq = services.seq_at(caller.0, ChatId(id.0), at).await?;
    page::read(&request, &SeqAnswer { seq }, None)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MessageBody {
    /// 1 to 16384 bytes; may be empty with files.
    #[serde(default)]
    content: String,
    /// A UUID that permanently identifies this message; a retry with it is the same message.
    #[schema(value_type = Option<String>)]
    client_id: Option<ClientId>,
    #[schema(value_type = Option<i64>)]
    reply_to: Option<MessageId>,
    /// At most 4096 bytes of JSON.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Metadata>,
    /// Complete uploads of the sender to this chat, in the order in which they are shown.
    #[serde(default)]
    #[schema(value_type = Option<Vec<i64>>)]
    files: Vec<FileId>,
}

/// A message that was just written.
#[derive(Serialize)]
struct PostAnswer<'a> {
    #[serde(flatten)]
    message: &'a Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    unnotified: Option<bool>,
}

/// Posts a message: 201, or 200 when this `client_id` was used before.
#[utoipa::path(post, operation_id = "post_message", path = "/api/chats/{id}/messages", params(("id" = i64, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = MessageBody,
    responses((status = 201, body = PostShape), (status = 200, body = PostShape), (status = 401), (status = 403), (status = 404), (status = 413), (status = 422), (status = 429)))]
pub(super) async fn post(
    caller: AuthenticatedUser,
    request: HttpRequest,
    id: Path<i64>,
    body: Body<MessageBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let MessageBody { content, client_id, reply_to, metadata, files } = body.0;
    let key = idempotency_key(&request)?;
    if let (Some(key), Some(client_id)) = (key, client_id)
        && key != client_id
    {
        return Err(HttpError::bad_request("Idempotency-Key and client_id are different"));
    }
    let message = NewMessage::parse(key.or(client_id), content, reply_to, metadata, files)
        .map_err(ServiceError::from)?;
    let appended = services.post_message(caller.0, ChatId(id.0), message).await?;
    let mut response = if appended.duplicate { HttpResponse::Ok() } else { HttpResponse::Created() };
    let unnotified = appended.unnotified.then_some(true);
    Ok(response.json_line(PostAnswer { message: &appended.message, unnotified }))
}

/// Returns the key as a `client_id`: a UUID is used as it is, of any other text the first 16 bytes
/// of its SHA-256.
fn idempotency_key(request: &HttpRequest) -> Result<Option<ClientId>, HttpError> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > 255 {
        return Err(HttpError::bad_request("Idempotency-Key must be 1 to 255 printable characters"));
    }
    Ok(Some(ClientId::parse(text).unwrap_or_else(|_| {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut id = [0; 16];
        id.copy_from_slice(digest.split_at(16).0);
        ClientId(id)
    })))
}
