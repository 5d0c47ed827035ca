//! The pages for people: HTML from the server, readable without a script.
//!
//! A page is a handler with its template (`templates/`, askama): it asks `services`, and renders.
//! [`paint`] turns code, documents and differences into HTML. `docs/WEB.md` explains how a page is
//! added.
//!
//! Invariants
//! * No HTML comes from users: values are escaped by the template, or are `SafeHtml` of [`paint`].
//! * No style, script or handler is inline: the policy of every page forbids them.
//! * A form that changes something is a POST of a page of this server (`http/observe.rs`), and ends
//!   with 303.
//!
//! Deliberately absent: state, and rights of its own. What a visitor may see or do is decided by
//! `services`; a page only leaves out what would be refused.

mod account;
mod assets;
mod code;
mod error;
mod form;
mod layout;
#[cfg(test)]
mod link;
pub mod paint;
mod visitor;

use actix_web::web;
pub use error::page as error_page;

/// Registers every page.
pub fn routes(config: &mut web::ServiceConfig) {
    let page = |path: &str| web::resource(path.to_owned());
    config
        .service(page("/assets/{hash}/{file:.*}").get(assets::file))
        .service(page("/favicon.ico").get(assets::favicon))
        .service(page("/robots.txt").get(assets::robots))
        .service(page("/setup").get(account::setup::show).post(account::setup::submit))
        .service(page("/login").get(account::login::show).post(account::login::submit))
        .service(page("/logout").post(account::login::logout))
        .service(page("/register").get(account::register::show).post(account::register::submit))
        .configure(code)
        .default_service(web::to(error::not_found));
}

/// The pages of the contents of a repository. The segment `-` separates them from names.
fn code(config: &mut web::ServiceConfig) {
    let page = |path: &str| web::resource(format!("/{{user}}/{{project}}/{{repo}}{path}"));
    config
        .service(page("").get(code::home::show))
        .service(page("/-/go").get(code::go::show))
        .service(page("/-/tree/{rest:.*}").get(code::tree::show))
        .service(page("/-/blob/{rest:.*}").get(code::blob::show))
        .service(page("/-/blame/{rest:.*}").get(code::blame::show))
        .service(page("/-/find/{rest:.*}").get(code::find::show))
        .service(page("/-/raw/{rest:.*}").get(code::contents::raw))
        .service(page("/-/image/{rest:.*}").get(code::contents::image))
        .service(page("/-/archive/{rest:.*}").get(code::contents::archive));
}
