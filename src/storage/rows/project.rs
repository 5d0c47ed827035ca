//! Rows of `projects`, `project_configs` and `repositories`.

use diesel::prelude::*;

use super::chat::unreadable;
use crate::domain::ids::{ChatId, ProjectId, RepositoryId, UserId};
use crate::domain::node::NodeName;
use crate::domain::project::{Project, ProjectRole, Visibility};
use crate::domain::repository::{Repository, StorageKey};
use crate::domain::timestamp::Timestamp;
use crate::storage::schema::{projects, repositories};

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = projects)]
pub struct ProjectRow {
    pub id: ProjectId,
    pub owner_id: UserId,
    pub name: String,
    pub description: String,
    pub visibility: String,
    pub channel_id: ChatId,
    pub created_at: i64,
    pub avatar: Option<String>,
}

impl ProjectRow {
    /// Returns the project with its settings: the defaults if no row exists.
    pub fn with_config(self, config: Option<&str>) -> QueryResult<Project> {
        let config = match config {
            None => crate::domain::project::ProjectConfig::default(),
            Some(text) => {
                serde_json::from_str(text).map_err(|_| unreadable("project_configs.config", text))?
            }
        };
        Ok(Project {
            id: self.id,
            owner_id: self.owner_id,
            name: self.name,
            description: self.description,
            visibility: Visibility::from_name(&self.visibility)
                .ok_or_else(|| unreadable("projects.visibility", &self.visibility))?,
            channel_id: self.channel_id,
            created_at: Timestamp(self.created_at),
            config,
            avatar: self.avatar,
        })
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = projects)]
pub struct NewProjectRow<'a> {
    pub owner_id: UserId,
    pub name: &'a str,
    pub name_key: &'a str,
    pub description: &'a str,
    pub visibility: &'a str,
    pub channel_id: ChatId,
    pub created_at: i64,
}

pub fn project_role(name: &str) -> QueryResult<ProjectRole> {
    ProjectRole::from_name(name).ok_or_else(|| unreadable("project_members.role", name))
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = repositories)]
pub struct RepositoryRow {
    pub id: RepositoryId,
    pub project_id: ProjectId,
    pub name: String,
    pub description: String,
    pub default_branch: String,
    pub storage_key: String,
    pub state: String,
    pub size_bytes: i64,
    pub created_at: i64,
    pub storage: Option<String>,
}

impl TryFrom<RepositoryRow> for Repository {
    type Error = diesel::result::Error;

    fn try_from(row: RepositoryRow) -> QueryResult<Self> {
        Ok(Self {
            id: row.id,
            project_id: row.project_id,
            name: row.name,
            description: row.description,
            default_branch: row.default_branch,
            storage_key: StorageKey::parse(&row.storage_key)
                .map_err(|_| unreadable("repositories.storage_key", &row.storage_key))?,
            size_bytes: row.size_bytes,
            created_at: Timestamp(row.created_at),
            storage: row.storage.map(NodeName::from),
        })
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = repositories)]
pub struct NewRepositoryRow<'a> {
    pub project_id: ProjectId,
    pub name: &'a str,
    pub name_key: &'a str,
    pub description: &'a str,
    pub default_branch: &'a str,
    pub storage_key: &'a str,
    pub state: &'a str,
    pub created_at: i64,
    pub storage: Option<&'a str>,
}

/// Repositories that have got another storage node.
#[derive(Debug, Default)]
pub struct MovedRepositories {
    /// As they are now.
    pub usable: Vec<Repository>,
    /// The number of those that are being deleted.
    pub deleting: usize,
}

/// A project or repository that was renamed: where its former name was used, and what it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renamed {
    Project { owner: UserId, project: ProjectId },
    Repository { project: ProjectId, repository: RepositoryId },
}

impl Renamed {
    /// Returns the columns `kind`, `parent_id` and `target_id`.
    pub(in crate::storage) fn columns(self) -> (&'static str, i64, i64) {
        match self {
            Self::Project { owner, project } => ("project", owner.0, project.0),
            Self::Repository { project, repository } => ("repository", project.0, repository.0),
        }
    }

    pub(in crate::storage) fn of_columns(kind: &str, parent: i64, target: i64) -> QueryResult<Self> {
        match kind {
            "project" => Ok(Self::Project { owner: UserId(parent), project: ProjectId(target) }),
            "repository" => {
                Ok(Self::Repository { project: ProjectId(parent), repository: RepositoryId(target) })
            }
            other => Err(unreadable("former_names.kind", other)),
        }
    }
}
