//! The messages of the search actor's mailbox.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::actor::SearchActor;
use crate::actors::cache::ChangedChats;
use crate::actors::error::QueryError;
use crate::core::actor::{Request, instrumented_actor};
use crate::domain::ids::{ChatId, MessageId};
use crate::domain::search::Candidates;
use crate::storage::readers::ReadError;
use crate::storage::search_feed::{ChatChanges, IndexedTo};
use crate::storage::search_index::Document;

instrumented_actor!(
    SearchActor,
    "search",
    [AllRead, ChangesRead, ChatsChanged, CompareHeads, CompareIndex, Continue, FindMessages, KeptRead]
);

/// Finds messages that meet conditions.
pub struct FindMessages {
    pub candidates: Arc<Candidates>,
    /// Messages of other chats are skipped; `None`: the conditions choose the chats.
    pub among: Option<Arc<HashSet<ChatId>>>,
    /// Only messages above and below these ids.
    pub above: MessageId,
    pub below: MessageId,
    pub limit: usize,
    /// Rows and time that the search may still use.
    pub rows: usize,
    pub time: Duration,
}

impl Request for FindMessages {
    type Answer = FoundCandidates;
    type Error = QueryError;
}

/// Messages that may be hits, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundCandidates {
    pub ids: Vec<MessageId>,
    /// More may follow below this id. It may be that of a message that the caller cannot read.
    pub next: Option<MessageId>,
    /// Whether a limit of rows or time ended the search.
    pub is_cut: bool,
    /// Whether the index has all messages, except those of the last `limits.search_lag_ms`.
    pub is_current: bool,
    /// Rows and time that were used.
    pub rows: usize,
    pub took: Duration,
}

/// Brings the index up to date and compares it with the database.
pub struct CompareIndex;

impl Request for CompareIndex {
    type Answer = IndexComparison;
    type Error = QueryError;
}

/// The result of a comparison of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexComparison {
    /// Empty: the index has exactly what it should have.
    Differences(Vec<String>),
    /// The index has more than `limits.search_compared` messages, or cannot be used.
    Skipped,
}

/// Chats have changed. `request` is the number of the request.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct ChatsChanged {
    pub(super) request: u64,
    pub(super) changed: Result<ChangedChats, QueryError>,
}

/// The changes of some chats have been read.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct ChangesRead {
    pub(super) generation: u64,
    pub(super) read: Result<Vec<(IndexedTo, ChatChanges<Document>)>, ReadError>,
}

/// The messages of a trimmed chat that still exist have been read.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct KeptRead {
    pub(super) generation: u64,
    pub(super) read: Result<Kept, ReadError>,
}

/// The messages of a slice of a trimmed chat.
#[derive(Debug)]
pub(super) struct Kept {
    /// Messages that still exist and have changed since the mark.
    pub(super) documents: Vec<Document>,
    pub(super) removed: Vec<MessageId>,
    /// The last message of the slice.
    pub(super) last: Option<MessageId>,
    /// Whether no trimmed message follows.
    pub(super) is_last: bool,
}

/// All messages have been read, for a comparison; `None`: there are too many.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct AllRead {
    pub(super) generation: u64,
    pub(super) read: Result<Option<Vec<Document>>, ReadError>,
}

/// Goes on with the upkeep of the index, after messages that arrived meanwhile.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct Continue {
    pub(super) generation: u64,
}

/// The index is due to be compared with the newest events of all chats.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct CompareHeads {
    pub(super) generation: u64,
}
