//! Restores a backup into a new data directory.

use std::path::Path;

use super::files::{self, failed};
use super::{BackupError, BackupProgress, Manifest, ReportProgress};
use crate::core::config::Synchronous;
use crate::core::data_dir::{DataDir, HighWater};
use crate::core::database::{self, Db};
use crate::core::owner;
use crate::git::store::Store;
use crate::storage::copy::reset_epoch_and_logins;

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Number of logins that were open in the backup and were ended by the restore.
    pub logins_ended: usize,
}

/// Copies the backup `from` into `data_dir`, which must be new or empty, and sets a new epoch in
/// the database.
///
/// Every file is compared with its checksum. A server refuses to start in a directory whose restore
/// did not finish.
pub fn restore(from: &Path, data_dir: &Path, report: ReportProgress<'_>) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(from)?;
    files::make_empty(data_dir)?;
    let filling = DataDir::begin_restore(data_dir)?;
    report(BackupProgress::Begin("restoring", manifest.bytes));
    for folder in manifest.folders() {
        let folder = data_dir.join(folder);
        files::make(&folder).map_err(failed(&folder))?;
    }
    for (path, expected) in manifest.files() {
        let (source, target) = (from.join(&path), data_dir.join(&path));
        let found = files::copy(&source, &target).map_err(failed(&source))?;
        if found != expected {
            return Err(BackupError::Damaged(source));
        }
        report(BackupProgress::Done(expected.bytes));
    }
    drop(Store::open(data_dir).map_err(failed(data_dir))?);
    report(BackupProgress::Begin("a new epoch", 0));
    let mut db = database::open_writer(&DataDir::database_in(data_dir), Synchronous::Full)?;
    database::verify_integrity(&mut db)?;
    let mut db = Db::Sqlite(db);
    let (epoch, logins_ended) = reset_epoch_and_logins(&mut db)?;
    db.as_sqlite().map(database::checkpoint_truncate).transpose()?;
    drop(db);
    files::sync(data_dir).map_err(failed(data_dir))?;
    filling.finish(HighWater { epoch, commit_no: manifest.commit_no, lost: false })?;
    owner::hand_over(data_dir).map_err(failed(data_dir))?;
    Ok(Restored { manifest, logins_ended })
}
