//! Routes of the caller's logins.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::page;
use crate::domain::ids::LoginId;
use crate::domain::login::Login;
use crate::domain::timestamp::Timestamp;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Path};
use crate::services::Services;
use crate::services::web_logins::LoginView;

/// An open login of the caller.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoginAnswer {
    #[schema(value_type = i64)]
    id: LoginId,
    /// The `User-Agent` of the client that logged in, at most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// The address that the login came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// The start or the last refresh. In a browser: the last use, with a precision of an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    last_used_at: Option<Timestamp>,
    #[schema(value_type = String)]
    expires_at: Timestamp,
    /// The login is that of a browser, by cookie.
    web: bool,
    /// The request was made with this login.
    current: bool,
}

impl From<LoginView> for LoginAnswer {
    fn from(view: LoginView) -> Self {
        let LoginView { login, current } = view;
        let Login { id, device, address, created_at, last_used_at, expires_at, web } = login;
        Self { id, device, address, created_at, last_used_at, expires_at, web, current }
    }
}

/// Lists the caller's open logins, the last used first.
#[utoipa::path(get, operation_id = "list_logins", path = "/api/users/me/logins",
    responses((status = 200, body = page::Items<LoginAnswer>), (status = 401), (status = 403)))]
pub(super) async fn list(
    caller: AuthenticatedUser,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let logins = services.logins(caller.0).await?;
    page::items(&request, logins.into_iter().map(LoginAnswer::from).collect(), None)
}

/// Ends a login of the caller at once, with its chat sessions.
#[utoipa::path(delete, operation_id = "end_login", path = "/api/users/me/logins/{id}", params(("id" = i64, Path)),
    responses((status = 204), (status = 401), (status = 403), (status = 404)))]
pub(super) async fn end(
    caller: AuthenticatedUser,
    id: Path<i64>,
    services: web::Data<Services>,
) -> HttpResult {
    services.end_login_by_id(caller.0, LoginId(id.0)).await?;
    Ok(HttpResponse::NoContent().finish())
}
