//! The pages of the history of a repository: commits, a commit, comparisons, branches, tags.
//!
//! Invariants
//! * Names are resolved first, then only object ids are used. A client that already has the page of
//!   these commits gets 304 before commits or differences are read.
//! * A page of changes is built and rendered outside of the event loop, within the limits of
//!   [`changes`].

mod branches;
mod changes;
mod commit;
mod commits;
mod compare;
mod delete_branch;
mod generated;
mod message_links;
mod part;
mod ref_names;
mod signer;
mod tags;

use actix_web::web;

/// Registers the pages of the history.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    let page = |path: &str| web::resource(format!("/{{user}}/{{project}}/{{repo}}/-/{path}"));
    config
        .service(page("commits").get(commits::of_default_branch))
        .service(page("commits/{rest:.*}").get(commits::show))
        .service(page("commit/{oid}").get(commit::show))
        .service(page("compare").get(compare::choose))
        .service(page("compare/{rest:.*}").get(compare::show))
        .service(page("branches").get(branches::show))
        .service(page("branches/delete/{branch:.*}").get(delete_branch::show).post(delete_branch::submit))
        .service(page("tags").get(tags::show));
}
