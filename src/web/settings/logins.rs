//! `/settings/logins`: the visitor's logins, and their end.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

use super::device::device_name;
use super::shell;
use crate::actors::writer::commands::Logout;
use crate::domain::ids::LoginId;
use crate::http::cookie;
use crate::http::error::HttpResult;
use crate::http::extract::Path;
use crate::protocol::code::Code;
use crate::services::Services;
use crate::services::web_logins::LoginView;
use crate::web::layout::{self, Shell, see_other};
use crate::web::shown::Moment;
use crate::web::visitor::Visitor;

struct LoginRow {
    id: LoginId,
    device: String,
    address: String,
    is_browser: bool,
    is_current: bool,
    began: Moment,
    used: Moment,
}

impl From<LoginView> for LoginRow {
    fn from(LoginView { login, current }: LoginView) -> Self {
        Self {
            id: login.id,
            device: device_name(login.device.as_deref().unwrap_or_default()),
            address: login.address.unwrap_or_default(),
            is_browser: login.web,
            is_current: current,
            began: Moment::of(login.created_at),
            used: Moment::of(login.last_used_at.unwrap_or(login.created_at)),
        }
    }
}

#[derive(Template)]
#[template(path = "settings/logins.html")]
struct LoginsPage {
    shell: Shell,
    logins: Vec<LoginRow>,
    has_others: bool,
}

/// Returns the list.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let logins: Vec<_> = services.logins(who).await?.into_iter().map(LoginRow::from).collect();
    let page = LoginsPage {
        shell: shell(&request, &visitor, "Logins"),
        has_others: logins.iter().any(|login| !login.is_current),
        logins,
    };
    layout::page(&request, &page).await
}

/// Ends one login.
pub(in crate::web) async fn end(
    visitor: Visitor,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    match services.end_login_by_id(visitor.required()?, LoginId(id.0)).await {
        // It has ended meanwhile.
        Err(error) if error.code == Code::NotFound => {}
        outcome => outcome?,
    }
    Ok(see_other("/settings/logins?done=ended"))
}

/// Ends all logins but that of this browser.
pub(in crate::web) async fn end_others(visitor: Visitor, services: web::Data<Services>) -> HttpResult {
    services.logout(visitor.required()?, Logout::Others).await?;
    Ok(see_other("/settings/logins?done=others-ended"))
}

/// Ends all logins, and revokes the access tokens that were created within the last day.
pub(in crate::web) async fn end_all(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    services.logout(visitor.required()?, Logout::AllLogins).await?;
    let mut response: HttpResponse = see_other("/login");
    // The name and the empty value are always valid in a header.
    let _ = response.add_cookie(&cookie::ended(&request));
    Ok(response)
}
