//! The statements on SQLite.

mod bulk;
#[allow(clippy::duplicate_mod, reason = "the statements are compiled once for each engine")]
#[path = "statements.rs"]
mod statements;

#[cfg(test)]
mod owners_test;
#[cfg(test)]
mod plans_test;
#[cfg(test)]
mod prepared_test;
#[cfg(test)]
mod removal_test;
#[cfg(test)]
mod threads_test;

pub use statements::chats::cursors_behind;
pub use statements::*;

/// The writable connection, or one of a reader.
pub(super) type Db = diesel::sqlite::SqliteConnection;
type Backend = diesel::sqlite::Sqlite;
