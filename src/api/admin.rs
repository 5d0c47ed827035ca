//! What administrators of the server do.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiResult;
use super::extract::{Body, Caller, Path};
use super::user::OwnUser;
use crate::services::Services;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    /// `false` shuts the user out: logins, sessions and tokens end at once.
    active: bool,
}

/// A user as administrators see them.
#[derive(Serialize, ToSchema)]
pub(super) struct ManagedUser {
    #[serde(flatten)]
    user: OwnUser,
    active: bool,
}

/// Deactivates a user, or lets them in again. What they wrote stays.
#[utoipa::path(patch, path = "/api/admin/users/{username}", params(("username" = String, Path)), request_body = UserBody,
    responses((status = 200, body = ManagedUser), (status = 401), (status = 403), (status = 404), (status = 409), (status = 422)))]
pub(super) async fn update_user(
    caller: Caller,
    username: Path<String>,
    body: Body<UserBody>,
    services: web::Data<Services>,
) -> ApiResult {
    let user = services.set_user_active(caller.0, username.0, body.0.active).await?;
    let active = user.active;
    Ok(HttpResponse::Ok().json(ManagedUser { user: user.into(), active }))
}
