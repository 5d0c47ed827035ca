//! Routes of projects and their members.
//!
//! A renamed project is found under its old name: reads are redirected (308), changes are made.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use super::schemas::ProjectConfigShape;
use crate::domain::ids::{ChatId, ProjectId, UserId};
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::project::{ProjectConfig, ProjectRole, Visibility};
use crate::domain::timestamp::Timestamp;
use crate::http::address;
use crate::http::error::HttpResult;
use crate::http::extract::{Anyone, AuthenticatedUser, Body, Path, Query};
use crate::services::access::ProjectPath;
use crate::services::projects::ProjectChange;
use crate::services::{MemberView, ProjectView, Services};

/// The permissions of the caller.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Permissions {
    pub(super) read: bool,
    pub(super) push: bool,
    pub(super) maintain: bool,
    pub(super) manage: bool,
}

impl Permissions {
    pub(super) fn of(visibility: Visibility, role: Option<ProjectRole>) -> Self {
        let may = |act| permission::check(act, visibility, role, "project").is_ok();
        Self {
            read: may(Act::Read),
            push: may(Act::Push),
            maintain: may(Act::Maintain),
            manage: may(Act::Manage),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProjectAnswer {
    #[schema(value_type = i64)]
    id: ProjectId,
    owner: String,
    name: String,
    description: String,
    /// `public` or `private`.
    #[schema(value_type = String)]
    visibility: Visibility,
    /// The chat in which pushes are announced; its participants are the project's members.
    #[schema(value_type = i64)]
    channel_id: ChatId,
    repository_count: usize,
    member_count: usize,
    /// The caller's role, if the caller is a member: `owner`, `maintainer`, `writer`, `reader`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    role: Option<ProjectRole>,
    watches: bool,
    permissions: Permissions,
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// The version of the avatar, if the project has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
}

impl From<ProjectView> for ProjectAnswer {
    fn from(view: ProjectView) -> Self {
        let project = &view.project;
        Self {
            id: project.id,
            owner: view.owner,
            name: project.name.clone(),
            description: project.description.clone(),
            visibility: project.visibility,
            channel_id: project.channel_id,
            repository_count: view.repository_count,
            member_count: view.member_count,
            role: view.role,
            watches: view.watches,
            permissions: Permissions::of(project.visibility, view.role),
            created_at: project.created_at,
            avatar: project.avatar.clone(),
        }
    }
}

/// Returns the redirect for a project that was requested by a former name.
pub(super) fn moved(request: &HttpRequest, view: &ProjectView) -> Option<HttpResponse> {
    let now = format!("/api/projects/{}/{}", view.owner, view.project.name);
    view.moved.then(|| address::moved(request, 4, &now))
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<i64>,
    /// Lists only projects that the caller is a member of.
    #[serde(default)]
    member: bool,
}

/// Lists projects that the caller may read, sorted by id.
#[utoipa::path(get, operation_id = "list_projects", path = "/api/projects",
    params(("limit" = Option<i64>, Query), ("cursor" = Option<i64>, Query), ("member" = Option<bool>, Query)),
    responses((status = 200, body = page::Items<ProjectAnswer>), (status = 400), (status = 401)))]
pub(super) async fn list(
    anyone: Anyone,
    request: HttpRequest,
    query: Query<ListQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let limit = page::limit(query.0.limit, &services.limits)?;
    let after = ProjectId(query.0.cursor.unwrap_or(0));
    let found = services.projects(anyone.0, after, limit, query.0.member).await?;
    let next = found.next_cursor(|view| view.project.id.to_string());
    page::items(&request, found.items.into_iter().map(ProjectAnswer::from).collect(), next)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProject)]
pub(super) struct CreateBody {
    name: String,
    #[serde(default)]
    description: String,
    /// `public` or `private` (default).
    #[schema(value_type = Option<String>)]
    visibility: Option<Visibility>,
}

/// Creates a project under the caller's name, with its channel.
#[utoipa::path(post, operation_id = "create_project", path = "/api/projects/create", request_body = CreateBody,
    responses((status = 201, body = ProjectAnswer), (status = 401), (status = 403), (status = 409), (status = 422), (status = 429)))]
pub(super) async fn create(
    caller: AuthenticatedUser,
    body: Body<CreateBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let CreateBody { name, description, visibility } = body.0;
    let visibility = visibility.unwrap_or(Visibility::Private);
    let view = services.create_project(caller.0, &name, &description, visibility).await?;
    Ok(HttpResponse::Created().json_line(ProjectAnswer::from(view)))
}

/// Returns a project.
#[utoipa::path(get, operation_id = "get_project", path = "/api/projects/{user}/{project}", params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 200, body = ProjectAnswer), (status = 308), (status = 401), (status = 404)))]
pub(super) async fn get(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.project(anyone.0, &at.0, Act::Read).await?;
    match moved(&request, &view) {
        Some(answer) => Ok(answer),
        None => page::read(&request, &ProjectAnswer::from(view), None),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectChange)]
pub(super) struct UpdateBody {
    name: Option<String>,
    description: Option<String>,
    #[schema(value_type = Option<String>)]
    visibility: Option<Visibility>,
}

/// Changes the name, description or visibility of a project.
#[utoipa::path(patch, operation_id = "update_project", path = "/api/projects/{user}/{project}", request_body = UpdateBody,
    params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 200, body = ProjectAnswer), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn update(
    caller: AuthenticatedUser,
    at: Path<ProjectPath>,
    body: Body<UpdateBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let UpdateBody { name, description, visibility } = body.0;
    let change = ProjectChange { name, description, visibility };
    let view = services.update_project(caller.0, &at.0, change).await?;
    Ok(HttpResponse::Ok().json_line(ProjectAnswer::from(view)))
}

/// Deletes a project and its repositories.
///
/// Its channel stays, archived, with its participants.
#[utoipa::path(delete, operation_id = "delete_project", path = "/api/projects/{user}/{project}", params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: AuthenticatedUser,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    services.delete_project(caller.0, &at.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Returns the settings of a project.
#[utoipa::path(get, operation_id = "get_project_config", path = "/api/projects/{user}/{project}/config", params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 200, body = ProjectConfigShape), (status = 308), (status = 401), (status = 404)))]
pub(super) async fn config(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.project(anyone.0, &at.0, Act::Read).await?;
    match moved(&request, &view) {
        Some(answer) => Ok(answer),
        None => page::read(&request, &view.project.config, None),
    }
}

/// Replaces the settings of a project.
#[utoipa::path(put, operation_id = "put_project_config", path = "/api/projects/{user}/{project}/config", request_body = ProjectConfigShape,
    params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 200, body = ProjectConfigShape), (status = 401), (status = 403), (status = 404), (status = 422)))]
pub(super) async fn put_config(
    caller: AuthenticatedUser,
    at: Path<ProjectPath>,
    body: Body<ProjectConfig>,
    services: web::Data<Services>,
) -> HttpResult {
    Ok(HttpResponse::Ok().json_line(services.set_project_config(caller.0, &at.0, body.0).await?))
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MemberAnswer {
    #[schema(value_type = i64)]
    user_id: UserId,
    username: String,
    /// `owner`, `maintainer`, `writer`, `reader`.
    #[schema(value_type = String)]
    role: ProjectRole,
}

impl From<MemberView> for MemberAnswer {
    fn from(member: MemberView) -> Self {
        Self { user_id: member.user_id, username: member.username, role: member.role }
    }
}

#[derive(Deserialize)]
pub(super) struct PageQuery {
    limit: Option<i64>,
    cursor: Option<i64>,
}

/// Lists the members of a project, sorted by user id.
#[utoipa::path(get, operation_id = "list_project_members", path = "/api/projects/{user}/{project}/members",
    params(("user" = String, Path), ("project" = String, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<i64>, Query)),
    responses((status = 200, body = page::Items<MemberAnswer>), (status = 308), (status = 401), (status = 404)))]
pub(super) async fn members(
    caller: AuthenticatedUser,
    request: HttpRequest,
    at: Path<ProjectPath>,
    query: Query<PageQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.project(Some(caller.0), &at.0, Act::Read).await?;
    if let Some(answer) = moved(&request, &view) {
        return Ok(answer);
    }
    let limit = page::limit(query.0.limit, &services.limits)?;
    let after = UserId(query.0.cursor.unwrap_or(0));
    let found = services.members(caller.0, view.project.id, after, limit).await?;
    let next = found.next_cursor(|member| member.user_id.to_string());
    page::items(&request, found.items.into_iter().map(MemberAnswer::from).collect(), next)
}

/// `owner/project`, and a member of it.
#[derive(Deserialize)]
pub(super) struct MemberPath {
    user: String,
    project: String,
    username: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MemberRole)]
pub(super) struct RoleBody {
    /// `owner`, `maintainer`, `writer`, `reader`.
    #[schema(value_type = String)]
    role: ProjectRole,
}

/// Adds a member (201) or changes a role (204).
///
/// The participants of the project's channel change accordingly.
#[utoipa::path(put, operation_id = "put_project_member", path = "/api/projects/{user}/{project}/members/{username}", request_body = RoleBody,
    params(("user" = String, Path), ("project" = String, Path), ("username" = String, Path)),
    responses((status = 201, description = "The user is a new member."), (status = 204), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn put_member(
    caller: AuthenticatedUser,
    path: Path<MemberPath>,
    body: Body<RoleBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let MemberPath { user, project, username } = path.0;
    let at = ProjectPath { user, project };
    let existed = services.set_member(caller.0, &at, username, Some(body.0.role)).await?;
    Ok(if existed { HttpResponse::NoContent().finish() } else { HttpResponse::Created().finish() })
}

/// Removes a member, or leaves.
#[utoipa::path(delete, operation_id = "remove_project_member", path = "/api/projects/{user}/{project}/members/{username}",
    params(("user" = String, Path), ("project" = String, Path), ("username" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn remove_member(
    caller: AuthenticatedUser,
    path: Path<MemberPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let MemberPath { user, project, username } = path.0;
    services.set_member(caller.0, &ProjectPath { user, project }, username, None).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Watches a project: pushes to it notify the caller.
#[utoipa::path(put, operation_id = "watch_project", path = "/api/projects/{user}/{project}/watch", params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn watch(
    caller: AuthenticatedUser,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    services.set_watch(caller.0, &at.0, true).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Stops watching a project.
#[utoipa::path(delete, operation_id = "unwatch_project", path = "/api/projects/{user}/{project}/watch", params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 204), (status = 401), (status = 404)))]
pub(super) async fn unwatch(
    caller: AuthenticatedUser,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    services.set_watch(caller.0, &at.0, false).await?;
    Ok(HttpResponse::NoContent().finish())
}
