//! `/register`: a new account, while registration is open.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::welcome;
use crate::core::config::Secret;
use crate::http::error::HttpResult;
use crate::http::extract::{Peer, user_agent_of};
use crate::services::Services;
use crate::services::accounts::NewAccount;
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "account/register.html")]
struct RegisterPage {
    shell: Shell,
    problems: Problems,
    username: String,
    display_name: String,
    is_open: bool,
}

/// Returns the registration form.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    if visitor.who().is_some() {
        return Ok(see_other("/"));
    }
    let page = RegisterPage {
        shell: Shell::new(&request, &visitor, "Create account"),
        problems: Problems::default(),
        username: String::new(),
        display_name: String::new(),
        is_open: services.is_registration_open(),
    };
    layout::page(&request, &page).await
}

#[derive(Deserialize)]
pub(in crate::web) struct RegisterForm {
    username: String,
    #[serde(default)]
    display_name: String,
    password: Secret,
}

/// Creates the account and logs it in.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    peer: Peer,
    form: Form<RegisterForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let RegisterForm { username, display_name, password } = form.0;
    let new = NewAccount {
        username: username.clone(),
        password: password.expose().to_owned(),
        email: None,
        display_name: Some(display_name.clone()).filter(|name| !name.trim().is_empty()),
        setup_code: None,
    };
    match services.register_and_log_in(peer.0, user_agent_of(&request), new).await {
        Ok(login) => Ok(welcome(&request, login, "/")),
        Err(error) => {
            let problems = Problems::of(error)?;
            let status = problems.status();
            let page = RegisterPage {
                shell: Shell::new(&request, &visitor, "Create account"),
                problems,
                username,
                display_name,
                is_open: services.is_registration_open(),
            };
            layout::page_of(&request, status, &page).await
        }
    }
}
