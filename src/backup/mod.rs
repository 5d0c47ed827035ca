//! The data directory as a whole: backing it up, restoring it, looking whether it is well.
//!
//! A backup is a directory: `netbit.db`, `repos/` and, last, `manifest.json` with a checksum of every other file. Without
//! the manifest there is no backup.
//!
//! Invariants
//! * A backup may be taken while a server runs. The database is copied first, in one read transaction; whatever was
//!   acknowledged before the backup began is in it. Then come the repositories, refs before objects: each ref that is
//!   copied finds its objects, and a repository is never older than the database says.
//! * Meanwhile nothing is pruned, repacked or removed: the [`Store::tending`](crate::git::store::Store::tending) lock is
//!   held. It goes with the process.
//! * A restored database has a new epoch and no open logins: nobody goes on with a token or a cursor of a lost future.
//! * The doctor reads only.
//!
//! Deliberately absent: `secret.key`. Whoever has it can be anybody; a restored server makes its own.

mod doctor;
mod files;
mod manifest;
mod restore;
mod take;

pub use doctor::{Checked, Outcome, examine};
pub use manifest::{Manifest, verify};
pub use restore::{Restored, restore};
pub use take::take;

use std::path::PathBuf;

use crate::core::data_dir::DataDirError;
use crate::core::database::{DatabaseError, QueryError};

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{}: {}", .path.display(), .source)]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} is not empty; a backup and a restore need a directory that is new or empty", .0.display())]
    NotEmpty(PathBuf),
    #[error("there is no database in {}", .0.display())]
    NoDatabase(PathBuf),
    #[error("{} is no finished backup: {reason}", .path.display())]
    NoBackup { path: PathBuf, reason: String },
    #[error("{} does not have the checksum that the manifest names: the backup is damaged", .0.display())]
    Damaged(PathBuf),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the database answered: {0}")]
    Query(#[from] QueryError),
}

/// How far a long piece of work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A part of the work begins; so many steps, 0 if nobody can say.
    Begin(&'a str, u64),
    /// So many steps further.
    Done(u64),
}

/// Who is told.
pub type Report<'a> = &'a mut dyn FnMut(Progress<'_>);
