//! `/settings/profile`: display name and email address.

use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;

use super::shell;
use crate::domain::avatar::AvatarOf;
use crate::http::error::{HttpError, HttpResult};
use crate::http::picture;
use crate::services::{ServiceError, Services};
use crate::web::form::{Form, Problems};
use crate::web::layout::{self, Shell, see_other};
use crate::web::shown::Face;
use crate::web::upload;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "settings/profile.html")]
struct ProfilePage {
    shell: Shell,
    problems: Problems,
    picture: Problems,
    picture_limit: String,
    face: Face,
    display_name: String,
    email: String,
}

impl ProfilePage {
    fn new(request: &HttpRequest, visitor: &Visitor) -> Result<Self, HttpError> {
        let user = visitor.user().ok_or_else(ServiceError::unauthenticated)?;
        Ok(Self {
            shell: shell(request, visitor, "Profile"),
            problems: Problems::default(),
            picture: Problems::default(),
            picture_limit: picture::limit(request)?,
            face: Face::of(user),
            display_name: user.display_name.clone(),
            email: user.email.clone().unwrap_or_default(),
        })
    }
}

/// Leads `/settings` to the first page of the settings.
pub(in crate::web) async fn lead() -> HttpResponse {
    see_other("/settings/profile")
}

/// Returns the form.
pub(in crate::web) async fn show(visitor: Visitor, request: HttpRequest) -> HttpResult {
    layout::page(&request, &ProfilePage::new(&request, &visitor)?).await
}

#[derive(Deserialize)]
pub(in crate::web) struct ProfileForm {
    display_name: String,
    #[serde(default)]
    email: String,
}

/// Changes the profile. An empty address removes it.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    form: Form<ProfileForm>,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let ProfileForm { display_name, email } = form.0;
    let address = Some(email.trim().to_owned()).filter(|email| !email.is_empty());
    match services.update_profile(who, Some(display_name.clone()), Some(address)).await {
        Ok(_) => Ok(see_other("/settings/profile?done=saved")),
        Err(error) => {
            let problems = Problems::of(error)?;
            let status = problems.status();
            let page = ProfilePage::new(&request, &visitor)?;
            layout::page_of(&request, status, &ProfilePage { problems, display_name, email, ..page }).await
        }
    }
}

/// Sets the avatar.
pub(in crate::web) async fn set_avatar(
    visitor: Visitor,
    request: HttpRequest,
    payload: web::Payload,
    services: web::Data<Services>,
) -> HttpResult {
    let who = visitor.required()?;
    let of = AvatarOf::User(who.user);
    match upload::set_avatar((&services, &request), who, of, payload).await {
        Ok(()) => Ok(see_other("/settings/profile?done=saved")),
        Err(error) => {
            let picture = Problems::of(error.into_service_error()?)?;
            let status = picture.status();
            let page = ProfilePage::new(&request, &visitor)?;
            layout::page_of(&request, status, &ProfilePage { picture, ..page }).await
        }
    }
}

/// Removes the avatar.
pub(in crate::web) async fn remove_avatar(visitor: Visitor, services: web::Data<Services>) -> HttpResult {
    let who = visitor.required()?;
    services.remove_avatar(who, AvatarOf::User(who.user)).await?;
    Ok(see_other("/settings/profile?done=saved"))
}
