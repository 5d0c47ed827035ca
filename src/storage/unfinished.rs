//! Work that the last run did not finish, read once at start.

use diesel::prelude::*;

use super::queries::{files, pushes, repositories};
use crate::core::database::Db;
use crate::domain::ids::{FileId, RepositoryId};
use crate::domain::node::NodeName;
use crate::domain::repository::Repository;

/// Unfinished work, as recorded in the database.
#[derive(Debug, Default)]
pub struct Unfinished {
    pub creations: Vec<Repository>,
    /// The repositories with pushes that are not settled.
    pub pushed: Vec<RepositoryId>,
    /// The repositories that this node of a database does not store, and whether each is active.
    pub elsewhere: Vec<(Repository, bool)>,
    /// Whether files in chats are recorded at another node of a database, or at none.
    pub has_files_elsewhere: bool,
}

impl Unfinished {
    /// `node`: this node, on PostgreSQL.
    pub fn read(db: &mut Db, node: Option<&NodeName>) -> QueryResult<Self> {
        Ok(Self {
            elsewhere: match node {
                Some(node) => repositories::stored_elsewhere(db, node)?,
                None => Vec::new(),
            },
            has_files_elsewhere: match node {
                Some(node) => !files::elsewhere_above(db, FileId(0), node, 1)?.is_empty(),
                None => false,
            },
            creations: repositories::in_state(db, repositories::CREATING)?,
            pushed: pushes::repositories_unsettled(db)?,
        })
    }
}
