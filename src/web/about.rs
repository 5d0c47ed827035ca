//! `/about`: the version, the documents, and the licences of what is a part of the binary.

use actix_web::HttpRequest;
use askama::Template;

use super::layout::{self, Shell};
use super::paint::licences::{Licence, licences};
use super::visitor::Visitor;
use crate::http::error::HttpResult;

#[derive(Template)]
#[template(path = "about/about.html")]
struct AboutPage {
    shell: Shell,
    version: &'static str,
    licences: &'static [Licence],
}

/// Returns the page.
pub(super) async fn show(visitor: Visitor, request: HttpRequest) -> HttpResult {
    let page = AboutPage {
        shell: Shell::new(&request, &visitor, "About"),
        version: env!("CARGO_PKG_VERSION"),
        licences: licences(),
    };
    layout::page(&request, &page).await
}
