//! Administration of the server: users, the audit log, and the state of the server. Without the
//! contents of chats and repositories.

pub(super) mod audit;
pub(super) mod audit_csv;
mod audit_names;
pub(super) mod health;
pub(super) mod user_changes;
pub(super) mod users;

use actix_web::HttpRequest;

use super::layout::{Crumb, Shell};
use super::visitor::Visitor;

fn shell(request: &HttpRequest, visitor: &Visitor, title: &str) -> Shell {
    let title = format!("{title} · Administration");
    Shell::new(request, visitor, title).crumbs([Crumb::new("Administration", "/admin/users")])
}
