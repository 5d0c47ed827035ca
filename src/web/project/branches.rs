//! The forms of a project's settings about branches: the default branch and the rules.

use actix_web::{HttpRequest, web};
use serde::Deserialize;

use super::settings::{SettingsPage, TypedRule, managed, settings_path};
use crate::domain::project::{BranchRule, ProjectConfig, ProjectRole};
use crate::http::error::HttpResult;
use crate::http::extract::Path;
use crate::protocol::code::Code;
use crate::services::access::ProjectPath;
use crate::services::{ServiceError, Services};
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, see_other};
use crate::web::visitor::Visitor;

#[derive(Deserialize)]
pub(in crate::web) struct DefaultBranchForm {
    default_branch: String,
}

/// Sets the first branch of new repositories.
pub(in crate::web) async fn set_default(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    form: Form<DefaultBranchForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    let default_branch = form.0.default_branch.trim().to_owned();
    let config = ProjectConfig { default_branch: default_branch.clone(), ..view.project.config.clone() };
    match services.set_project_config(who, &at.0, config).await {
        Ok(_) => Ok(see_other(&format!("{}?done=saved", settings_path(&view)))),
        Err(error) => {
            let branches = Problems::of(error)?;
            let status = branches.status();
            let mut page = SettingsPage::new(&request, &visitor, &view);
            (page.branches, page.typed_default_branch) = (branches, default_branch);
            layout::page_of(&request, status, &page).await
        }
    }
}

#[derive(Deserialize)]
pub(in crate::web) struct RuleForm {
    pattern: String,
    push: ProjectRole,
    /// The checkboxes are absent when they are not checked.
    force: Option<String>,
    delete: Option<String>,
}

/// Adds a rule after the others. A rule with the same pattern is replaced in its place.
pub(in crate::web) async fn add_rule(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    form: Form<RuleForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    let RuleForm { pattern, push, force, delete } = form.0;
    let pattern = pattern.trim().to_owned();
    let rule = BranchRule { pattern, push, force: force.is_some(), delete: delete.is_some() };
    let mut config = view.project.config.clone();
    match config.protected_branches.iter_mut().find(|known| known.pattern == rule.pattern) {
        Some(known) => *known = rule.clone(),
        None => config.protected_branches.push(rule.clone()),
    }
    match services.set_project_config(who, &at.0, config).await {
        Ok(_) => Ok(see_other(&format!("{}?done=rule-added#rules", settings_path(&view)))),
        Err(error) => {
            let rules = Problems::of(error)?;
            let status = rules.status();
            let BranchRule { pattern, push, force, delete } = rule;
            let typed_rule = TypedRule { pattern, push, force, delete };
            let mut page = SettingsPage::new(&request, &visitor, &view);
            (page.rules, page.typed_rule) = (rules, typed_rule);
            layout::page_of(&request, status, &page).await
        }
    }
}

/// A change of the list of rules.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RuleChange {
    Up,
    Remove,
}

#[derive(Deserialize)]
pub(in crate::web) struct RuleChangeForm {
    pattern: String,
    change: RuleChange,
}

/// Removes a rule, or moves it before the rule above it: the first rule that matches a branch
/// applies.
pub(in crate::web) async fn change_rule(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    form: Form<RuleChangeForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    let mut config = view.project.config.clone();
    let rules = &mut config.protected_branches;
    let place = rules.iter().position(|rule| rule.pattern == form.0.pattern);
    let done = match form.0.change {
        RuleChange::Up => "rule-moved",
        RuleChange::Remove => "rule-removed",
    };
    let changed = match (place, form.0.change) {
        (Some(place), RuleChange::Remove) => {
            rules.remove(place);
            services.set_project_config(who, &at.0, config).await.map(drop)
        }
        (Some(place), RuleChange::Up) if place > 0 => {
            rules.swap(place, place - 1);
            services.set_project_config(who, &at.0, config).await.map(drop)
        }
        (Some(_), RuleChange::Up) => Ok(()),
        (None, _) => Err(ServiceError::new(Code::Conflict, "this rule was removed meanwhile")),
    };
    match changed {
        Ok(()) => Ok(see_other(&format!("{}?done={done}#rules", settings_path(&view)))),
        Err(error) => {
            let rules = Problems::of(error)?;
            let status = rules.status();
            let mut page = SettingsPage::new(&request, &visitor, &view);
            page.rules = rules;
            layout::page_of(&request, status, &page).await
        }
    }
}
