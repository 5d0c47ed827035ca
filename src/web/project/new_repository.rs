//! `/{user}/{project}/-/repos/new`: a new repository in a project.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::{crumbs_of, moved, path_of, repository_path_of};
use crate::domain::permission::project::Act;
use crate::http::error::HttpResult;
use crate::http::extract::Path;
use crate::services::access::ProjectPath;
use crate::services::repositories::RepositoryRequest;
use crate::services::{ProjectView, Services};
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "project/new_repository.html")]
struct NewRepositoryPage {
    shell: Shell,
    problems: Problems,
    project: String,
    action: String,
    typed_name: String,
    description: String,
    default_branch: String,
}

impl NewRepositoryPage {
    fn new(request: &HttpRequest, visitor: &Visitor, view: &ProjectView) -> Self {
        let title = format!("New repository · {}/{}", view.owner, view.project.name);
        Self {
            shell: Shell::new(request, visitor, title).crumbs(crumbs_of(view)),
            problems: Problems::default(),
            project: format!("{}/{}", view.owner, view.project.name),
            action: format!("{}/-/repos/new", path_of(view)),
            typed_name: String::new(),
            description: String::new(),
            default_branch: view.project.config.default_branch.clone(),
        }
    }
}

/// Returns the form.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let view = services.project(Some(who), &at.0, Act::Maintain).await?;
    if let Some(redirect) = moved(&request, &view) {
        return Ok(redirect);
    }
    layout::page(&request, &NewRepositoryPage::new(&request, &visitor, &view)).await
}

#[derive(Deserialize)]
pub(in crate::web) struct NewRepositoryForm {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    default_branch: String,
}

/// Creates the repository.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    form: Form<NewRepositoryForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let view = services.project(Some(who), &at.0, Act::Maintain).await?;
    let NewRepositoryForm { name, description, default_branch } = form.0;
    let wanted = RepositoryRequest {
        name: name.trim().to_owned(),
        description: Some(description.clone()),
        default_branch: Some(default_branch.trim().to_owned()).filter(|branch| !branch.is_empty()),
    };
    match services.create_repository(who, &at.0, wanted).await {
        Ok(made) => Ok(see_other(&repository_path_of(&made))),
        Err(error) => {
            let problems = Problems::of(error)?;
            let status = problems.status();
            let empty = NewRepositoryPage::new(&request, &visitor, &view);
            let page = NewRepositoryPage { problems, typed_name: name, description, default_branch, ..empty };
            layout::page_of(&request, status, &page).await
        }
    }
}
