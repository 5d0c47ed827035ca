//! `/people`: users by the beginning of their names.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use crate::http::address::percent_encoded;
use crate::http::error::HttpResult;
use crate::http::extract::Query;
use crate::services::Services;
use crate::web::layout::{self, Shell};
use crate::web::shown::Face;
use crate::web::visitor::Visitor;

/// Longer texts find no user: no user name is that long.
const SEARCH_BYTES_MAX: usize = 64;

#[derive(Template)]
#[template(path = "people/list.html")]
struct PeoplePage {
    shell: Shell,
    search: String,
    people: Vec<Face>,
    is_first: bool,
    next: Option<String>,
    first: String,
    /// Whether users find others only by their whole user names or in common chats.
    is_open: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct PeopleQuery {
    #[serde(default)]
    q: String,
    /// The user name after which the list continues.
    #[serde(default)]
    cursor: String,
}

/// Returns a page of the list.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    query: Query<PeopleQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let PeopleQuery { q: search, cursor } = query.0;
    let prefix = search.trim().trim_start_matches('@').to_lowercase();
    let is_first = cursor.is_empty();
    let found = if prefix.len() <= SEARCH_BYTES_MAX {
        services.users_by_prefix(who, prefix, cursor, services.limits.page_default).await?
    } else {
        Default::default()
    };
    let first = format!("/people?q={}", percent_encoded(&search));
    let page = PeoplePage {
        shell: Shell::new(&request, &visitor, "People"),
        people: found.users.iter().map(|user| Face::of(user)).collect(),
        next: found.next.map(|next| format!("{first}&cursor={}", percent_encoded(&next))),
        search,
        is_first,
        first,
        is_open: services.is_registration_open(),
    };
    layout::page(&request, &page).await
}
