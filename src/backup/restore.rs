//! Restores a backup into a new data directory, and its database into PostgreSQL if wanted.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::database::copy_to_server;
use super::files::{self, failed};
use super::{BackupError, BackupProgress, Manifest, OlderDatabase, ReportProgress, order};
use crate::core::config::Synchronous;
use crate::core::data_dir::{DataDir, HighWater};
use crate::core::database::postgres::{Purpose, Server};
use crate::core::database::{self, DatabaseError, Db};
use crate::core::owner;
use crate::git::store::Store;
use crate::storage::copy::reset_epoch_and_logins;
use crate::storage::database_copy::{self, Logins};
use crate::storage::queries::meta;

/// Where the database of a backup goes.
#[derive(Debug, Clone)]
pub enum RestoreInto {
    /// Into the data directory.
    Directory,
    Server(Arc<Server>),
    /// Nowhere: another node restores it.
    Nowhere(NextTo),
}

/// The database next to which repositories are restored.
#[derive(Debug, Clone)]
pub enum NextTo {
    /// It must not be newer than the backup.
    Server(Arc<Server>),
    /// Any: it is not compared.
    Any,
}

/// The result of a restore.
#[derive(Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Number of logins that were open in the backup and were ended by the restore. `None` if the
    /// database was not restored.
    pub logins_ended: Option<usize>,
    /// The database next to which the repositories were restored, if it was compared.
    pub next_to: Option<OlderDatabase>,
}

/// Copies the backup `from` into `data_dir`, which must be new or empty, and sets a new epoch in
/// the database.
///
/// Every file is compared with its checksum. A server refuses to start in a directory whose restore
/// did not finish.
pub fn restore(
    from: &Path,
    data_dir: &Path,
    into: &RestoreInto,
    report: ReportProgress<'_>,
) -> Result<Restored, BackupError> {
    let mut manifest = Manifest::read(from)?;
    let next_to = match into {
        RestoreInto::Nowhere(NextTo::Server(server)) => Some(order::compare(&manifest, server)?),
        _ => None,
    };
    if let RestoreInto::Server(server) = into {
        // Before the files are copied, which takes long.
        let mut db = server.connect(Purpose::Reader).map_err(DatabaseError::Postgres)?;
        database_copy::check_empty(&mut db)?;
    }
    if let RestoreInto::Nowhere(_) = into {
        manifest = manifest.without(super::DATABASE);
    }
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
    let reset = match into {
        RestoreInto::Directory => Some(reset_file(data_dir, report)?),
        RestoreInto::Server(server) => Some(move_to_server(&manifest, data_dir, server, report)?),
        RestoreInto::Nowhere(_) => None,
    };
    files::sync(data_dir).map_err(failed(data_dir))?;
    let commit_no = manifest.commit_no;
    filling.finish(reset.map(|(epoch, _)| HighWater { epoch, commit_no, lost: false }))?;
    owner::hand_over(data_dir).map_err(failed(data_dir))?;
    Ok(Restored { manifest, logins_ended: reset.map(|(_, ended)| ended), next_to })
}

/// Sets a new epoch in the file. Returns it, and the number of logins that were ended.
fn reset_file(data_dir: &Path, report: ReportProgress<'_>) -> Result<(i64, usize), BackupError> {
    report(BackupProgress::Begin("a new epoch", 0));
    let mut db = database::open_writer(&DataDir::database_in(data_dir), Synchronous::Full)?;
    database::verify_integrity(&mut db)?;
    let mut db = Db::Sqlite(db);
    let reset = reset_epoch_and_logins(&mut db)?;
    db.as_sqlite().map(database::checkpoint_truncate).transpose()?;
    Ok(reset)
}

/// Copies the restored file to PostgreSQL with a new epoch, and removes it. Returns the epoch, and
/// the number of logins that were ended.
fn move_to_server(
    manifest: &Manifest,
    data_dir: &Path,
    server: &Arc<Server>,
    report: ReportProgress<'_>,
) -> Result<(i64, usize), BackupError> {
    let path = DataDir::database_in(data_dir);
    let mut db = database::open_writer(&path, Synchronous::Normal)?;
    database::verify_integrity(&mut db)?;
    // The backup may be of an earlier version.
    database::migrate(&mut db, &path)?;
    let mut db = Db::Sqlite(db);
    // Repositories that other nodes restore are compared with it.
    meta::set(&mut db, meta::RESTORED_EPOCH, manifest.epoch)?;
    meta::set(&mut db, meta::RESTORED_COMMIT_NO, manifest.commit_no)?;
    drop(db);
    let mut source = Db::Sqlite(database::open_reader(&path)?);
    let copied = copy_to_server(&mut source, server, Logins::End, report)?;
    drop(source);
    // Also the copy that a migration keeps, and the files that SQLite leaves.
    for entry in fs::read_dir(data_dir).map_err(failed(data_dir))? {
        let entry = entry.map_err(failed(data_dir))?.path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(super::DATABASE) {
            fs::remove_file(&entry).map_err(failed(&entry))?;
        }
    }
    Ok((copied.epoch, copied.logins_ended))
}
