//! The route of messages about lines of a file.

use actix_web::{HttpRequest, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page;
use super::repo;
use crate::domain::code_talk::CodeTalk;
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::permission::project::Act;
use crate::domain::timestamp::Timestamp;
use crate::git::browse::Oid;
use crate::http::address::query_path;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Path, Query, counted};
use crate::http::validator::Validator;
use crate::services::Services;
use crate::services::access::RepositoryPath;
use crate::services::talks::SameFiles;

#[derive(Deserialize)]
pub(super) struct TalksQuery {
    /// The file.
    path: String,
    /// The ref or commit that is shown: each message has `unchanged` then.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// `next` of the previous page.
    cursor: Option<i64>,
}

/// A message about lines of a file.
#[derive(Serialize, ToSchema)]
pub(super) struct Talk {
    #[schema(value_type = i64)]
    message_id: MessageId,
    #[schema(value_type = i64)]
    chat_id: ChatId,
    seq: Seq,
    #[schema(value_type = i64)]
    sender_id: UserId,
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// The commit in which the lines have these numbers, as the sender named it. It may not exist.
    oid: String,
    /// The first line.
    from: i64,
    /// The last line.
    to: i64,
    /// The number of replies in the thread that the message begins, at most 100.
    replies: i64,
    /// With `ref`: whether the file at `ref` has the same content as at `oid`, so that it has the
    /// same lines. Absent if it is not known: see section 19 of the protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged: Option<bool>,
}

impl Talk {
    fn of(talk: CodeTalk, same: &SameFiles) -> Self {
        let unchanged = Oid::parse(&talk.oid).and_then(|oid| same.known.get(&oid).copied());
        Self {
            message_id: talk.message_id,
            chat_id: talk.chat_id,
            seq: talk.seq,
            sender_id: talk.sender_id,
            created_at: talk.created_at,
            oid: talk.oid,
            from: talk.from,
            to: talk.to,
            replies: talk.replies,
            unchanged,
        }
    }
}

/// Lists the messages about lines of a file, newest first, at most 200 in a page.
///
/// These are the messages in the channel of the project whose `metadata.code` names the file. For
/// users: an access token needs a scope that reads chats besides one that reads the repository.
#[utoipa::path(get, operation_id = "list_talks", path = "/api/projects/{user}/{project}/repos/{repo}/talks",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path), ("path" = String, Query), ("ref" = Option<String>, Query), ("cursor" = Option<i64>, Query)),
    responses((status = 200, body = page::Items<Talk>), (status = 304), (status = 308), (status = 400), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn list(
    caller: AuthenticatedUser,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    query: Query<TalksQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.repository(Some(caller.0), &at.0, Act::Read).await?;
    let view = counted(&request, view)?;
    if let Some(answer) = repo::moved(&request, &view) {
        return Ok(answer);
    }
    let TalksQuery { path, reference, cursor } = query.0;
    let path = query_path(&request, "path", path);
    let found = services.talks(caller.0, &view, path.clone(), cursor.map(MessageId)).await?;
    let next = found.next_cursor(|last| last.message_id.to_string());
    let Some(reference) = reference else {
        let items = found.items.into_iter().map(|talk| Talk::of(talk, &SameFiles::default()));
        return page::items(&request, items.collect(), next);
    };
    let shown = services.resolve(&view, Some(reference)).await?;
    // The talks and the commit determine the answer, so an unchanged one costs no comparison.
    let validator = Validator::of_view(&request, &[&shown], &format!("{:?} {next:?}", found.items));
    if let Some(answer) = validator.unchanged(&request) {
        return Ok(answer);
    }
    let same = services.same_files(&view, path, shown.oid, &found.items).await?;
    let items = found.items.into_iter().map(|talk| Talk::of(talk, &same)).collect();
    let link = next.as_ref().map(|cursor| page::link(&request, &[("cursor", cursor)], &["cursor"]));
    validator.json((&services, view.holder), &page::Items::<Talk> { items, next }, same.is_cut, link).await
}
