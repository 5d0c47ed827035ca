//! The visitor's own account: profile, password, logins, access tokens, appearance.

pub(super) mod appearance;
pub(super) mod device;
pub(super) mod logins;
pub(super) mod new_token;
pub(super) mod password;
pub(super) mod profile;
pub(super) mod tokens;

use actix_web::HttpRequest;

use super::layout::{Crumb, Shell};
use super::visitor::Visitor;

fn shell(request: &HttpRequest, visitor: &Visitor, title: &str) -> Shell {
    let title = format!("{title} · Settings");
    Shell::new(request, visitor, title).crumbs([Crumb::new("Settings", "/settings/profile")])
}
