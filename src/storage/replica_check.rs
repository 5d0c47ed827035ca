//! Checks that a server is a standby of the database.
//!
//! A read replica with a wrong URL answers nothing: the primary answers for it, with a warning at
//! the first read of old messages. This check finds it at the start.

use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool};

use super::commit_log;
use super::queries::meta;
use crate::core::database::Db;
use crate::core::database::postgres::{PostgresError, Purpose, Server};

/// The reason why a server cannot be a read replica.
#[derive(Debug, thiserror::Error)]
pub enum NotAReplica {
    #[error(transparent)]
    Unreachable(PostgresError),
    #[error("it accepts writes, so it is not a standby")]
    Primary,
    #[error("its newest commit ({0}) is not in the database, so it is a standby of another one")]
    OtherDatabase(i64),
    #[error("it has no database of NetBit: {0}")]
    NoDatabase(diesel::result::Error),
}

/// The reason why a check has no result.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Replica(#[from] NotAReplica),
    #[error("the database cannot be read: {0}")]
    Query(#[from] diesel::result::Error),
    #[error(transparent)]
    Primary(PostgresError),
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// The newest commit of a replica.
#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = BigInt)]
    commit_no: i64,
    #[diesel(sql_type = Binary)]
    batch: Vec<u8>,
    #[diesel(sql_type = BigInt)]
    epoch: i64,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// Checks that the server `replica` is a standby of `primary`. So is a standby that is behind by
/// more commits than the log has. Waits on this thread.
///
/// # Errors
/// [`CheckError::Replica`] if it is not.
pub fn check_replica(primary: &Arc<Server>, replica: &Arc<Server>) -> Result<(), CheckError> {
    let mut at_replica = replica.connect(Purpose::Replica).map_err(NotAReplica::Unreachable)?;
    let recovery = diesel::sql_query("SELECT pg_is_in_recovery() AS answer");
    let is_standby =
        recovery.get_result::<Answer>(&mut at_replica.queries).map_err(NotAReplica::NoDatabase)?;
    if !is_standby.answer {
        return Err(NotAReplica::Primary.into());
    }
    let newest = diesel::sql_query(
        "SELECT commit_no, batch, coalesce((SELECT value FROM meta WHERE key = 'epoch'), 0) AS epoch
         FROM commits ORDER BY commit_no DESC LIMIT 1",
    );
    let newest: Newest = newest.get_result(&mut at_replica.queries).map_err(NotAReplica::NoDatabase)?;
    drop(at_replica);

    let mut at_primary = primary.connect(Purpose::Reader).map_err(CheckError::Primary)?;
    let oldest = diesel::sql_query("SELECT coalesce(min(commit_no), 0) AS value FROM commits");
    let oldest = oldest.get_result::<Number>(&mut at_primary.queries)?.value;
    let mut at_primary = Db::Postgres(Box::new(at_primary));
    // The database has deleted the oldest rows of its log.
    let is_behind_the_log =
        newest.commit_no < oldest && meta::get(&mut at_primary, meta::EPOCH)? == Some(newest.epoch);
    let Newest { epoch, commit_no, batch } = newest;
    if is_behind_the_log || commit_log::includes(&mut at_primary, epoch, commit_no, &batch)? {
        return Ok(());
    }
    Err(NotAReplica::OtherDatabase(commit_no).into())
}
