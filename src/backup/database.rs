//! Copies a database between a data directory and PostgreSQL, in any direction.
//!
//! Invariants
//! * A copy that keeps the logins takes the place of its source: no server uses the source while it
//!   is copied. That of a directory is locked; of PostgreSQL it is checked at both ends.
//! * No server starts on a target that is not complete. A repeated copy begins again.
//! * Repositories are not copied.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::failed;
use super::{BackupError, BackupProgress, ReportProgress};
use crate::core::config::Synchronous;
use crate::core::data_dir::{DataDir, HighWater};
use crate::core::database::postgres::{Purpose, Server};
use crate::core::database::{self, DatabaseError, Db};
use crate::core::{fail_points, owner};
use crate::git::store::Store;
use crate::storage::database_copy::{self, Copied, CopyProgress, Logins};
use crate::storage::{nodes, signing_key};

/// Where a database is.
#[derive(Debug, Clone)]
pub enum DatabasePlace {
    /// In a data directory.
    Directory(PathBuf),
    Server(Arc<Server>),
}

/// Copies the database at `from` to `to`, which has none yet.
///
/// # Errors
/// The target is then marked as unfinished, unless nothing was written to it.
pub fn copy_database(
    from: &DatabasePlace,
    to: &DatabasePlace,
    logins: Logins,
    report: ReportProgress<'_>,
) -> Result<Copied, BackupError> {
    let (mut source, _unused) = open_source(from, logins)?;
    match to {
        DatabasePlace::Server(server) => copy_to_server(&mut source, server, logins, report),
        DatabasePlace::Directory(data_dir) => copy_to_directory(&mut source, data_dir, logins, report),
    }
}

/// Opens the source; locks it if it must not be in use.
fn open_source(from: &DatabasePlace, logins: Logins) -> Result<(Db, Option<DataDir>), BackupError> {
    match from {
        DatabasePlace::Directory(data_dir) => {
            let path = DataDir::database_in(data_dir);
            if !path.exists() {
                return Err(BackupError::NoDatabase(data_dir.clone()));
            }
            let lock = match logins {
                Logins::Keep => Some(DataDir::open(data_dir)?),
                Logins::Backup | Logins::End => None,
            };
            Ok((Db::Sqlite(database::open_reader(&path)?), lock))
        }
        DatabasePlace::Server(server) => {
            // Without time limits: the count of a large table takes long. The copy only reads.
            let mut db = server.connect(Purpose::Migration).map_err(DatabaseError::Postgres)?;
            if logins == Logins::Keep
                && let Some(node) = nodes::running(&mut db, "")?.into_iter().next()
            {
                return Err(BackupError::SourceInUse { node: node.name, silent_ms: node.silent_ms });
            }
            Ok((Db::Postgres(Box::new(db)), None))
        }
    }
}

pub(super) fn copy_to_server(
    source: &mut Db,
    server: &Arc<Server>,
    logins: Logins,
    report: ReportProgress<'_>,
) -> Result<Copied, BackupError> {
    // The settings of migrations: statements that check all rows have no time limit.
    let db = server.connect(Purpose::Migration).map_err(DatabaseError::Postgres)?;
    let mut target = Db::Postgres(Box::new(db));
    Ok(database_copy::copy(source, &mut target, logins, &mut |progress| show(report, progress))?)
}

fn copy_to_directory(
    source: &mut Db,
    data_dir: &Path,
    logins: Logins,
    report: ReportProgress<'_>,
) -> Result<Copied, BackupError> {
    let path = DataDir::database_in(data_dir);
    let filling = DataDir::begin_copy(data_dir)?;
    let signing_key = match source {
        Db::Postgres(source) if logins == Logins::Keep => signing_key::of_database(source)?,
        _ => None,
    };
    let unfinished = data_dir.join("netbit.db.unfinished");
    let copied = copy_to_file(source, &unfinished, logins, report)?;
    if let Some(key) = signing_key {
        // The nodes of a cluster sign with the key of the database, not with their own.
        filling.write_secret(&key)?;
    }
    // The doctor needs its folders, and creates nothing.
    drop(Store::open(data_dir).map_err(failed(data_dir))?);
    fs::rename(&unfinished, &path).map_err(failed(&path))?;
    File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(failed(data_dir))?;
    fail_points::reach(fail_points::COPY_RENAMED);
    filling.finish(Some(HighWater { epoch: copied.epoch, commit_no: copied.commit_no, lost: false }))?;
    owner::hand_over(data_dir).map_err(failed(data_dir))?;
    Ok(copied)
}

/// Copies all rows into a new file at `path`, which an earlier attempt may have left. The file is
/// complete and on disk at the end; its name is not.
pub(super) fn copy_to_file(
    source: &mut Db,
    path: &Path,
    logins: Logins,
    report: ReportProgress<'_>,
) -> Result<Copied, BackupError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let left = PathBuf::from(format!("{}{suffix}", path.display()));
        if left.exists() {
            fs::remove_file(&left).map_err(failed(&left))?;
        }
    }
    database::make_private_target(path)?;
    let mut target = database::open_writer(path, Synchronous::Normal)?;
    database::migrate(&mut target, path)?;
    let mut target = Db::Sqlite(target);
    let copied = database_copy::copy(source, &mut target, logins, &mut |progress| show(report, progress))?;
    target.as_sqlite().map(database::verify_integrity).transpose()?;
    drop(target);
    database::make_private(path)?;
    Ok(copied)
}

fn show(report: ReportProgress<'_>, progress: CopyProgress) {
    match progress {
        CopyProgress::Rows(total) => report(BackupProgress::Begin("rows", total)),
        CopyProgress::Done(rows) => report(BackupProgress::Done(rows)),
        CopyProgress::Checks => report(BackupProgress::Begin("checks", 0)),
    }
}
