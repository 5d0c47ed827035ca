//! The messages of the search actor's mailbox.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::actor::SearchActor;
use super::code_reading::{Expected, Planned, RepositoryReadError};
use super::code_steps::Step;
use super::code_upkeep::Turn;
use crate::actors::cache::SearchChanges;
use crate::actors::error::QueryError;
use crate::core::actor::{Request, instrumented_actor};
use crate::domain::ids::{ChatId, MessageId, RepositoryId};
use crate::domain::repository::Repository;
use crate::domain::search::{Candidates, SearchQuery};
use crate::git::browse::Oid;
use crate::storage::readers::ReadError;
use crate::storage::search_feed::{ChatChanges, IndexedTo};
use crate::storage::search_index::{CommitRow, Document, FileRow, RepositoryMark};

instrumented_actor!(
    SearchActor,
    "search",
    [
        AllRead,
        ChangesRead,
        ChatsChanged,
        CodeCompared,
        CodeHeadsRead,
        CodePlanned,
        CodeStepRead,
        CompareHeads,
        CompareIndex,
        Continue,
        ContinueCode,
        FindInRepositories,
        FindMessages,
        KeptRead,
    ]
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

/// Finds files or commits that meet conditions.
pub struct FindInRepositories {
    pub search: RepositorySearch,
    pub candidates: Arc<Candidates>,
    /// Rows of other repositories are skipped.
    pub among: Arc<HashSet<RepositoryId>>,
    /// Only ids above and below.
    pub above: i64,
    pub below: i64,
    pub limit: usize,
    /// Rows and time that the search may still use.
    pub rows: usize,
    pub time: Duration,
}

/// The rows that a search in repositories finds.
pub enum RepositorySearch {
    /// Files whose paths the query accepts.
    Files(Arc<SearchQuery>),
    Commits,
}

impl Request for FindInRepositories {
    type Answer = FoundInRepositories;
    type Error = QueryError;
}

/// Files or commits that may be hits, those with the highest ids first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundInRepositories {
    pub files: Vec<FileRow>,
    pub commits: Vec<CommitRow>,
    /// How far the repositories found are in the index.
    pub marks: HashMap<RepositoryId, RepositoryMark>,
    /// More may follow below this id.
    pub next: Option<i64>,
    /// Whether a limit of rows or time ended the search.
    pub is_cut: bool,
    /// Whether rows of some repositories are missing, which no continuation finds.
    pub lacks_some: bool,
    /// Whether the index has all rows of these repositories, except for late changes.
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

/// Chats or repositories have changed. `request` is the number of the request.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct ChatsChanged {
    pub(super) request: u64,
    pub(super) changed: Result<SearchChanges, QueryError>,
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

/// The refs of some repositories have been read.
#[derive(actix::Message)]
#[rtype(result = "()")]
#[allow(clippy::type_complexity, reason = "each repository has its own outcome")]
pub(super) struct CodeHeadsRead {
    pub(super) generation: u64,
    pub(super) heads: Vec<(Arc<Repository>, Result<Option<Oid>, RepositoryReadError>)>,
}

/// The changes of a repository are known.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct CodePlanned {
    pub(super) generation: u64,
    pub(super) repository: Arc<Repository>,
    pub(super) plan: Result<Planned, RepositoryReadError>,
}

/// A part of the changes of a repository has been read.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct CodeStepRead {
    pub(super) generation: u64,
    pub(super) id: RepositoryId,
    pub(super) read: Result<(Turn, Step), RepositoryReadError>,
}

/// All that the index should have of repositories has been read, for a comparison.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct CodeCompared {
    pub(super) generation: u64,
    pub(super) expected: Vec<Expected>,
}

/// Goes on with the upkeep of repositories, after messages that arrived meanwhile.
#[derive(actix::Message)]
#[rtype(result = "()")]
pub(super) struct ContinueCode {
    pub(super) generation: u64,
}
