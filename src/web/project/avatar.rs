//! The picture of a project, in its settings.

use actix_web::{HttpRequest, web};

use super::settings::{SettingsPage, managed, settings_path};
use crate::domain::avatar::AvatarOf;
use crate::http::error::HttpResult;
use crate::http::extract::Path;
use crate::services::Services;
use crate::services::access::ProjectPath;
use crate::web::form::Problems;
use crate::web::layout::{self, see_other};
use crate::web::upload;
use crate::web::visitor::Visitor;

/// Sets the picture.
pub(in crate::web) async fn set(
    visitor: Visitor,
    request: HttpRequest,
    at: Path<ProjectPath>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> HttpResult {
    let (who, view) = managed(&visitor, &at.0, &services).await?;
    let of = AvatarOf::Project(view.project.id);
    match upload::set_avatar((&services, &request), who, of, payload).await {
        Ok(()) => Ok(see_other(&format!("{}?done=saved", settings_path(&view)))),
        Err(error) => {
            let picture = Problems::of(error.into_service_error()?)?;
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
