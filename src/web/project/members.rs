//! `/{user}/{project}/-/members`: who may do what in a project.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::head::Head;
use super::{crumbs_of, moved, path_of};
use crate::domain::access::Credential;
use crate::domain::ids::UserId;
use crate::domain::permission::project::Act;
use crate::domain::project::ProjectRole;
use crate::http::address::{base_url, percent_encoded};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::{Path, Query};
use crate::protocol::code::Code;
use crate::services::access::ProjectPath;
use crate::services::{ServiceError, Services};
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell, see_other};
use crate::web::shown::Face;
use crate::web::visitor::Visitor;

/// A choice of a form for roles.
pub(super) struct RoleChoice {
    pub(super) name: &'static str,
    pub(super) may: &'static str,
}

/// Returns the roles with their permissions, the lowest first.
pub(super) fn roles() -> [RoleChoice; 4] {
    ProjectRole::ALL.map(|role| RoleChoice {
        name: role.as_str(),
        may: match role {
            ProjectRole::Reader => "reads, and writes in the channel",
            ProjectRole::Writer => "also pushes",
            ProjectRole::Maintainer => {
                "also makes and changes repositories, and pushes to protected branches"
            }
            ProjectRole::Owner => "also manages members and settings, and deletes",
        },
    })
}

struct MemberRow {
    face: Face,
    role: &'static str,
    /// The address of the forms of this member.
    href: String,
    is_self: bool,
    is_active: bool,
    /// The project is in this user's namespace, so the user stays its owner.
    is_namesake: bool,
}

#[derive(Template)]
#[template(path = "project/members.html")]
struct MembersPage {
    shell: Shell,
    head: Head,
    roles: [RoleChoice; 4],
    members: Vec<MemberRow>,
    is_first: bool,
    next: Option<String>,
    /// Whether the visitor may end the own membership.
    may_leave: bool,
    own_href: String,
    problems: Problems,
    username: String,
    role: &'static str,
    /// Where a person without an account makes one; empty while the registration is closed.
    register_url: String,
    /// Whether no user has the typed name.
    is_unknown: bool,
}

#[derive(Deserialize)]
pub(in crate::web) struct PageQuery {
    cursor: Option<i64>,
}

/// Returns the list of members.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    query: Query<PageQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let view = services.project(Some(who), &at.0, Act::Read).await?;
    if let Some(redirect) = moved(&request, &view) {
        return Ok(redirect);
    }
    let after = UserId(query.0.cursor.unwrap_or(0));
    let page = MembersPage::load(&request, &visitor, who, &at.0, after, &services).await?;
    layout::page(&request, &page).await
}

impl MembersPage {
    async fn load(
        request: &HttpRequest,
        visitor: &Visitor,
        who: Credential,
        at: &ProjectPath,
        after: UserId,
        services: &Services,
    ) -> Result<Self, HttpError> {
        let view = services.project(Some(who), at, Act::Read).await?;
        let found = services.members(who, view.project.id, after, services.limits.page_default).await?;
        let next = found.next_cursor(|member| format!("?cursor={}", member.user_id));
        let members_path = format!("{}/-/members", path_of(&view));
        let member_path = |username: &str| format!("{members_path}/{}", percent_encoded(username));
        let rows = found.items.iter().map(|member| MemberRow {
            face: Face::new(&member.username, &member.display_name).with_avatar(member.avatar.as_deref()),
            role: member.role.as_str(),
            href: member_path(&member.username),
            is_self: member.user_id == who.user,
            is_active: member.active,
            is_namesake: member.user_id == view.project.owner_id,
        });
        let own_name = visitor.user().map(|user| user.username.clone()).unwrap_or_default();
        let title = format!("Members · {}/{}", view.owner, view.project.name);
        Ok(Self {
            shell: Shell::new(request, visitor, title).crumbs(crumbs_of(&view)),
            roles: roles(),
            members: rows.collect(),
            is_first: after == UserId(0),
            next,
            may_leave: view.role.is_some() && view.project.owner_id != who.user,
            own_href: member_path(&own_name),
            problems: Problems::default(),
            username: String::new(),
            role: ProjectRole::Writer.as_str(),
            register_url: if services.is_registration_open() {
                format!("{}/register", base_url(request, services))
            } else {
                String::new()
            },
            is_unknown: false,
            head: Head::new(&view, visitor, "members"),
        })
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct AddForm {
    username: String,
    role: ProjectRole,
}

/// Adds a member.
pub(in crate::web) async fn add(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    form: Form<AddForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let AddForm { username, role } = form.0;
    let name = username.trim().trim_start_matches('@').to_ascii_lowercase();
    match services.set_member(who, &at.0, name, Some(role)).await {
        Ok(was_member) => {
            let done = if was_member { "role" } else { "added" };
            to_members(who, &at.0, done, &services).await
        }
        Err(error) => {
            let is_unknown = error.code == Code::NotFound;
            let error = if is_unknown { error.at("username") } else { error };
            let typed = Typed { username, role, is_unknown };
            with_problem(&visitor, &request, &at.0, error, typed, &services).await
        }
    }
}

/// The path `owner/project`, and a member.
#[derive(Deserialize)]
pub(in crate::web) struct MemberPath {
    user: String,
    project: String,
    username: String,
}

impl MemberPath {
    fn into_parts(self) -> (ProjectPath, String) {
        (ProjectPath { user: self.user, project: self.project }, self.username)
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct RoleForm {
    role: ProjectRole,
}

/// Changes the role of a member.
pub(in crate::web) async fn change_role(
    visitor: Visitor,
    request: HttpRequest,
    path: Path<MemberPath>,
    form: Form<RoleForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let (at, username) = path.0.into_parts();
    match services.set_member(who, &at, username, Some(form.0.role)).await {
        Ok(_) => to_members(who, &at, "role", &services).await,
        Err(error) => with_problem(&visitor, &request, &at, error, Typed::default(), &services).await,
    }
}

/// Removes a member, or lets the visitor leave.
pub(in crate::web) async fn remove(
    visitor: Visitor,
    request: HttpRequest,
    path: Path<MemberPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let (at, username) = path.0.into_parts();
    match services.set_member(who, &at, username.clone(), None).await {
        Ok(_) => {
            let is_own = visitor.user().is_some_and(|user| user.username == username);
            to_members(who, &at, if is_own { "left" } else { "removed" }, &services).await
        }
        Err(error) => with_problem(&visitor, &request, &at, error, Typed::default(), &services).await,
    }
}

/// Returns a redirect to the members; to the projects if the visitor may not read this one any
/// more.
async fn to_members(who: Credential, at: &ProjectPath, done: &str, services: &Services) -> HttpResult {
    let left: HttpResponse = see_other(&format!("/projects?done={done}"));
    let Ok(view) = services.project(Some(who), at, Act::Read).await else { return Ok(left) };
    Ok(see_other(&format!("{}/-/members?done={done}", path_of(&view))))
}

/// The values of the form for a new member.
struct Typed {
    username: String,
    role: ProjectRole,
    /// No user has this name.
    is_unknown: bool,
}

impl Default for Typed {
    fn default() -> Self {
        Self { username: String::new(), role: ProjectRole::Writer, is_unknown: false }
    }
}

async fn with_problem(
    visitor: &Visitor,
    request: &HttpRequest,
    at: &ProjectPath,
    error: ServiceError,
    Typed { username, role, is_unknown }: Typed,
    services: &Services,
) -> HttpResult {
    let problems = Problems::of(error)?;
    let (who, status) = (visitor.required()?, problems.status());
    let page = MembersPage::load(request, visitor, who, at, UserId(0), services).await?;
    let page = MembersPage { problems, username, role: role.as_str(), is_unknown, ..page };
    layout::page_of(request, status, &page).await
}
