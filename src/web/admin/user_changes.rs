//! `/admin/users/{username}/role` and `…/password`: forms with which an administrator gives or
//! takes the role of an administrator, and sets the password of a user. Each asks for the
//! administrator's own password.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::shell;
use super::users::page_of;
use crate::core::config::Secret;
use crate::domain::user::User;
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Path, Peer};
use crate::services::administrators::ProvingAdministrator;
use crate::services::{ServiceError, Services};
use crate::web::form::{Form, Problems, check_typed};
use crate::web::layout::{self, Crumb, Shell, see_other};
use crate::web::visitor::Visitor;

/// The user to change, as both pages show it.
struct Subject {
    username: String,
    is_admin: bool,
    is_self: bool,
    /// The page of the user.
    href: String,
}

impl Subject {
    async fn load(visitor: &Visitor, username: &str, services: &Services) -> Result<Self, HttpError> {
        let who = visitor.required()?;
        // Others must not learn which names exist.
        services.check_administrator(who).await?;
        let named = services.person(who, username.to_owned()).await?;
        let users = services.users_to_administer(who, [named.id].into()).await?;
        let user: &User = users.first().unwrap_or(&named);
        Ok(Self {
            href: page_of(&user.username),
            username: user.username.clone(),
            is_admin: user.is_admin,
            is_self: user.id == who.user,
        })
    }

    fn shell(&self, request: &HttpRequest, visitor: &Visitor, title: &str) -> Shell {
        let crumbs = [Crumb::new("Administration", "/admin/users"), Crumb::new(&self.username, &self.href)];
        shell(request, visitor, &format!("{title} · {}", self.username)).crumbs(crumbs)
    }
}

/// A form about a user, which asks for the administrator's own password.
trait UserForm: Template + Sized {
    const TITLE: &str;

    fn new(shell: Shell, subject: Subject, problems: Problems) -> Self;

    /// Returns the page with the form; after a refusal with its problems and its status.
    async fn page(
        request: &HttpRequest,
        visitor: &Visitor,
        username: &str,
        services: &Services,
        problems: Problems,
    ) -> HttpResult {
        let subject = Subject::load(visitor, username, services).await?;
        let (shell, status) = (subject.shell(request, visitor, Self::TITLE), problems.status());
        layout::page_of(request, status, &Self::new(shell, subject, problems)).await
    }

    /// Returns the page of the user after a change, or the form again after a refusal.
    async fn answer(
        request: &HttpRequest,
        visitor: &Visitor,
        username: &str,
        services: &Services,
        changed: Result<&'static str, ServiceError>,
    ) -> HttpResult {
        match changed {
            Ok(done) => Ok(see_other(&format!("{}?done={done}", page_of(username)))),
            Err(error) => Self::page(request, visitor, username, services, Problems::of(error)?).await,
        }
    }
}

#[derive(Template)]
#[template(path = "admin/user_role.html")]
struct RolePage {
    shell: Shell,
    subject: Subject,
    problems: Problems,
}

impl UserForm for RolePage {
    const TITLE: &str = "Role";

    fn new(shell: Shell, subject: Subject, problems: Problems) -> Self {
        Self { shell, subject, problems }
    }
}

#[derive(Template)]
#[template(path = "admin/user_password.html")]
struct PasswordPage {
    shell: Shell,
    subject: Subject,
    problems: Problems,
}

impl UserForm for PasswordPage {
    const TITLE: &str = "Password";

    fn new(shell: Shell, subject: Subject, problems: Problems) -> Self {
        Self { shell, subject, problems }
    }
}

/// Returns the form with which the role changes.
pub(in crate::web) async fn show_role(
    visitor: Visitor,
    request: HttpRequest,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    RolePage::page(&request, &visitor, &username.0, &services, Problems::default()).await
}

#[derive(Deserialize)]
pub(in crate::web) struct RoleForm {
    is_admin: bool,
    /// The typed name of the user.
    #[serde(default)]
    confirm_name: String,
    own_password: Secret,
}

/// Makes the user an administrator, or an ordinary user.
pub(in crate::web) async fn set_role(
    visitor: Visitor,
    request: HttpRequest,
    peer: Peer,
    username: Path<String>,
    form: Form<RoleForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (username, RoleForm { is_admin, confirm_name, own_password }) = (username.0, form.0);
    let by = proving(&visitor, &peer, &own_password)?;
    let changed = match check_typed("confirm_name", &confirm_name, &username) {
        Ok(()) => services.set_user_admin(by, username.clone(), is_admin).await,
        Err(error) => Err(error),
    };
    let changed = changed.map(|()| if is_admin { "promoted" } else { "demoted" });
    RolePage::answer(&request, &visitor, &username, &services, changed).await
}

/// Returns the form that sets the password.
pub(in crate::web) async fn show_password(
    visitor: Visitor,
    request: HttpRequest,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    PasswordPage::page(&request, &visitor, &username.0, &services, Problems::default()).await
}

#[derive(Deserialize)]
pub(in crate::web) struct PasswordForm {
    new_password: Secret,
    /// The typed name of the user.
    #[serde(default)]
    confirm_name: String,
    own_password: Secret,
}

/// Sets the password of the user.
pub(in crate::web) async fn set_password(
    visitor: Visitor,
    request: HttpRequest,
    peer: Peer,
    username: Path<String>,
    form: Form<PasswordForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (username, PasswordForm { new_password, confirm_name, own_password }) = (username.0, form.0);
    let by = proving(&visitor, &peer, &own_password)?;
    let password = new_password.expose().to_owned();
    let changed = match check_typed("confirm_name", &confirm_name, &username) {
        Ok(()) => services.set_password_of(by, username.clone(), password).await,
        Err(error) => Err(error),
    };
    let changed = changed.map(|()| "password-set");
    PasswordPage::answer(&request, &visitor, &username, &services, changed).await
}

fn proving(visitor: &Visitor, peer: &Peer, own_password: &Secret) -> Result<ProvingAdministrator, HttpError> {
    let own_password = own_password.expose().to_owned();
    Ok(ProvingAdministrator { who: visitor.required()?, from: peer.0, own_password })
}
