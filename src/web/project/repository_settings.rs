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
use crate::services::{RepositoryView, ServiceError, Services};
use crate::web::code::frame::{Frame, Tab};
use crate::web::form::{Form, Problems, check_typed};
use crate::web::layout::{self, Shell, see_other};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "project/repository_settings.html")]
struct RepositorySettingsPage {
    shell: Shell,
    frame: Frame,
    path: String,
    /// The address of the settings of the project; empty for visitors who may not change them.
    project_settings: String,
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
    async fn load(
        request: &HttpRequest,
        visitor: &Visitor,
        view: &RepositoryView,
        services: &Services,
    ) -> Result<Self, ServiceError> {
        let frame = Frame::load(request, services, view, Tab::Settings, None).await?;
        let (owner, project) = (percent_encoded(&view.owner), percent_encoded(&view.project.name));
        let may_manage = view.may(Act::Manage);
        let repository = &view.repository;
        Ok(Self {
            shell: frame.shell(request, visitor, "Settings"),
            frame,
            project_settings: match may_manage {
                true => format!("/{owner}/{project}/-/settings"),
                false => String::new(),
            },
            path: repository_path_of(view),
            current_name: repository.name.clone(),
            may_delete: may_manage,
            typed_name: repository.name.clone(),
            description: repository.description.clone(),
            default_branch: repository.default_branch.clone(),
            general: Problems::default(),
            deletion: Problems::default(),
        })
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
    layout::page(&request, &RepositorySettingsPage::load(&request, &visitor, &view, &services).await?).await
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
        Ok(view) => Ok(see_other(&format!("{}/-/settings?done=saved", repository_path_of(&view)))),
        Err(error) => {
            let general = Problems::of(error)?;
            let status = general.status();
            let page = RepositorySettingsPage::load(&request, &visitor, &view, &services).await?;
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
            Ok(see_other(&format!("/{owner}/{project}?done=deleted")))
        }
        Err(error) => {
            let deletion = Problems::of(error)?;
            let status = deletion.status();
            let page = RepositorySettingsPage::load(&request, &visitor, &view, &services).await?;
            layout::page_of(&request, status, &RepositorySettingsPage { deletion, ..page }).await
        }
    }
}
