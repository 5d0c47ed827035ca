//! Routes of repositories, and the legacy routes that put them into the caller's project
//! `personal`.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use super::project::{self, Permissions};
use crate::domain::ids::RepositoryId;
use crate::domain::page::Page;
use crate::domain::permission::project::Act;
use crate::domain::timestamp::Timestamp;
use crate::http::address;
use crate::http::error::HttpResult;
use crate::http::extract::{Anyone, AuthenticatedUser, Body, Path, Query};
use crate::protocol::code::Code;
use crate::services::access::{ProjectPath, RepositoryPath};
use crate::services::projects::PERSONAL;
use crate::services::repositories::{RepositoryChange, RepositoryRequest};
use crate::services::{RepositoryView, ServiceError, Services};

/// Start of the deprecation of the legacy routes (RFC 9745: seconds since 1970), and earliest
/// removal (RFC 8594).
const DEPRECATED_SINCE: &str = "@1795392000";
const SUNSET: &str = "Mon, 01 Jan 2029 00:00:00 GMT";

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RepositoryAnswer {
    #[schema(value_type = i64)]
    id: RepositoryId,
    name: String,
    /// `owner/project/name`.
    full_name: String,
    description: String,
    default_branch: String,
    clone_url: String,
    /// Bytes on disk, as of the last push or maintenance.
    size_bytes: i64,
    permissions: Permissions,
    #[schema(value_type = String)]
    created_at: Timestamp,
}

impl RepositoryAnswer {
    fn new(view: &RepositoryView, base_url: &str) -> Self {
        let (repository, full_name) = (&view.repository, view.path());
        Self {
            id: repository.id,
            name: repository.name.clone(),
            clone_url: format!("{base_url}/{full_name}.git"),
            full_name,
            description: repository.description.clone(),
            default_branch: repository.default_branch.clone(),
            size_bytes: repository.size_bytes,
            permissions: Permissions::of(view.project.visibility, view.role),
            created_at: repository.created_at,
        }
    }
}

/// Returns the redirect for a repository that was requested by a former name.
pub(super) fn moved(request: &HttpRequest, view: &RepositoryView) -> Option<HttpResponse> {
    let now = format!("/api/projects/{}/{}/repos/{}", view.owner, view.project.name, view.repository.name);
    view.moved.then(|| address::moved(request, 6, &now))
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

/// Lists the repositories of a project, sorted by name.
#[utoipa::path(get, operation_id = "list_repositories", path = "/api/projects/{user}/{project}/repos",
    params(("user" = String, Path), ("project" = String, Path), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = page::Items<RepositoryAnswer>), (status = 308), (status = 401), (status = 404)))]
pub(super) async fn list(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<ProjectPath>,
    query: Query<ListQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let project = services.project(anyone.0, &at.0, Act::Read).await?;
    if let Some(answer) = project::moved(&request, &project) {
        return Ok(answer);
    }
    let limit = page::limit(query.0.limit, &services.limits)?;
    let after = query.0.cursor.unwrap_or_default();
    let found = services.repositories(anyone.0, project.project.id, after, limit).await?;
    answer_list(&request, &services, &found)
}

fn answer_list(request: &HttpRequest, services: &Services, found: &Page<RepositoryView>) -> HttpResult {
    let base_url = address::base_url(request, services);
    let next = found.next_cursor(|view| view.repository.name.to_lowercase());
    page::items(
        request,
        found.items.iter().map(|view| RepositoryAnswer::new(view, &base_url)).collect(),
        next,
    )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRepository)]
pub(super) struct CreateBody {
    name: String,
    description: Option<String>,
    /// Default: `default_branch` of the project's settings, which is `main` at first.
    default_branch: Option<String>,
}

impl From<CreateBody> for RepositoryRequest {
    fn from(body: CreateBody) -> Self {
        Self { name: body.name, description: body.description, default_branch: body.default_branch }
    }
}

/// Creates an empty repository.
#[utoipa::path(post, operation_id = "create_repository", path = "/api/projects/{user}/{project}/repos/create", request_body = CreateBody,
    params(("user" = String, Path), ("project" = String, Path)),
    responses((status = 201, body = RepositoryAnswer), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422), (status = 507)))]
pub(super) async fn create(
    caller: AuthenticatedUser,
    request: HttpRequest,
    at: Path<ProjectPath>,
    body: Body<CreateBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.create_repository(caller.0, &at.0, body.0.into()).await?;
    let base_url = address::base_url(&request, &services);
    Ok(HttpResponse::Created().json_line(RepositoryAnswer::new(&view, &base_url)))
}

/// Returns a repository.
#[utoipa::path(get, operation_id = "get_repository", path = "/api/projects/{user}/{project}/repos/{repo}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path)),
    responses((status = 200, body = RepositoryAnswer), (status = 308), (status = 401), (status = 404)))]
pub(super) async fn get(
    anyone: Anyone,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let view = services.repository(anyone.0, &at.0, Act::Read).await?;
    if let Some(answer) = moved(&request, &view) {
        return Ok(answer);
    }
    let base_url = address::base_url(&request, &services);
    page::read(&request, &RepositoryAnswer::new(&view, &base_url), None)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RepositoryChange)]
pub(super) struct UpdateBody {
    name: Option<String>,
    description: Option<String>,
    default_branch: Option<String>,
}

/// Changes the name, description or default branch of a repository.
#[utoipa::path(patch, operation_id = "update_repository", path = "/api/projects/{user}/{project}/repos/{repo}", request_body = UpdateBody,
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path)),
    responses((status = 200, body = RepositoryAnswer), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn update(
    caller: AuthenticatedUser,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    body: Body<UpdateBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let UpdateBody { name, description, default_branch } = body.0;
    let change = RepositoryChange { name, description, default_branch };
    let view = services.update_repository(caller.0, &at.0, change).await?;
    let base_url = address::base_url(&request, &services);
    Ok(HttpResponse::Ok().json_line(RepositoryAnswer::new(&view, &base_url)))
}

/// Deletes a repository.
#[utoipa::path(delete, operation_id = "delete_repository", path = "/api/projects/{user}/{project}/repos/{repo}",
    params(("user" = String, Path), ("project" = String, Path), ("repo" = String, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404), (status = 409)))]
pub(super) async fn delete(
    caller: AuthenticatedUser,
    at: Path<RepositoryPath>,
    services: web::Data<Services>,
) -> HttpResult {
    services.delete_repository(caller.0, &at.0).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists the repositories of the caller's project `personal`.
#[utoipa::path(get, operation_id = "list_own_repositories", path = "/api/repos", params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = page::Items<RepositoryAnswer>), (status = 401)))]
#[deprecated = "since projects exist"]
pub(super) async fn legacy_list(
    caller: AuthenticatedUser,
    request: HttpRequest,
    query: Query<ListQuery>,
    services: web::Data<Services>,
) -> HttpResult {
    let me = services.me(caller.0).await?;
    let at = ProjectPath { user: me.username.clone(), project: PERSONAL.to_owned() };
    let limit = page::limit(query.0.limit, &services.limits)?;
    // Without that project the list is empty.
    let found = match services.project(Some(caller.0), &at, Act::Read).await {
        Ok(view) => {
            let after = query.0.cursor.unwrap_or_default();
            services.repositories(Some(caller.0), view.project.id, after, limit).await?
        }
        Err(ServiceError { code: Code::NotFound, .. }) => Page::default(),
        Err(other) => return Err(other.into()),
    };
    let answer = answer_list(&request, &services, &found)?;
    Ok(deprecated(answer, &format!("/api/projects/{}/{PERSONAL}/repos", me.username)))
}

/// Creates a repository in the caller's project `personal`, which is created on first use.
#[utoipa::path(post, operation_id = "create_own_repository", path = "/api/repos/create", request_body = CreateBody,
    responses((status = 201, body = RepositoryAnswer), (status = 401), (status = 403), (status = 409), (status = 422)))]
#[deprecated = "since projects exist"]
pub(super) async fn legacy_create(
    caller: AuthenticatedUser,
    request: HttpRequest,
    body: Body<CreateBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let project = services.personal_project(caller.0).await?;
    let at = ProjectPath { user: project.owner.clone(), project: project.project.name.clone() };
    let view = services.create_repository(caller.0, &at, body.0.into()).await?;
    let base_url = address::base_url(&request, &services);
    let answer = HttpResponse::Created().json_line(RepositoryAnswer::new(&view, &base_url));
    let at = format!("/api/projects/{}/{}/repos/create", project.owner, project.project.name);
    Ok(deprecated(answer, &at))
}

/// Adds the headers that announce the removal of a route, its date, and its successor.
fn deprecated(mut answer: HttpResponse, successor: &str) -> HttpResponse {
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static("deprecation"), HeaderValue::from_static(DEPRECATED_SINCE));
    headers.insert(HeaderName::from_static("sunset"), HeaderValue::from_static(SUNSET));
    if let Ok(link) = HeaderValue::from_str(&format!("<{successor}>; rel=\"successor-version\"")) {
        headers.append(header::LINK, link);
    }
    answer
}
