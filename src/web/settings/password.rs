//! `/settings/password`: a new password, which ends all logins.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::shell;
use crate::core::config::Secret;
use crate::http::error::HttpResult;
use crate::http::extract::{Peer, user_agent_of};
use crate::services::{ServiceError, Services};
use crate::web::account::welcome;
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "settings/password.html")]
struct PasswordPage {
    shell: Shell,
    problems: Problems,
    /// For password managers, which keep the name with the password.
    username: String,
}

impl PasswordPage {
    fn new(request: &HttpRequest, visitor: &Visitor) -> Result<Self, ServiceError> {
        let user = visitor.user().ok_or_else(ServiceError::unauthenticated)?;
        Ok(Self {
            shell: shell(request, visitor, "Password"),
            problems: Problems::default(),
            username: user.username.clone(),
        })
    }
}

/// Returns the form.
pub(in crate::web) async fn show(visitor: Visitor, request: HttpRequest) -> HttpResult {
    layout::page(&request, &PasswordPage::new(&request, &visitor)?).await
}

#[derive(Deserialize)]
pub(in crate::web) struct PasswordForm {
    current_password: Secret,
    new_password: Secret,
}

/// Changes the password, and logs this browser in again: its login has ended with all others.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    peer: Peer,
    form: Form<PasswordForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let page = PasswordPage::new(&request, &visitor)?;
    let PasswordForm { current_password, new_password } = form.0;
    let (current, new) = (current_password.expose().to_owned(), new_password.expose().to_owned());
    let user = match services.change_password(who, peer.0, current, new).await {
        Ok(user) => user,
        Err(error) => {
            let problems = Problems::of(error)?;
            let status = problems.status();
            return layout::page_of(&request, status, &PasswordPage { problems, ..page }).await;
        }
    };
    match services.log_in_again(peer.0, user_agent_of(&request), user).await {
        Ok(login) => Ok(welcome(&request, login, "/settings/password?done=changed")),
        // The password is changed; the user can log in with it.
        Err(error) => {
            error.log_causes();
            Ok(see_other("/login"))
        }
    }
}
