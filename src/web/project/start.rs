//! `/`: the chat program; the projects for users without a chat and for anonymous visitors.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::row::ProjectRow;
use crate::domain::ids::{ChatId, ProjectId};
use crate::http::error::HttpResult;
use crate::services::Services;
use crate::web::layout::{self, Shell, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "project/start.html")]
struct StartPage {
    shell: Shell,
    projects: Vec<ProjectRow>,
    has_more: bool,
    is_open: bool,
}

/// Returns the start page. It leads to the chats of the visitor, and to the setup of a server
/// without an administrator.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    if visitor.who().is_none() && services.needs_setup().await? {
        return Ok(see_other("/setup"));
    }
    if let Some(who) = visitor.who()
        && !services.chats(who, ChatId(0), 1, false).await?.items.is_empty()
    {
        return Ok(see_other("/chat"));
    }
    let is_member = visitor.who().is_some();
    let limit = services.limits.page_default;
    let found = services.projects(visitor.who(), ProjectId(0), limit, is_member).await?;
    let page = StartPage {
        shell: Shell::new(&request, &visitor, if is_member { "Your projects" } else { "Welcome" }),
        has_more: found.has_more,
        projects: found.items.into_iter().map(ProjectRow::from).collect(),
        is_open: services.is_registration_open(),
    };
    layout::page(&request, &page).await
}
