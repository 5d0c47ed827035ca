//! `/people/{username}`: a user, the user's own projects that the visitor may read, and the way to
//! the direct chat.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use askama::Template;

use crate::domain::chat::ChatKind;
use crate::http::address::percent_encoded;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::Path;
use crate::protocol::code::Code;
use crate::services::Services;
use crate::services::chats::ChatRequest;
use crate::web::layout::{self, Crumb, Shell, see_other};
use crate::web::project::row::ProjectRow;
use crate::web::shown::{Face, Moment};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "people/show.html")]
struct PersonPage {
    shell: Shell,
    face: Face,
    is_self: bool,
    is_active: bool,
    since: Moment,
    projects: Vec<ProjectRow>,
    has_more: bool,
}

/// Returns the page of a user.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let user = services.person(who, username.0).await?;
    let limit = services.limits.page_default;
    let found = services.projects_owned_by(Some(who), user.id, limit).await?;
    let shell = Shell::new(&request, &visitor, format!("{} · People", user.username));
    let page = PersonPage {
        shell: shell.crumbs([Crumb::new("People", "/people")]),
        face: Face::of(&user),
        is_self: user.id == who.user,
        is_active: user.active,
        since: Moment::of(user.created_at),
        has_more: found.has_more,
        projects: found.items.into_iter().map(ProjectRow::from).collect(),
    };
    layout::page(&request, &page).await
}

/// Finds or makes the direct chat with the user, and leads to it.
pub(in crate::web) async fn message(
    visitor: Visitor,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let request = ChatRequest { kind: ChatKind::Direct, name: None, participants: vec![username.0] };
    let (found, _existed) = services.create_chat(who, request).await?;
    Ok(see_other(&format!("/chat/{}", found.chat.id)))
}

/// Leads from `/{user}`, the namespace of a user's projects, to the page of the user. Other
/// visitors do not learn which users exist.
pub(in crate::web) async fn lead(
    visitor: Visitor,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    let missing = || HttpError::of_status(StatusCode::NOT_FOUND);
    let who = visitor.who().ok_or_else(missing)?;
    match services.person(who, username.0).await {
        Ok(user) => Ok(see_other(&format!("/people/{}", percent_encoded(&user.username)))),
        Err(error) if error.code == Code::NotFound => Err(missing()),
        Err(error) => Err(error.into()),
    }
}
