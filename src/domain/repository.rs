//! Repositories and the names of their directories.

use std::fmt;

use uuid::Uuid;

use super::ids::{ProjectId, RepositoryId};
use super::node::NodeName;
use super::text::Invalid;
use super::timestamp::Timestamp;

/// A usable repository.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Repository {
    pub id: RepositoryId,
    pub project_id: ProjectId,
    pub name: String,
    pub description: String,
    pub default_branch: String,
    pub storage_key: StorageKey,
    /// The size on disk, as of the last push or maintenance.
    pub size_bytes: i64,
    pub created_at: Timestamp,
    /// The storage node: the only node that reads and writes the directory of the repository.
    /// `None` without PostgreSQL, and for a repository that no node has adopted yet.
    #[serde(default)]
    pub storage: Option<NodeName>,
}

impl Repository {
    /// Returns whether its storage node is `node`. `None`: the server is the only node.
    pub fn is_stored_on(&self, node: Option<&NodeName>) -> bool {
        node.is_none() || self.storage.as_ref() == node
    }
}

/// The name of a repository's directory: random, assigned once, independent of user input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct StorageKey(Uuid);

impl StorageKey {
    pub fn fresh() -> Self {
        Self(Uuid::new_v4())
    }

    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Uuid::try_parse(text).map(Self).map_err(|_| Invalid("is not a storage key"))
    }
}

impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}
