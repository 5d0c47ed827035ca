//! Compares the repositories of a backup with the database next to which they are restored.
//!
//! Invariant: repositories may be newer than the database, never older. A newer repository has refs
//! whose events are missing. An older one lacks commits that events and messages name, and pushes
//! that were acknowledged and are in the database.

use std::sync::Arc;

use super::{BackupError, Manifest};
use crate::core::database::postgres::{Purpose, Server};
use crate::core::database::{DatabaseError, Db, QueryError};
use crate::storage::commit_log;
use crate::storage::queries::meta;

/// The position of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    epoch: Option<i64>,
    commit_no: i64,
    /// Epoch and number of the commit from which the database was restored.
    restored: Option<(i64, i64)>,
}

/// A database that is not newer than the repositories of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OlderDatabase {
    /// The number of the commit up to which the database is, or from which it was restored.
    pub commit_no: i64,
    /// The number of commits since it was restored.
    pub commits_since: i64,
}

/// Compares a backup with the database.
///
/// # Errors
/// [`BackupError::OlderThanDatabase`] or [`BackupError::OtherHistory`].
pub(super) fn compare(manifest: &Manifest, server: &Arc<Server>) -> Result<OlderDatabase, BackupError> {
    let db = server.connect(Purpose::Reader).map_err(DatabaseError::Postgres)?;
    let position = read(&mut Db::Postgres(Box::new(db)));
    let position =
        position.map_err(|source| BackupError::NotRestored { place: server.place().to_owned(), source })?;
    position.order((manifest.epoch, manifest.commit_no))
}

fn read(db: &mut Db) -> Result<Position, QueryError> {
    let restored = meta::get(db, meta::RESTORED_EPOCH)?.zip(meta::get(db, meta::RESTORED_COMMIT_NO)?);
    Ok(Position { epoch: meta::get(db, meta::EPOCH)?, commit_no: commit_log::last(db)?, restored })
}

impl Position {
    /// Returns the order of this database and of a backup with this epoch and commit.
    fn order(self, (epoch, commit_no): (i64, i64)) -> Result<OlderDatabase, BackupError> {
        let (at, commits_since) = match self.restored {
            _ if self.epoch == Some(epoch) => (self.commit_no, 0),
            Some((of, restored)) if of == epoch => (restored, self.commit_no.saturating_sub(restored)),
            _ => return Err(BackupError::OtherHistory),
        };
        if commit_no < at {
            return Err(BackupError::OlderThanDatabase { backup: commit_no, database: at });
        }
        Ok(OlderDatabase { commit_no: at, commits_since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_may_be_newer_than_the_database_and_not_older() {
        let position = Position { epoch: Some(9), commit_no: 120, restored: Some((5, 100)) };
        let older = |commit_no, commits_since| OlderDatabase { commit_no, commits_since };
        // Backups of the time before the restore.
        assert_eq!(position.order((5, 100)).unwrap(), older(100, 20));
        assert_eq!(position.order((5, 115)).unwrap(), older(100, 20));
        let refused = position.order((5, 99));
        assert!(matches!(refused, Err(BackupError::OlderThanDatabase { backup: 99, database: 100 })));
        // Backups of the restored database.
        assert_eq!(position.order((9, 120)).unwrap(), older(120, 0));
        assert!(matches!(position.order((9, 119)), Err(BackupError::OlderThanDatabase { .. })));
        assert!(matches!(position.order((7, 200)), Err(BackupError::OtherHistory)));
        let never_restored = Position { restored: None, ..position };
        assert!(matches!(never_restored.order((5, 200)), Err(BackupError::OtherHistory)));
    }
}
