//! `/projects`: all projects that the visitor may read, or only the visitor's own.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::row::ProjectRow;
use crate::domain::ids::ProjectId;
use crate::http::error::HttpResult;
use crate::http::extract::Query;
use crate::services::Services;
use crate::web::layout::{self, Shell};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "project/list.html")]
struct ListPage {
    shell: Shell,
    projects: Vec<ProjectRow>,
    /// Whether only projects of the visitor are listed.
    is_own: bool,
    is_first: bool,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(in crate::web) struct ListQuery {
    /// `1`: only projects that the visitor is a member of.
    member: Option<String>,
    cursor: Option<i64>,
}

/// Returns a page of the list.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    query: Query<ListQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let is_own = visitor.who().is_some() && query.0.member.as_deref() == Some("1");
    let (after, limit) = (ProjectId(query.0.cursor.unwrap_or(0)), services.limits.page_default);
    let found = services.projects(visitor.who(), after, limit, is_own).await?;
    let own = if is_own { "member=1&" } else { "" };
    let next = found.next_cursor(|view| format!("/projects?{own}cursor={}", view.project.id));
    let page = ListPage {
        shell: Shell::new(&request, &visitor, "Projects"),
        projects: found.items.into_iter().map(ProjectRow::from).collect(),
        is_own,
        is_first: after == ProjectId(0),
        next,
    };
    layout::page(&request, &page).await
}
