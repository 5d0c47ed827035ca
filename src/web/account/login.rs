//! `/login` and `/logout`.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::welcome;
use crate::actors::writer::commands::Logout;
use crate::core::config::Secret;
use crate::http::cookie;
use crate::http::error::HttpResult;
use crate::http::extract::{Peer, Query, user_agent_of};
use crate::services::Services;
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell, own_path, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "account/login.html")]
struct LoginPage {
    shell: Shell,
    problems: Problems,
    username: String,
    next: String,
    is_open: bool,
    /// Whether the visitor had a login that has ended.
    has_ended: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct Next {
    #[serde(default)]
    next: String,
}

/// Returns the login form; for a user who is logged in, a redirect.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    query: Query<Next>,
    services: web::Data<Services>,
) -> HttpResult {
    let next = own_path(&query.0.next);
    if visitor.who().is_some() {
        return Ok(see_other(next));
    }
    if services.needs_setup().await? {
        return Ok(see_other("/setup"));
    }
    let page = LoginPage {
        shell: Shell::new(&request, &visitor, "Log in"),
        problems: Problems::default(),
        username: String::new(),
        next: next.to_owned(),
        is_open: services.is_registration_open(),
        has_ended: visitor.has_ended(),
    };
    layout::page(&request, &page).await
}

#[derive(Deserialize)]
pub(in crate::web) struct LoginForm {
    username: String,
    password: Secret,
    #[serde(default)]
    next: String,
}

/// Starts a login.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    peer: Peer,
    form: Form<LoginForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let LoginForm { username, password, next } = form.0;
    let (device, password) = (user_agent_of(&request), password.expose().to_owned());
    match services.web_login(peer.0, device, username.clone(), password).await {
        Ok(login) => Ok(welcome(&request, login, &next)),
        Err(error) => {
            let problems = Problems::of(error)?;
            let status = problems.status();
            let page = LoginPage {
                shell: Shell::new(&request, &visitor, "Log in"),
                problems,
                username,
                next: own_path(&next).to_owned(),
                is_open: services.is_registration_open(),
                has_ended: false,
            };
            layout::page_of(&request, status, &page).await
        }
    }
}

/// Ends the login of this browser.
pub(in crate::web) async fn logout(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    if let Some(who) = visitor.who() {
        services.logout(who, Logout::This).await?;
    }
    let mut response: HttpResponse = see_other("/login");
    // The name and the empty value are always valid in a header.
    let _ = response.add_cookie(&cookie::ended(&request));
    Ok(response)
}
