//! The head of all pages of a project: its path, its visibility, the visitor's role, and tabs.

use super::path_of;
use crate::domain::ids::ChatId;
use crate::domain::permission::project::{self as permission, Act};
use crate::domain::project::Visibility;
use crate::services::ProjectView;
use crate::web::visitor::Visitor;

/// See the [module](self).
pub(super) struct Head {
    pub(super) path: String,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) is_public: bool,
    /// The address of the avatar, if the project has one.
    pub(super) picture: Option<String>,
    /// The visitor's role; empty for visitors who are not members.
    pub(super) role: &'static str,
    pub(super) watches: bool,
    pub(super) members: usize,
    pub(super) channel: ChatId,
    /// Whether the visitor has an account.
    pub(super) is_known: bool,
    pub(super) may_maintain: bool,
    pub(super) may_manage: bool,
    /// The tab of the page: `overview`, `members` or `settings`.
    pub(super) tab: &'static str,
}

impl Head {
    pub(super) fn new(view: &ProjectView, visitor: &Visitor, tab: &'static str) -> Self {
        let visibility = view.project.visibility;
        let may = |act| permission::check(act, visibility, view.role, "project").is_ok();
        Self {
            path: path_of(view),
            owner: view.owner.clone(),
            name: view.project.name.clone(),
            is_public: visibility == Visibility::Public,
            picture: view
                .project
                .avatar
                .as_ref()
                .map(|version| format!("/api/projects{}/avatar?v={version}", path_of(view))),
            role: view.role.map_or("", |role| role.as_str()),
            watches: view.watches,
            members: view.member_count,
            channel: view.project.channel_id,
            is_known: visitor.who().is_some(),
            may_maintain: may(Act::Maintain),
            may_manage: may(Act::Manage),
            tab,
        }
    }
}
