//! The pages for people: HTML from the server, readable without a script.
//!
//! A page is a handler with its template (`templates/`, askama): it asks `services`, and renders.
//! [`paint`] turns code, documents and differences into HTML. `docs/WEB.md` explains how a page is
//! added.
//!
//! Invariants
//! * No HTML comes from users: values are escaped by the template, or are `SafeHtml` of [`paint`].
//! * No style, script or handler is inline: the policy of every page forbids them.
//! * A form that changes something is a POST of a page of this server (`http/origin.rs`), and ends
//!   with 303.
//!
//! Deliberately absent: state, and rights of its own. `services` decide what a visitor may see or
//! do; a page only leaves out what they would refuse.

mod about;
mod account;
mod admin;
mod assets;
mod chat;
mod code;
#[cfg(test)]
mod compact;
mod error;
mod form;
mod history;
mod layout;
#[cfg(test)]
mod link;
#[cfg(test)]
mod link_test;
mod loose;
mod origin_page;
pub mod paint;
mod people;
mod project;
mod search;
mod settings;
mod sheets;
mod shown;
mod upload;
mod visitor;

use actix_web::web;
pub use error::page as error_page;
pub use loose::LooseFiles;

/// Registers every page.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        // `/{user}/{project}` would match unknown addresses of the API.
        .service(page("/api/{path:.*}").to(error::not_found))
        .service(page("/").get(project::start::show))
        .service(page("/assets/{hash}/{file:.*}").get(assets::file))
        .service(page("/favicon.ico").get(assets::favicon))
        .service(page("/robots.txt").get(assets::robots))
        .service(page("/setup").get(account::setup::show).post(account::setup::submit))
        .service(page("/login").get(account::login::show).post(account::login::submit))
        .service(page("/logout").get(origin_page::lead).post(account::login::logout))
        .service(page("/register").get(account::register::show).post(account::register::submit))
        .service(page("/about").get(about::show))
        .service(page("/people").get(people::list::show))
        .service(page("/people/{username}").get(people::show::show).post(people::show::message))
        .service(page("/search").get(search::show::show))
        .configure(chat::routes)
        .configure(own_settings)
        .configure(administration)
        .configure(projects)
        .configure(code)
        .configure(history::routes)
        .service(page("/{user}").get(people::show::lead))
        .default_service(web::to(error::not_found));
}

fn page(path: &str) -> actix_web::Resource {
    web::resource(path.to_owned())
}

/// Registers the pages of the visitor's own account.
fn own_settings(config: &mut web::ServiceConfig) {
    use origin_page::lead;
    use settings::{appearance, logins, new_token, password, profile, tokens};
    config
        .service(page("/settings").get(profile::lead))
        .service(page("/settings/profile").get(profile::show).post(profile::submit))
        .service(page("/settings/avatar").get(profile::lead).post(profile::set_avatar))
        .service(page("/settings/avatar/remove").get(profile::lead).post(profile::remove_avatar))
        .service(page("/settings/password").get(password::show).post(password::submit))
        .service(page("/settings/logins").get(logins::show))
        .service(page("/settings/logins/end-others").get(lead).post(logins::end_others))
        .service(page("/settings/logins/end-all").get(lead).post(logins::end_all))
        .service(page("/settings/logins/{id}/end").get(lead).post(logins::end))
        .service(page("/settings/tokens").get(tokens::show))
        .service(page("/settings/tokens/new").get(new_token::show).post(new_token::submit))
        .service(page("/settings/tokens/{id}/revoke").get(lead).post(tokens::revoke))
        .service(page("/settings/appearance").get(appearance::show).post(appearance::submit));
}

/// Registers the pages for administrators of the server.
fn administration(config: &mut web::ServiceConfig) {
    use admin::{audit, audit_csv, health, user_changes, users};
    config
        .service(page("/admin").get(users::lead))
        .service(page("/admin/users").get(users::show))
        .service(page("/admin/users/{username}").get(users::show_user).post(users::set_active))
        .service(
            page("/admin/users/{username}/role").get(user_changes::show_role).post(user_changes::set_role),
        )
        .service(
            page("/admin/users/{username}/password")
                .get(user_changes::show_password)
                .post(user_changes::set_password),
        )
        .service(page("/admin/audit").get(audit::show))
        .service(page("/admin/audit.csv").get(audit_csv::file))
        .service(page("/admin/health").get(health::show));
}

/// Registers the pages of projects. They are last: `{user}` matches any first segment.
fn projects(config: &mut web::ServiceConfig) {
    use origin_page::lead;
    use project::{branches, create, list, members, new_repository, repository_settings, settings, show};
    let of = |rest: &str| page(&format!("/{{user}}/{{project}}{rest}"));
    config
        .service(page("/projects").get(list::show))
        .service(page("/projects/new").get(create::show).post(create::submit))
        .service(of("").get(show::show))
        .service(of("/-/watch").get(lead).post(show::watch))
        .service(of("/-/members").get(members::show).post(members::add))
        .service(of("/-/members/{username}/role").get(lead).post(members::change_role))
        .service(of("/-/members/{username}/remove").get(lead).post(members::remove))
        .service(of("/-/settings").get(settings::show).post(settings::change))
        .service(of("/-/settings/avatar").get(lead).post(project::avatar::set))
        .service(of("/-/settings/avatar/remove").get(lead).post(project::avatar::remove))
        .service(of("/-/settings/default-branch").get(lead).post(branches::set_default))
        .service(of("/-/settings/rules").get(lead).post(branches::add_rule))
        .service(of("/-/settings/rules/change").get(lead).post(branches::change_rule))
        .service(of("/-/settings/visibility").get(lead).post(settings::change_visibility))
        .service(of("/-/settings/delete").get(lead).post(settings::delete))
        .service(of("/-/repos/new").get(new_repository::show).post(new_repository::submit))
        .service(of("/{repo}/-/settings").get(repository_settings::show).post(repository_settings::change))
        .service(of("/{repo}/-/settings/delete").get(lead).post(repository_settings::delete));
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
        .service(page("/-/lfs/{rest:.*}").get(code::lfs_objects::send))
        .service(page("/-/archive/{rest:.*}").get(code::contents::archive));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::http::page_names::PAGES;

    /// The source of the functions that register pages, each with the start of the paths in it.
    const SOURCES: [(&str, &str, &str); 7] = [
        (include_str!("mod.rs"), "pub fn routes(", ""),
        (include_str!("mod.rs"), "fn own_settings(", ""),
        (include_str!("mod.rs"), "fn administration(", ""),
        (include_str!("mod.rs"), "fn projects(", ""),
        (include_str!("mod.rs"), "fn code(", "/{user}/{project}/{repo}"),
        (include_str!("chat/mod.rs"), "fn routes(", ""),
        (include_str!("history/mod.rs"), "fn routes(", "/{user}/{project}/{repo}/-/"),
    ];

    /// Adds method and path of the pages that the function registers. An address that only leads to
    /// the page of its form is not a page.
    fn add_registered(found: &mut BTreeSet<(String, String)>, (source, function, start): (&str, &str, &str)) {
        let (_, body) = source.split_once(function).unwrap();
        let body: String = body.split("\n}").next().unwrap().split_whitespace().collect();
        for service in body.split(".service(").skip(1) {
            let (call, rest) = service.split_once("(\"").unwrap();
            let (path, methods) = rest.split_once("\")").unwrap();
            let start = if call == "of" { "/{user}/{project}" } else { start };
            for (method, call) in [("GET", ".get("), ("POST", ".post(")] {
                let Some((_, handler)) = methods.split_once(call) else { continue };
                if !matches!(handler.split(')').next(), Some("lead" | "origin_page::lead")) {
                    found.insert((method.to_owned(), format!("{start}{path}").replace(":.*}", "}")));
                }
            }
        }
    }

    #[test]
    fn page_list_equals_registered_pages() {
        let mut registered = BTreeSet::new();
        for source in SOURCES {
            add_registered(&mut registered, source);
        }
        let listed: BTreeSet<_> =
            PAGES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
        let (missing, extra): (Vec<_>, Vec<_>) =
            (registered.difference(&listed).collect(), listed.difference(&registered).collect());
        assert!(missing.is_empty() && extra.is_empty(), "not listed: {missing:?}, not registered: {extra:?}");
        assert_eq!(listed.len(), PAGES.len(), "a page is listed twice");
    }
}
