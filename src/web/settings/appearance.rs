//! `/settings/appearance`: light or dark pages. The choice is a cookie of this browser.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use askama::Template;
use serde::Deserialize;

use super::shell;
use crate::http::address::is_https;
use crate::http::error::HttpResult;
use crate::web::form::Form;
use crate::web::layout::{self, Shell, see_other};
use crate::web::visitor::{THEME_COOKIE, Visitor};

/// How long a browser keeps the choice.
const KEPT_DAYS: i64 = 365;

#[derive(Template)]
#[template(path = "settings/appearance.html")]
struct AppearancePage {
    shell: Shell,
    theme: &'static str,
}

/// Returns the form.
pub(in crate::web) async fn show(visitor: Visitor, request: HttpRequest) -> HttpResult {
    visitor.required()?;
    let page = AppearancePage { shell: shell(&request, &visitor, "Appearance"), theme: visitor.theme };
    layout::page(&request, &page).await
}

/// A choice of the form.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Theme {
    System,
    Light,
    Dark,
}

#[derive(Deserialize)]
pub(in crate::web) struct AppearanceForm {
    theme: Theme,
}

/// Keeps the choice in the browser.
pub(in crate::web) async fn submit(
    visitor: Visitor,
    request: HttpRequest,
    form: Form<AppearanceForm>,
) -> HttpResult {
    visitor.required()?;
    let (value, age) = match form.0.theme {
        Theme::System => ("", Duration::ZERO),
        Theme::Light => ("light", Duration::days(KEPT_DAYS)),
        Theme::Dark => ("dark", Duration::days(KEPT_DAYS)),
    };
    let cookie = Cookie::build(THEME_COOKIE, value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(is_https(&request))
        .max_age(age)
        .finish();
    let mut response = see_other("/settings/appearance?done=saved");
    // The value is one of the constants above.
    let _ = response.add_cookie(&cookie);
    Ok(response)
}
