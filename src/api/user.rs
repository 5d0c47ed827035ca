//! Routes of accounts: registration, login, logout, refresh, and the caller's own account.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::page::{self, JsonLine};
use crate::actors::writer::commands::Logout;
use crate::core::config::Secret;
use crate::domain::ids::UserId;
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::domain::user::User;
use crate::http::error::HttpResult;
use crate::http::extract::{AuthenticatedUser, Body, Path, Peer, user_agent_of};
use crate::services::accounts::{IssuedTokens, NewAccount};
use crate::services::{ServiceError, Services};

/// A user as other users see it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PublicUser {
    #[schema(value_type = i64)]
    id: UserId,
    username: String,
    display_name: String,
    /// Present only when `false`: an administrator deactivated the user.
    #[serde(skip_serializing_if = "Clone::clone")]
    active: bool,
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// The version of the avatar, if the user has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
}

/// The caller's own account.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OwnUser {
    #[schema(value_type = i64)]
    id: UserId,
    username: String,
    display_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    is_admin: bool,
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// The version of the avatar, if the user has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    avatar: Option<String>,
}

impl From<&User> for PublicUser {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            active: user.active,
            created_at: user.created_at,
            avatar: user.shown_avatar().map(str::to_owned),
        }
    }
}

impl From<Arc<User>> for OwnUser {
    fn from(user: Arc<User>) -> Self {
        Self {
            id: user.id,
            username: user.username.clone(),
            display_name: user.display_name.clone(),
            email: user.email.clone(),
            is_admin: user.is_admin,
            created_at: user.created_at,
            avatar: user.shown_avatar().map(str::to_owned),
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegisterBody {
    username: String,
    /// 8 characters to 1024 bytes; not blank, not a very common password, not the user's own name.
    #[schema(value_type = String)]
    password: Secret,
    email: Option<String>,
    display_name: Option<String>,
    /// The code that the server prints at its start while it has no administrator. The sender
    /// becomes the administrator, even when registration is closed.
    #[schema(value_type = Option<String>)]
    setup_code: Option<Secret>,
}

impl From<RegisterBody> for NewAccount {
    fn from(body: RegisterBody) -> Self {
        let RegisterBody { username, password, email, display_name, setup_code } = body;
        let setup_code = setup_code.map(|code| code.expose().to_owned());
        Self { username, password: password.expose().to_owned(), email, display_name, setup_code }
    }
}

/// Creates an account.
///
/// With `setup_code` it becomes the administrator of a server that has none.
#[utoipa::path(post, operation_id = "register_user", path = "/api/users/register", request_body = RegisterBody,
    responses((status = 201, body = OwnUser), (status = 403), (status = 409), (status = 422), (status = 429)))]
pub(super) async fn register(
    peer: Peer,
    body: Body<RegisterBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let user = services.register(peer.0, body.0.into()).await?;
    Ok(HttpResponse::Created().json_line(OwnUser::from(user)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginBody {
    username: String,
    #[schema(value_type = String)]
    password: Secret,
}

/// Tokens: `token` authenticates requests, `refresh_token` is exchanged for new tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    token: String,
    token_type: &'static str,
    /// Seconds until `token` expires.
    expires_in: i64,
    refresh_token: String,
    user: OwnUser,
}

impl From<IssuedTokens> for TokenAnswer {
    fn from(issued: IssuedTokens) -> Self {
        Self {
            token: issued.token,
            token_type: "Bearer",
            expires_in: issued.expires_in,
            refresh_token: issued.refresh_token,
            user: issued.user.into(),
        }
    }
}

/// Starts a login session.
#[utoipa::path(post, operation_id = "log_in", path = "/api/users/login", request_body = LoginBody,
    responses((status = 200, body = TokenAnswer), (status = 401), (status = 422), (status = 429)))]
pub(super) async fn login(
    peer: Peer,
    request: HttpRequest,
    body: Body<LoginBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let LoginBody { username, password } = body.0;
    let device = user_agent_of(&request);
    let issued = services.login(peer.0, device, username, password.expose().to_owned()).await?;
    Ok(HttpResponse::Ok().json_line(TokenAnswer::from(issued)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RefreshBody {
    #[schema(value_type = String)]
    refresh_token: Secret,
}

/// Exchanges a refresh token for a new pair.
#[utoipa::path(post, operation_id = "refresh_login", path = "/api/users/refresh", request_body = RefreshBody,
    responses((status = 200, body = TokenAnswer), (status = 401)))]
pub(super) async fn refresh(body: Body<RefreshBody>, services: web::Data<Services>) -> HttpResult {
    let issued = services.refresh(body.0.refresh_token.expose()).await?;
    Ok(HttpResponse::Ok().json_line(TokenAnswer::from(issued)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogoutBody {
    /// Ends every login of the user, not only this one, and revokes the access tokens created
    /// within the last 24 hours.
    #[serde(default)]
    all: bool,
    /// With `all`: revokes every access token.
    #[serde(default)]
    tokens: bool,
}

/// Ends this login session, or all login sessions, optionally with access tokens.
#[utoipa::path(post, operation_id = "log_out", path = "/api/users/logout", request_body = LogoutBody, responses((status = 204), (status = 401), (status = 422)))]
pub(super) async fn logout(
    caller: AuthenticatedUser,
    body: Body<LogoutBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let reach = match body.0 {
        LogoutBody { all: false, tokens: false } => Logout::This,
        LogoutBody { all: true, tokens: false } => Logout::AllLogins,
        LogoutBody { all: true, tokens: true } => Logout::Everything,
        LogoutBody { all: false, tokens: true } => {
            return Err(ServiceError::from(Refusal::invalid("tokens", "requires \"all\": true")).into());
        }
    };
    services.logout(caller.0, reach).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Returns the caller's own account.
#[utoipa::path(get, operation_id = "get_own_user", path = "/api/users/me", responses((status = 200, body = OwnUser), (status = 401)))]
pub(super) async fn me(
    caller: AuthenticatedUser,
    request: HttpRequest,
    services: web::Data<Services>,
) -> HttpResult {
    let mut me = OwnUser::from(services.me(caller.0).await?);
    // Access tokens do not get the email address, so a leaked token does not reveal it.
    me.email = me.email.filter(|_| caller.0.auth_method.login().is_some());
    page::read(&request, &me, None)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileBody {
    display_name: Option<String>,
    /// `null` removes the email.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
}

/// Distinguishes `null` from an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes display name and email.
#[utoipa::path(patch, operation_id = "update_own_user", path = "/api/users/me", request_body = ProfileBody,
    responses((status = 200, body = OwnUser), (status = 401), (status = 422)))]
pub(super) async fn update_me(
    caller: AuthenticatedUser,
    body: Body<ProfileBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let ProfileBody { display_name, email } = body.0;
    let user = services.update_profile(caller.0, display_name, email).await?;
    Ok(HttpResponse::Ok().json_line(OwnUser::from(user)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordBody {
    #[schema(value_type = String)]
    current_password: Secret,
    #[schema(value_type = String)]
    new_password: Secret,
}

/// Changes the password; all logins of the user end.
#[utoipa::path(post, operation_id = "change_password", path = "/api/users/me/password", request_body = PasswordBody,
    responses((status = 204), (status = 401), (status = 403), (status = 422)))]
pub(super) async fn change_password(
    caller: AuthenticatedUser,
    peer: Peer,
    body: Body<PasswordBody>,
    services: web::Data<Services>,
) -> HttpResult {
    let PasswordBody { current_password, new_password } = body.0;
    let (current, new) = (current_password.expose().to_owned(), new_password.expose().to_owned());
    services.change_password(caller.0, peer.0, current, new).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Returns a user by name.
#[utoipa::path(get, operation_id = "get_user", path = "/api/users/{username}", params(("username" = String, Path)),
    responses((status = 200, body = PublicUser), (status = 401), (status = 404)))]
pub(super) async fn by_name(
    caller: AuthenticatedUser,
    request: HttpRequest,
    username: Path<String>,
    services: web::Data<Services>,
) -> HttpResult {
    let user = services.person(caller.0, username.0).await?;
    page::read(&request, &PublicUser::from(&*user), None)
}
