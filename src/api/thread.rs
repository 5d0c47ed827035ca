//! The route of followed threads.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::thread::{FollowedThread, ThreadPlace};
use crate::domain::timestamp::Timestamp;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Query};
use crate::protocol::code::Code;
use crate::services::{ServiceError, Services};

#[derive(Deserialize)]
pub(super) struct ThreadsQuery {
    /// Only threads with unread replies.
    #[serde(default)]
    unread: bool,
    limit: Option<i64>,
    /// `next` of the previous page.
    cursor: Option<String>,
}

/// A thread that the caller follows.
#[derive(Serialize, ToSchema)]
pub(super) struct Thread {
    #[schema(value_type = i64)]
    chat_id: ChatId,
    /// The first message of the thread.
    #[schema(value_type = i64)]
    thread_id: MessageId,
    /// The position of the first message.
    seq: Seq,
    /// The sender of the first message.
    #[schema(value_type = i64)]
    sender_id: UserId,
    /// The first 200 characters of the first message; absent if it was deleted.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    excerpt: String,
    /// Replies of others that the caller has not read, of the newest 100 replies.
    unread_count: i64,
    last_reply: LastReply,
}

/// The newest reply of another user.
#[derive(Serialize, ToSchema)]
pub(super) struct LastReply {
    #[schema(value_type = i64)]
    message_id: MessageId,
    seq: Seq,
    #[schema(value_type = i64)]
    sender_id: UserId,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

impl From<FollowedThread> for Thread {
    fn from(thread: FollowedThread) -> Self {
        let last = thread.last_reply;
        Self {
            chat_id: thread.chat_id,
            thread_id: thread.thread_id,
            seq: thread.seq,
            sender_id: thread.sender_id,
            excerpt: thread.excerpt,
            unread_count: thread.unread_count,
            last_reply: LastReply {
                message_id: last.message_id,
                seq: last.seq,
                sender_id: last.sender_id,
                created_at: last.created_at,
            },
        }
    }
}

/// Lists the threads that the caller follows, those with the newest replies first.
///
/// A thread is unread while it has a reply of another user above the caller's read cursor in its
/// chat. A request reads a bounded number of rows: a user who follows thousands of threads gets
/// them in several parts, and a page with `next` may be empty.
#[utoipa::path(get, operation_id = "list_threads", path = "/api/chats/threads",
    params(("unread" = Option<bool>, Query), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = page::Items<Thread>), (status = 400), (status = 401), (status = 403), (status = 429)))]
pub(super) async fn list(
    caller: AuthenticatedUser,
    request: HttpRequest,
    query: Query<ThreadsQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let ThreadsQuery { unread, limit, cursor } = query.0;
    let limit = page::limit(limit, &services.limits)?;
    let place = match cursor {
        None => ThreadPlace::FIRST,
        Some(cursor) => ThreadPlace::parse(&cursor)
            .ok_or_else(|| ServiceError::new(Code::BadRequest, "cursor must be `next` of a page"))?,
    };
    let found = services.followed_threads(caller.0, unread, place, limit).await?;
    let next = found.next.map(|next| next.to_string());
    page::items(&request, found.items.into_iter().map(Thread::from).collect(), next)
}
