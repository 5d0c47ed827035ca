//! Work that the last run did not finish, read once at start.

use diesel::prelude::*;

use super::queries::{pushes, repositories};
use crate::core::database::Db;
use crate::domain::ids::RepositoryId;
use crate::domain::repository::Repository;

/// Unfinished work, as recorded in the database.
#[derive(Debug, Default)]
pub struct Unfinished {
    pub creations: Vec<Repository>,
    /// The repositories with pushes that are not settled.
    pub pushed: Vec<RepositoryId>,
}

impl Unfinished {
    pub fn read(db: &mut Db) -> QueryResult<Self> {
        Ok(Self {
            creations: repositories::in_state(db, repositories::CREATING)?,
            pushed: pushes::repositories_unsettled(db)?,
        })
    }
}
