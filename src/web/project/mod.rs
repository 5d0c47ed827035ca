//! Projects: the lists, the page of a project with its members and settings, and what a project
//! decides about its repositories.
//!
//! A project or repository that was renamed is found by its former name: pages lead to the present
//! name (308), and forms act at once.

pub(super) mod avatar;
pub(super) mod branches;
mod channel_lines;
pub(super) mod create;
mod head;
pub(super) mod list;
pub(super) mod members;
pub(super) mod new_repository;
pub(super) mod repository_settings;
pub(super) mod row;
pub(super) mod settings;
pub(super) mod show;
pub(super) mod start;

use actix_web::{HttpRequest, HttpResponse};

use super::layout::Crumb;
use crate::http::address::{self, percent_encoded};
use crate::services::{ProjectView, RepositoryView};

/// Returns the address of a project's page.
pub(super) fn path_of(view: &ProjectView) -> String {
    format!("/{}/{}", percent_encoded(&view.owner), percent_encoded(&view.project.name))
}

/// Returns the address of a repository's page.
pub(super) fn repository_path_of(view: &RepositoryView) -> String {
    let [owner, project, repository] =
        [&view.owner, &view.project.name, &view.repository.name].map(|name| percent_encoded(name));
    format!("/{owner}/{project}/{repository}")
}

/// Returns the redirect of a page that was requested by a former name of its project.
fn moved(request: &HttpRequest, view: &ProjectView) -> Option<HttpResponse> {
    view.moved.then(|| address::moved(request, 2, &path_of(view)))
}

fn crumbs_of(view: &ProjectView) -> [Crumb; 2] {
    let owner = Crumb::new(&view.owner, format!("/people/{}", percent_encoded(&view.owner)));
    [owner, Crumb::new(&view.project.name, path_of(view))]
}
