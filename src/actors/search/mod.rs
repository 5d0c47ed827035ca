//! The search: owns the index, and keeps it up to date.
//!
//! [`SearchActor`] owns the file `search.db` and its thread. It takes no part in the path of an
//! answer to a sender: the cache notes which chats have changed, the actor requests these notes,
//! and reads the changes of the chats from the database, through the pool of readers. The marks in
//! the index show from where on. So it works alike for own commits, those of other nodes, and those
//! of before a crash.
//!
//! * `feed` decides what is read next. It needs no runtime.
//! * `code_feed` decides which repository is compared with its refs next, `code_reading` and
//!   `code_steps` read repositories, and `code_upkeep` writes files and commits into the index.
//! * Changes are read and written in batches, and searches are answered between two of them.
//!
//! Invariants:
//!
//! * The index proposes messages. The service reads each of them again, and checks permissions and
//!   content, so an index that is behind shows nothing that was edited or deleted.
//! * The actor never writes the database, and no other actor waits for it.
//! * A failure of the index ends searches with an incomplete result, not the server. A damaged file
//!   is deleted and built again.

mod actor;
mod code_feed;
mod code_reading;
mod code_steps;
mod code_upkeep;
mod feed;
#[cfg(test)]
mod feed_test;
mod handle;
mod messages;
mod metrics;
mod upkeep;

pub use actor::{SearchActor, SearchSources};
pub use handle::{SearchHandle, SearchPermit};
pub use messages::{
    FindInRepositories, FindMessages, FoundCandidates, FoundInRepositories, IndexComparison, RepositorySearch,
};
pub use metrics::{SearchMetrics, SearchOutcome};
