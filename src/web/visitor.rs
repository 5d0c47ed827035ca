//! The visitor of a page: a user with a login cookie, or an anonymous visitor.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::user::User;
use crate::http::cookie;
use crate::http::error::HttpError;
use crate::http::extract::services;
use crate::protocol::code::Code;
use crate::services::ServiceError;

/// The cookie with the chosen appearance: `light` or `dark`; without it the system decides.
pub(super) const THEME_COOKIE: &str = "theme";

/// See the [module](self).
#[derive(Clone)]
pub(super) struct Visitor {
    login: Option<(Credential, Arc<User>)>,
    /// `light`, `dark`, or empty.
    pub(super) theme: &'static str,
}

impl Visitor {
    /// Returns a visitor without a login.
    pub(super) fn anonymous() -> Self {
        Self { login: None, theme: "" }
    }

    pub(super) fn who(&self) -> Option<Credential> {
        self.login.as_ref().map(|(who, _)| *who)
    }

    pub(super) fn user(&self) -> Option<&Arc<User>> {
        self.login.as_ref().map(|(_, user)| user)
    }

    pub(super) fn is_admin(&self) -> bool {
        self.user().is_some_and(|user| user.is_admin)
    }

    /// Returns the credential of a page that needs a login.
    ///
    /// # Errors
    /// 401, which becomes a redirect to the login page.
    pub(super) fn required(&self) -> Result<Credential, HttpError> {
        Ok(self.who().ok_or_else(ServiceError::unauthenticated)?)
    }

    /// Returns a text that differs between visitors, for validators. Never empty.
    pub(super) fn key(&self) -> String {
        self.user().map_or_else(|| "anonymous".to_owned(), |user| format!("user {}", user.id))
    }

    /// Returns the visitor that the extractor found for this request.
    pub(super) fn of(request: &HttpRequest) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(Self::anonymous)
    }
}

impl FromRequest for Visitor {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, HttpError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let who = cookie::credential(&request).await?;
            let login = match who {
                Some(who) => match services(&request)?.me(who).await {
                    Ok(user) => Some((who, user)),
                    // The login ended in between.
                    Err(error) if error.code == Code::Unauthenticated => None,
                    Err(error) => return Err(error.into()),
                },
                None => None,
            };
            if let Some((who, _)) = login {
                request.extensions_mut().insert(Holder::Account(who.user));
            }
            let theme = request.cookie(THEME_COOKIE).map(|cookie| cookie.value().to_owned());
            let theme = match theme.as_deref() {
                Some("light") => "light",
                Some("dark") => "dark",
                _ => "",
            };
            let visitor = Self { login, theme };
            request.extensions_mut().insert(visitor.clone());
            Ok(visitor)
        })
    }
}
