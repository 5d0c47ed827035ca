//! `/admin/users`: all users, and their deactivation.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::shell;
use crate::core::saturate;
use crate::domain::ids::UserId;
use crate::domain::page::Page;
use crate::http::address::percent_encoded;
use crate::http::error::HttpResult;
use crate::http::extract::{Path, Query};
use crate::services::{ServiceError, Services};
use crate::web::form::{Form, Problems, check_typed};
use crate::web::layout::{self, Crumb, Shell, see_other};
use crate::web::shown::{Face, Moment};
use crate::web::visitor::Visitor;

struct UserRow {
    face: Face,
    email: String,
    is_admin: bool,
    is_active: bool,
    is_self: bool,
    created: Moment,
    /// The page on which the user is deactivated or reactivated.
    href: String,
}

#[derive(Template)]
#[template(path = "admin/users.html")]
struct UsersPage {
    shell: Shell,
    search: String,
    users: Vec<UserRow>,
    is_first: bool,
    next: Option<String>,
    first: String,
}

#[derive(Deserialize)]
pub(in crate::web) struct UsersQuery {
    #[serde(default)]
    q: String,
    cursor: Option<i64>,
}

/// Returns the address of the page of a user.
pub(super) fn page_of(username: &str) -> String {
    format!("/admin/users/{}", percent_encoded(username))
}

/// Leads `/admin` to the first page of the administration.
pub(in crate::web) async fn lead() -> HttpResponse {
    see_other("/admin/users")
}

/// Returns a page of the list.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    query: Query<UsersQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let UsersQuery { q: search, cursor } = query.0;
    let (above, limit) = (UserId(cursor.unwrap_or(0)), services.limits.page_default);
    let prefix = search.trim().to_lowercase();
    let wanted = saturate::to_i64(limit).saturating_add(1);
    let found = Page::take(services.users(Some(who), above, prefix, wanted).await?, limit);
    let first = format!("/admin/users?q={}", percent_encoded(&search));
    let next = found.next_cursor(|user| format!("{first}&cursor={}", user.id));
    let rows = found.items.iter().map(|user| UserRow {
        face: Face::of(user),
        email: user.email.clone().unwrap_or_default(),
        is_admin: user.is_admin,
        is_active: user.active,
        is_self: user.id == who.user,
        created: Moment::of(user.created_at),
        href: page_of(&user.username),
    });
    let page = UsersPage {
        shell: shell(&request, &visitor, "Users"),
        users: rows.collect(),
        search,
        is_first: above == UserId(0),
        next,
        first,
    };
    layout::page(&request, &page).await
}

#[derive(Template)]
#[template(path = "admin/user.html")]
struct UserPage {
    shell: Shell,
    problems: Problems,
    face: Face,
    action: String,
    email: String,
    is_admin: bool,
    is_active: bool,
    is_self: bool,
    created: Moment,
}

impl UserPage {
    async fn load(
        request: &HttpRequest,
        visitor: &Visitor,
        username: &str,
        services: &Services,
    ) -> Result<Self, ServiceError> {
        let who = visitor.who().ok_or_else(ServiceError::unauthenticated)?;
        // The list checks the administrator, and has the address that others do not see.
        let named = services.person(who, username.to_owned()).await?;
        let users = services.users_to_administer(who, [named.id].into()).await?;
        let user = users.first().unwrap_or(&named);
        let shell = shell(request, visitor, &user.username);
        let users = Crumb::new("Users", "/admin/users");
        Ok(Self {
            shell: shell.crumbs([Crumb::new("Administration", "/admin/users"), users]),
            problems: Problems::default(),
            face: Face::of(user),
            action: page_of(&user.username),
            email: user.email.clone().unwrap_or_default(),
            is_admin: user.is_admin,
            is_active: user.active,
            is_self: user.id == who.user,
            created: Moment::of(user.created_at),
        })
    }
}

/// Returns the page on which an administrator deactivates or reactivates a user.
pub(in crate::web) async fn show_user(
    visitor: Visitor,
    request: HttpRequest,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    visitor.required()?;
    layout::page(&request, &UserPage::load(&request, &visitor, &username.0, &services).await?).await
}

#[derive(Deserialize)]
pub(in crate::web) struct ActiveForm {
    active: bool,
    /// The typed name, to deactivate the user.
    #[serde(default)]
    confirm_name: String,
}

/// Deactivates or reactivates a user.
pub(in crate::web) async fn set_active(
    visitor: Visitor,
    request: HttpRequest,
    username: Path<String>,
    form: Form<ActiveForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let (username, ActiveForm { active, confirm_name }) = (username.0, form.0);
    let confirmed = if active { Ok(()) } else { check_typed("confirm_name", &confirm_name, &username) };
    let changed = match confirmed {
        Ok(()) => services.set_user_active(who, username.clone(), active).await.map(drop),
        Err(error) => Err(error),
    };
    match changed {
        Ok(()) => {
            let done = if active { "reactivated" } else { "deactivated" };
            Ok(see_other(&format!("{}?done={done}", page_of(&username))))
        }
        Err(error) => {
            let problems = Problems::of(error)?;
            let status = problems.status();
            let page = UserPage::load(&request, &visitor, &username, &services).await?;
            layout::page_of(&request, status, &UserPage { problems, ..page }).await
        }
    }
}
