//! Backs up, restores and checks a data directory as a whole, and copies databases.
//!
//! A backup is a directory: `netbit.db`, `repos/` and, written last, `manifest.json` with a
//! checksum of every other file. A directory without the manifest is not a complete backup.
//!
//! Invariants
//! * The backup of a server on PostgreSQL is the same: `netbit.db` is a copy of all its rows.
//! * A backup may be taken while a server runs. The database is copied first, in one read
//!   transaction; the copy holds everything that was acknowledged before the backup began.
//! * Then the repositories are copied, refs before objects. The objects of each copied ref are in
//!   the backup, and a repository is never older than its state in the database.
//! * During a backup nothing is pruned, repacked or removed: the backup holds the
//!   [`Store::maintenance_lock`](crate::git::store::Store::tending) lock. The lock ends with the
//!   process.
//! * A repository whose directory is missing or incomplete does not prevent the backup of the
//!   others. The manifest names it, and the command fails after the backup is complete.
//! * A restored database has a new epoch and no open logins: tokens and cursors issued after the
//!   backup are not accepted.
//! * The doctor only reads.
//!
//! Deliberately absent: `secret.key`. Its holder can authenticate as any user; a restored server
//! creates its own.

mod blobs;
mod database;
mod doctor;
mod doctor_files;
mod doctor_lfs;
mod files;
mod manifest;
mod moving;
mod order;
mod own;
mod restore;
mod take;

pub use database::{DatabasePlace, copy_database};
pub use doctor::{CheckOutcome, Checked, examine};
pub use manifest::{Manifest, MissingObject, MissingRepository, verify};
pub use moving::{Move, MovedBlobs, move_to_bucket, move_to_disk};
pub use order::OlderDatabase;
pub use own::{OnDisk, OwnRepositories};
pub use restore::{NextTo, RestoreInto, Restored, restore};
pub use take::take;

use std::path::PathBuf;

use crate::blobs::MarkerError;
use crate::core::data_dir::DataDirError;
use crate::core::database::{DatabaseError, QueryError};
use crate::storage::database_copy::CopyError;

/// The file of the database in a backup.
const DATABASE: &str = "netbit.db";

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{}: {}", .path.display(), .source)]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} is not empty; a backup and a restore need a directory that is new or empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("no database in {}: check --data-dir, or set `database` (NETBIT_DATABASE)", .0.display())]
    NoDatabase(PathBuf),
    #[error("{} is not a complete backup: {reason}", .path.display())]
    NoBackup { path: PathBuf, reason: String },
    #[error("{}: the checksum differs from the manifest; the backup is damaged", .0.display())]
    Damaged(PathBuf),
    #[error("{} has no name of a node yet: set cluster.name as its server does", .0.display())]
    UnknownNode(PathBuf),
    #[error("other nodes use this database: set cluster.enabled and cluster.name as the server has them")]
    OtherNodes,
    #[error(
        "the backup is up to commit {backup}, and the database is up to commit {database}: the repositories lack \
         pushes that the database names. Use a newer backup of this node, or restore the database from the oldest \
         backup of all nodes; --allow-older restores them all the same"
    )]
    OlderThanDatabase { backup: i64, database: i64 },
    #[error(
        "the backup is not of this database, or of a time before it was restored: the repositories may lack pushes \
         that the database names. Use another backup; --allow-older restores them all the same"
    )]
    OtherHistory,
    #[error("{place} has no database yet: restore it first, from the oldest backup of all nodes ({source})")]
    NotRestored { place: String, source: QueryError },
    #[error(
        "{} has no name of a node yet, which is a part of the keys in the bucket: start its server once, or set \
         cluster.name, then repeat the command",
        .0.display()
    )]
    NamelessNode(PathBuf),
    #[error(
        "a server uses {} and stores its files there, so it would lose them: stop it, or restart it with files.store \
         = \"s3\", then repeat the command",
        .0.display()
    )]
    ServedFromDisk(PathBuf),
    #[error(transparent)]
    FilePlace(#[from] MarkerError),
    #[error(
        "the disk of {} is full, or nearly (limits.disk_reserve_bytes): the next file has {bytes} bytes. Free space, \
         then repeat the command, which goes on",
        .path.display()
    )]
    NoRoom { path: PathBuf, bytes: u64 },
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(
        "node {node} uses the source (it answered {silent_ms} ms ago); stop it first and wait 30 seconds after a \
         crash, or copy without --keep-logins"
    )]
    SourceInUse { node: String, silent_ms: i64 },
    #[error("a database query failed: {0}")]
    Query(#[from] QueryError),
}

/// A progress report of a long operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupProgress<'a> {
    /// A phase begins: its name and its number of steps, 0 if the number is unknown.
    Begin(&'a str, u64),
    /// This many further steps are done.
    Done(u64),
}

/// The callback that receives progress reports.
pub type ReportProgress<'a> = &'a mut dyn FnMut(BackupProgress<'_>);
