//! A project in a list.

use super::path_of;
use crate::core::plural::plural;
use crate::domain::project::Visibility;
use crate::services::ProjectView;

/// See the [module](self).
pub(in crate::web) struct ProjectRow {
    pub(in crate::web) href: String,
    pub(in crate::web) owner: String,
    pub(in crate::web) name: String,
    pub(in crate::web) description: String,
    pub(in crate::web) is_public: bool,
    pub(in crate::web) role: &'static str,
    pub(in crate::web) repositories: String,
    pub(in crate::web) members: String,
}

impl From<ProjectView> for ProjectRow {
    fn from(view: ProjectView) -> Self {
        Self {
            href: path_of(&view),
            name: view.project.name.clone(),
            description: view.project.description.clone(),
            is_public: view.project.visibility == Visibility::Public,
            role: view.role.map_or("", |role| role.as_str()),
            repositories: plural(view.repository_count, "repository", "repositories"),
            members: plural(view.member_count, "member", "members"),
            owner: view.owner,
        }
    }
}
