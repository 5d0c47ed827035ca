//! The route of the search.

use actix_web::{HttpRequest, web};
use serde::Deserialize;

use super::page;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Query};
use crate::protocol::found::Found;
use crate::services::Services;
use crate::services::search::SearchRequest;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SearchKeys {
    q: String,
    #[serde(rename = "in")]
    groups: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Searches messages, code, commits and users.
///
/// Finds messages in the chats that the caller can read, the newest first, files and commits of the
/// default branches of repositories that the caller can read, and users as
/// `GET /api/users?prefix=` does. `q` has words, `"phrases"`, `-excluded` words, and filters: for
/// messages `from:`, `in:`, `before:`, `after:`, `has:link`, `has:code`, `has:file` and
/// `is:pinned`; for code `repo:`, `path:` and `lang:`; for commits `repo:`, `from:`, `before:` and
/// `after:`. A group that cannot answer the filters is left out. In code, a word is a literal of at
/// least 3 characters; without upper-case letters it ignores the case of ASCII letters. In messages
/// and commits, the last word may be the beginning of a word. A message is found some 100 ms after
/// it was sent, a push some time after it was announced.
#[utoipa::path(get, operation_id = "search_messages_and_users", path = "/api/search",
    params(("q" = String, Query, description = "the query, at most 256 bytes"),
        ("in" = Option<String>, Query, description = "the groups, separated by commas: `messages`, `code`, `commits`, `people`; absent: all"),
        ("limit" = Option<i64>, Query, description = "hits of each group"),
        ("cursor" = Option<String>, Query, description = "the `next` of a group, with this group alone in `in`")),
    responses((status = 200, body = Found), (status = 400), (status = 401), (status = 403), (status = 422), (status = 429)))]
pub(super) async fn search(
    caller: AuthenticatedUser,
    request: HttpRequest,
    keys: Query<SearchKeys>,
    services: web::Data<Services>,
) -> HttpResult {
    let SearchKeys { q, groups, limit, cursor } = keys.0;
    let limit = page::limit(limit, &services.limits)?;
    let search = SearchRequest::parse(&q, groups.as_deref(), limit, cursor)?;
    page::read(&request, &services.search(caller.0, search).await?, None)
}
