//! `/settings/tokens/new`: a new access token, which is shown once.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::shell;
use super::tokens::in_words;
use crate::core::config::Secret;
use crate::domain::access::{Credential, Scope};
use crate::domain::ids::ProjectId;
use crate::domain::timestamp::Timestamp;
use crate::http::address::base_url;
use crate::http::error::HttpResult;
use crate::http::extract::Peer;
use crate::protocol::code::Code;
use crate::services::tokens::TokenRequest;
use crate::services::{FieldProblem, ServiceError, Services};
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell};
use crate::web::shown::Moment;
use crate::web::visitor::Visitor;

/// A scope in the form.
struct ScopeChoice {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    is_chosen: bool,
}

impl ScopeChoice {
    fn new(scope: Scope, chosen: &[Scope]) -> Self {
        let help = match scope {
            Scope::RepoRead => "See your projects and repositories, clone and fetch.",
            Scope::RepoWrite => "Push; create and change repositories, as far as your role allows.",
            Scope::ChatRead => "Read chats, notifications and presence.",
            Scope::ChatWrite => "Write messages, and change chats as you may.",
            Scope::Admin => "Change members, visibility and settings of your projects, and delete them.",
            Scope::ServerAdmin => "Deactivate users, read the audit log and the state of the server.",
        };
        Self { name: scope.as_str(), label: in_words(scope), help, is_chosen: chosen.contains(&scope) }
    }
}

/// Lifetimes in the form, in days; 0 is never.
const LIFETIMES: [(i64, &str); 6] =
    [(7, "7 days"), (30, "30 days"), (90, "90 days"), (180, "180 days"), (365, "a year"), (0, "never")];

#[derive(Template)]
#[template(path = "settings/new_token.html")]
struct NewTokenPage {
    shell: Shell,
    problems: Problems,
    typed_name: String,
    scopes: Vec<ScopeChoice>,
    repositories: String,
    lifetimes: Vec<(i64, &'static str)>,
    days: i64,
    /// The login is too old to create a token without the password.
    needs_password: bool,
}

impl NewTokenPage {
    async fn new(
        request: &HttpRequest,
        visitor: &Visitor,
        who: Credential,
        services: &Services,
        chosen: &[Scope],
    ) -> Result<Self, ServiceError> {
        let logins = services.logins(who).await?;
        let fresh_since = Timestamp::now().plus_seconds(-services.limits.fresh_login_seconds);
        let is_fresh = logins.iter().any(|view| view.current && view.login.created_at > fresh_since);
        let is_admin = visitor.is_admin();
        let offered = Scope::ALL.into_iter().filter(|scope| is_admin || *scope != Scope::ServerAdmin);
        let may_be_endless = services.allows_endless_tokens();
        Ok(Self {
            shell: shell(request, visitor, "New access token"),
            problems: Problems::default(),
            typed_name: String::new(),
            scopes: offered.map(|scope| ScopeChoice::new(scope, chosen)).collect(),
            repositories: String::new(),
            lifetimes: LIFETIMES.into_iter().filter(|(days, _)| *days > 0 || may_be_endless).collect(),
            days: services.limits.token_default_days,
            needs_password: !is_fresh,
        })
    }
}

/// Returns the form.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let chosen = [Scope::RepoRead];
    let page = NewTokenPage::new(&request, &visitor, who, &services, &chosen).await?;
    layout::page(&request, &page).await
}

/// The form. A checkbox is absent when it is not checked.
#[derive(Deserialize)]
pub(in crate::web) struct NewTokenForm {
    name: String,
    #[serde(rename = "repo:read")]
    repo_read: Option<String>,
    #[serde(rename = "repo:write")]
    repo_write: Option<String>,
    #[serde(rename = "chat:read")]
    chat_read: Option<String>,
    #[serde(rename = "chat:write")]
    chat_write: Option<String>,
    admin: Option<String>,
    #[serde(rename = "server:admin")]
    server_admin: Option<String>,
    /// One `owner/project/repository` a line; empty: all.
    #[serde(default)]
    repositories: String,
    days: i64,
    password: Option<Secret>,
}

impl NewTokenForm {
    fn scopes(&self) -> Vec<Scope> {
        let checked = |scope: &Scope| match scope {
            Scope::RepoRead => self.repo_read.is_some(),
            Scope::RepoWrite => self.repo_write.is_some(),
            Scope::ChatRead => self.chat_read.is_some(),
            Scope::ChatWrite => self.chat_write.is_some(),
            Scope::Admin => self.admin.is_some(),
            Scope::ServerAdmin => self.server_admin.is_some(),
        };
        Scope::ALL.into_iter().filter(checked).collect()
    }

    fn repositories(&self) -> Option<Vec<String>> {
        let lines: Vec<_> =
            self.repositories.split_whitespace().map(|path| path.trim_matches('/').to_owned()).collect();
        Some(lines).filter(|lines| !lines.is_empty())
    }
}

/// A new token, which this page alone shows.
#[derive(Template)]
#[template(path = "settings/token_made.html")]
struct TokenMadePage {
    shell: Shell,
    name: String,
    secret: String,
    scopes: String,
    /// The repositories that the token is limited to; empty: all of the user.
    repositories: Vec<String>,
    expires: Option<Moment>,
    reads_repositories: bool,
    /// The address of the server without its scheme, and the scheme.
    host: String,
    scheme: &'static str,
    username: String,
    /// A repository of the user for the command; a placeholder without one.
    repository: String,
}

/// Creates a token and shows it.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    peer: Peer,
    form: Form<NewTokenForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let scopes = form.0.scopes();
    let wanted = TokenRequest {
        name: form.0.name.clone(),
        scopes: scopes.clone(),
        repositories: form.0.repositories(),
        expires_in_days: Some(form.0.days),
    };
    let password = form.0.password.as_ref().map(|password| password.expose().to_owned());
    let password = password.filter(|password| !password.is_empty());
    let chosen = wanted.repositories.clone().unwrap_or_default();
    // Before the token is made: an error after it would hide the secret, which is shown once.
    let example = match chosen.first() {
        Some(path) => path.clone(),
        None => a_repository(who, &services).await?,
    };
    match services.create_token(who, peer.0, wanted, password).await {
        Ok((token, secret)) => {
            let base = base_url(&request, &services);
            let (scheme, host) = match base.split_once("://") {
                Some(("https", host)) => ("https", host.to_owned()),
                Some((_, host)) => ("http", host.to_owned()),
                None => ("http", base),
            };
            let repository = example;
            let words: Vec<_> = token.scopes.iter().map(|scope| in_words(*scope)).collect();
            let page = TokenMadePage {
                shell: shell(&request, &visitor, "New access token"),
                name: token.name.clone(),
                secret,
                scopes: words.join(", "),
                repositories: chosen,
                expires: token.expires_at.map(Moment::of),
                reads_repositories: scopes
                    .iter()
                    .any(|scope| matches!(scope, Scope::RepoRead | Scope::RepoWrite | Scope::Admin)),
                host,
                scheme,
                username: visitor.user().map(|user| user.username.clone()).unwrap_or_default(),
                repository,
            };
            layout::secret_page(&request, &page).await
        }
        Err(error) => {
            let problems = Problems::of(as_form_problem(error))?;
            let status = problems.status();
            let page = NewTokenPage::new(&request, &visitor, who, &services, &scopes).await?;
            let NewTokenForm { name, repositories, days, .. } = form.0;
            let page = NewTokenPage { problems, typed_name: name, repositories, days, ..page };
            layout::page_of(&request, status, &page).await
        }
    }
}

/// Returns the need of a password as a problem of its field.
fn as_form_problem(error: ServiceError) -> ServiceError {
    if error.code != Code::FreshLoginRequired {
        return error;
    }
    let problem = "is needed, because you logged in some time ago".to_owned();
    ServiceError::invalid(vec![FieldProblem { field: "password", problem }])
}

/// Returns the path of a repository of the user for an example.
async fn a_repository(who: Credential, services: &Services) -> Result<String, ServiceError> {
    let limit = services.limits.page_default;
    let projects = services.projects(Some(who), ProjectId(0), limit, true).await?;
    let Some(project) = projects.items.iter().find(|project| project.repository_count > 0) else {
        return Ok("OWNER/PROJECT/REPOSITORY".to_owned());
    };
    let found = services.repositories(Some(who), project.project.id, String::new(), 1).await?;
    let path = found.items.first().map(|repository| repository.path());
    Ok(path.unwrap_or_else(|| "OWNER/PROJECT/REPOSITORY".to_owned()))
}
