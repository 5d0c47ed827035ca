//! The statements on PostgreSQL.

mod bulk;
#[allow(clippy::duplicate_mod, reason = "the statements are compiled once for each engine")]
#[path = "statements.rs"]
mod statements;

pub use statements::chats::cursors_behind;
pub use statements::*;

/// A connection of the writer or of a reader.
pub(super) type Db = crate::core::database::PgConnection;
type Backend = diesel::pg::Pg;
