//! `/{user}/{project}/-/settings`: name, description, branches, visibility and deletion.

use actix_web::{HttpRequest, web};
use askama::Template;
use serde::Deserialize;

use super::head::Head;
use super::members::{RoleChoice, roles};
use super::{crumbs_of, moved, path_of};
use crate::domain::access::Credential;
use crate::domain::permission::project::Act;
use crate::domain::project::{ProjectConfig, ProjectRole, Visibility};
use crate::http::error::{HttpError, HttpResult};
use crate::http::extract::Path;
use crate::http::picture;
use crate::services::access::ProjectPath;
use crate::services::projects::ProjectChange;
use crate::services::{ProjectView, Services};
use crate::web::form::{Form, Problems, check_typed};
use crate::web::layout::{self, Shell, see_other};
use crate::web::visitor::Visitor;

/// A typed rule for branches.
pub(super) struct TypedRule {
    pub(super) pattern: String,
    pub(super) push: ProjectRole,
    pub(super) force: bool,
    pub(super) delete: bool,
}

/// The page. Each form has its own problems.
#[derive(Template)]
#[template(path = "project/settings.html")]
pub(super) struct SettingsPage {
    shell: Shell,
    head: Head,
    typed_name: String,
    description: String,
    is_public: bool,
    config: ProjectConfig,
    roles: Vec<RoleChoice>,
    pub(super) typed_default_branch: String,
    pub(super) typed_rule: TypedRule,
    general: Problems,
    pub(super) picture: Problems,
    picture_limit: String,
    pub(super) branches: Problems,
    pub(super) rules: Problems,
    visibility: Problems,
    deletion: Problems,
}

impl SettingsPage {
    /// Returns whether the confirmation is about a rule, and is shown beside the rules.
    fn is_about_rules(&self) -> bool {
        self.shell.done.starts_with("The rule")
    }

    fn picture_path(&self) -> String {
        format!("{}/-/settings/avatar", self.head.path)
    }

    pub(super) fn new(request: &HttpRequest, visitor: &Visitor, view: &ProjectView) -> Self {
        let config = view.project.config.clone();
        let title = format!("Settings · {}/{}", view.owner, view.project.name);
        Self {
            shell: Shell::new(request, visitor, title).crumbs(crumbs_of(view)),
            head: Head::new(view, visitor, "settings"),
            typed_name: view.project.name.clone(),
            description: view.project.description.clone(),
            is_public: view.project.visibility == Visibility::Public,
            typed_default_branch: config.default_branch.clone(),
            config,
            // Readers never push.
            roles: roles().into_iter().skip(1).collect(),
            typed_rule: TypedRule {
                pattern: String::new(),
                push: ProjectRole::Maintainer,
                force: false,
                delete: false,
            },
            general: Problems::default(),
            picture: Problems::default(),
            picture_limit: picture::limit(request).unwrap_or_default(),
            branches: Problems::default(),
            rules: Problems::default(),
            visibility: Problems::default(),
            deletion: Problems::default(),
        }
    }
}

/// Returns the project for an owner.
pub(super) async fn managed(
    visitor: &Visitor,
    at: &ProjectPath,
    services: &Services,
) -> Result<(Credential, ProjectView), HttpError> {
    let who = visitor.required()?;
    Ok((who, services.project(Some(who), at, Act::Manage).await?))
}

pub(super) fn settings_path(view: &ProjectView) -> String {
    format!("{}/-/settings", path_of(view))
}

/// Returns the forms.
pub(in crate::web) async fn show(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let (_, view) = managed(&visitor, &at.0, &services).await?;
    if let Some(redirect) = moved(&request, &view) {
        return Ok(redirect);
    }
    layout::page(&request, &SettingsPage::new(&request, &visitor, &view)).await
}

#[derive(Deserialize)]
pub(in crate::web) struct GeneralForm {
    name: String,
    #[serde(default)]
    description: String,
}

/// Changes name and description.
pub(in crate::web) async fn change(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    form: Form<GeneralForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    let GeneralForm { name, description } = form.0;
    let name = name.trim().to_owned();
    let renamed = (name != view.project.name).then(|| name.clone());
    let change = ProjectChange { name: renamed, description: Some(description.clone()), visibility: None };
    match services.update_project(who, &at.0, change).await {
        Ok(view) => Ok(see_other(&format!("{}?done=saved", settings_path(&view)))),
        Err(error) => {
            let general = Problems::of(error)?;
            let status = general.status();
            let page = SettingsPage::new(&request, &visitor, &view);
            let page = SettingsPage { general, typed_name: name, description, ..page };
            layout::page_of(&request, status, &page).await
        }
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct VisibilityForm {
    visibility: Visibility,
    /// The typed name of the project, to make it public.
    #[serde(default)]
    confirm_public: String,
}

/// Makes the project public or private. To make it public, its name must be typed.
pub(in crate::web) async fn change_visibility(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    form: Form<VisibilityForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    let VisibilityForm { visibility, confirm_public } = form.0;
    let confirmed = match visibility {
        Visibility::Public => check_typed("confirm_public", &confirm_public, &view.project.name),
        Visibility::Private => Ok(()),
    };
    let changed = match confirmed {
        Ok(()) => {
            let change = ProjectChange { visibility: Some(visibility), ..ProjectChange::default() };
            services.update_project(who, &at.0, change).await
        }
        Err(error) => Err(error),
    };
    match changed {
        Ok(view) => Ok(see_other(&format!("{}?done=saved", settings_path(&view)))),
        Err(error) => {
            let visibility = Problems::of(error)?;
            let status = visibility.status();
            let page = SettingsPage::new(&request, &visitor, &view);
            layout::page_of(&request, status, &SettingsPage { visibility, ..page }).await
        }
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct DeleteForm {
    #[serde(default)]
    confirm_delete: String,
}

/// Deletes the project, once its name is typed.
pub(in crate::web) async fn delete(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    form: Form<DeleteForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    let deleted = match check_typed("confirm_delete", &form.0.confirm_delete, &view.project.name) {
        Ok(()) => services.delete_project(who, &at.0).await,
        Err(error) => Err(error),
    };
    match deleted {
        Ok(()) => Ok(see_other("/projects?member=1&done=deleted")),
        Err(error) => {
            let deletion = Problems::of(error)?;
            let status = deletion.status();
            let page = SettingsPage::new(&request, &visitor, &view);
            layout::page_of(&request, status, &SettingsPage { deletion, ..page }).await
        }
    }
}
