//! What the last run did not finish: read once, at start, and settled before anybody is served.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::queries::{pushes, repositories};
use super::rows::push::PushIntent;
use crate::domain::repository::Repository;

/// What the database says was not finished when the last run ended.
#[derive(Debug, Default)]
pub struct Unfinished {
    pub creations: Vec<Repository>,
    pub pushes: Vec<PushIntent>,
}

impl Unfinished {
    pub fn read(db: &mut SqliteConnection) -> QueryResult<Self> {
        Ok(Self {
            creations: repositories::in_state(db, repositories::CREATING)?,
            pushes: pushes::all_unsettled(db, i64::MAX)?,
        })
    }
}
