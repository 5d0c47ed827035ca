//! The picture of a project, in its settings.

use actix_web::{HttpRequest, web};

use super::settings::{SettingsPage, managed, settings_path};
use crate::domain::avatar::AvatarOf;
use crate::http::error::HttpResult;
use crate::http::extract::{Path, client_of};
use crate::services::Services;
use crate::services::access::ProjectPath;
use crate::web::form::Problems;
use crate::web::layout::{self, see_other};
use crate::web::upload::Picture;
use crate::web::visitor::Visitor;

/// Sets the picture.
pub(in crate::web) async fn set(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    picture: Picture,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    let client = client_of(&request, Some(who.user))?;
    match services.set_avatar(who, client, AvatarOf::Project(view.project.id), picture.0).await {
        Ok(()) => Ok(see_other(&format!("{}?done=saved", settings_path(&view)))),
        Err(error) => {
            let picture = Problems::of(error)?;
            let status = picture.status();
            let mut page = SettingsPage::new(&request, &visitor, &view);
            page.picture = picture;
            layout::page_of(&request, status, &page).await
        }
    }
}

/// Removes the picture.
pub(in crate::web) async fn remove(
    visitor: Visitor,
    at: Path<ProjectPath>,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    services.remove_avatar(who, AvatarOf::Project(view.project.id)).await?;
    Ok(see_other(&format!("{}?done=saved", settings_path(&view))))
}
