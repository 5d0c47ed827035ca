//! `/{user}/{project}/{repo}/-/settings`: name, description, default branch and deletion of a
//! repository.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::repository_path_of;
use crate::domain::access::Credential;
use crate::domain::permission::project::Act;
use crate::http::address::{self, percent_encoded};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::Path;
use crate::services::access::RepositoryPath;
use crate::services::repositories::RepositoryChange;
use crate::services::{RepositoryView, Services};
use crate::web::form::{Form, Problems, check_typed};
use crate::web::layout::{self, Crumb, Shell, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "project/repository_settings.html")]
struct RepositorySettingsPage {
    shell: Shell,
    path: String,
    /// The present name, which is typed to delete.
    current_name: String,
    may_delete: bool,
    typed_name: String,
    description: String,
    default_branch: String,
    general: Problems,
    deletion: Problems,
}

impl RepositorySettingsPage {
    fn new(request: &HttpRequest, visitor: &Visitor, view: &RepositoryView) -> Self {
        let title = format!("Settings · {}", view.path());
        let (owner, project) = (percent_encoded(&view.owner), percent_encoded(&view.project.name));
        let crumbs = [
            Crumb::new(&view.owner, format!("/people/{owner}")),
            Crumb::new(&view.project.name, format!("/{owner}/{project}")),
            Crumb::new(&view.repository.name, repository_path_of(view)),
        ];
        let repository = &view.repository;
        Self {
            shell: Shell::new(request, visitor, title).crumbs(crumbs),
            path: repository_path_of(view),
            current_name: repository.name.clone(),
            may_delete: view.may(Act::Manage),
            typed_name: repository.name.clone(),
            description: repository.description.clone(),
            default_branch: repository.default_branch.clone(),
            general: Problems::default(),
            deletion: Problems::default(),
        }
    }
}

async fn maintained(
    visitor: &Visitor,
    at: &RepositoryPath,
    services: &Services,
) -> Result<(Credential, RepositoryView), HttpError> {
    let who = visitor.required()?;
    Ok((who, services.repository(Some(who), at, Act::Maintain).await?))
}

/// Returns the forms.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let (_, view) = maintained(&visitor, &at.0, &services).await?;
    if view.moved {
        return Ok(address::moved(&request, 3, &repository_path_of(&view)));
    }
    layout::page(&request, &RepositorySettingsPage::new(&request, &visitor, &view)).await
}

#[derive(Deserialize)]
pub(in crate::web) struct GeneralForm {
    name: String,
    #[serde(default)]
    description: String,
    default_branch: String,
}

/// Changes name, description and default branch.
pub(in crate::web) async fn change(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    form: Form<GeneralForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = maintained(&visitor, &at.0, &services).await?;
    let GeneralForm { name, description, default_branch } = form.0;
    let (name, default_branch) = (name.trim().to_owned(), default_branch.trim().to_owned());
    let change = RepositoryChange {
        name: (name != view.repository.name).then(|| name.clone()),
        description: Some(description.clone()),
        default_branch: (default_branch != view.repository.default_branch).then(|| default_branch.clone()),
    };
    match services.update_repository(who, &at.0, change).await {
        Ok(view) => Ok(see_other(&format!("{}/-/settings", repository_path_of(&view)))),
        Err(error) => {
            let general = Problems::of(error)?;
            let status = general.status();
            let page = RepositorySettingsPage::new(&request, &visitor, &view);
            let page =
                RepositorySettingsPage { general, typed_name: name, description, default_branch, ..page };
            layout::page_of(&request, status, &page).await
        }
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct DeleteForm {
    #[serde(default)]
    confirm_delete: String,
}

/// Deletes the repository, once its name is typed.
pub(in crate::web) async fn delete(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<RepositoryPath>,
    form: Form<DeleteForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = maintained(&visitor, &at.0, &services).await?;
    let deleted = match check_typed("confirm_delete", &form.0.confirm_delete, &view.repository.name) {
        Ok(()) => services.delete_repository(who, &at.0).await,
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => {
            let (owner, project) = (percent_encoded(&view.owner), percent_encoded(&view.project.name));
            Ok(see_other(&format!("/{owner}/{project}")))
        }
        Err(error) => {
            let deletion = Problems::of(error)?;
            let status = deletion.status();
            let page = RepositorySettingsPage::new(&request, &visitor, &view);
            layout::page_of(&request, status, &RepositorySettingsPage { deletion, ..page }).await
        }
    }
}
