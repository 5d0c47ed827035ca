//! `/setup`: the first administrator of a server that has none.
//!
//! The code is in the fragment of the printed address (`/setup#code=…`), which browsers do not
//! send. The script of the page writes it into the form; without a script the user copies it.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::welcome;
use crate::core::config::Secret;
use crate::http::address::is_https;
use crate::http::error::HttpResult;
use crate::http::extract::{Peer, user_agent_of};
use crate::services::Services;
use crate::services::accounts::NewAccount;
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "account/setup.html")]
struct SetupPage {
    shell: Shell,
    problems: Problems,
    username: String,
    code: String,
    /// Whether the connection is neither encrypted nor inside this machine.
    is_exposed: bool,
}

impl SetupPage {
    fn new(request: &HttpRequest, visitor: &Visitor, peer: &Peer) -> Self {
        Self {
            shell: Shell::new(request, visitor, "Set up"),
            problems: Problems::default(),
            username: String::new(),
            code: String::new(),
            is_exposed: !is_https(request) && !peer.0.is_loopback(),
        }
    }
}

/// Returns the setup form; a server with an administrator leads to the login page.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    peer: Peer,
    services: web::Data<Services>,
) -> HttpResult {
    if !services.needs_setup().await? {
        return Ok(see_other(if visitor.who().is_some() { "/" } else { "/login" }));
    }
    layout::page(&request, &SetupPage::new(&request, &visitor, &peer)).await
}

#[derive(Deserialize)]
pub(in crate::web) struct SetupForm {
    username: String,
    password: Secret,
    #[serde(default)]
    code: String,
}

/// Creates the administrator and logs the browser in.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    peer: Peer,
    form: Form<SetupForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let SetupForm { username, password, code } = form.0;
    // The whole address may have been copied.
    let code = code.rsplit("code=").next().unwrap_or_default().trim().to_owned();
    let new = NewAccount {
        username: username.clone(),
        password: password.expose().to_owned(),
        email: None,
        display_name: None,
        setup_code: Some(code.clone()),
    };
    match services.register_and_log_in(peer.0, user_agent_of(&request), new).await {
        Ok(login) => Ok(welcome(&request, login, "/projects/new")),
        Err(error) => {
            let problems = Problems::of(error)?;
            let status = problems.status();
            let page = SetupPage { problems, username, code, ..SetupPage::new(&request, &visitor, &peer) };
            layout::page_of(&request, status, &page).await
        }
    }
}
