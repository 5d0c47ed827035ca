//! The cache: answers every read from memory.
//!
//! [`CacheActor`] owns two plain read models on one lane: the *directory* (users, active logins,
//! token versions) and the *chats* (participants, heads, cursors, windows of recent events). It is
//! loaded from a snapshot at start and is updated by the writer's events only. Authentication and
//! query are one ask.
//!
//! Invariants
//!
//! * The read models equal the database as of `commit_no`. Batches are applied in order and
//!   duplicates dropped. A gap or a panic leads to a fresh snapshot, during which queries wait
//!   rather than read old data.
//! * A window is dense from its first event to the chat's head. A missing window is filled from the
//!   database once, however many queries need it, while new events go to its tail.
//! * A read that hits does no I/O. The only I/O is done by the reader pool and returns as a
//!   message.
//! * Windows cost at most `cache.max_bytes`; the least recently used are evicted. Chats are never
//!   evicted.

mod actor;
mod audit_queries;
mod avatar_queries;
mod changes;
mod chat_start;
mod chats;
mod common_chats;
mod counters;
mod cursor_queries;
mod deleted;
mod directory;
mod faces;
mod handle;
mod log_reader;
mod login_queries;
mod messages;
mod notifications;
mod open_sessions;
mod people_queries;
mod project_queries;
mod projects;
mod push_queries;
mod queries;
mod read_models;
mod receipts;
mod search_queries;
mod search_repositories;
mod sessions;
mod storage_queries;
mod token_queries;
mod user_queries;
mod uses;
mod window;

#[cfg(test)]
mod model_test;

pub use actor::{CacheActor, Sources};
pub use audit_queries::{PathsFound, PathsToAdminister};
pub use avatar_queries::{AvatarOfChat, ManagedChat};
pub use changes::{ChatHead, ChatHeads, SearchChanges};
pub use chat_start::{FirstChats, StartingChats, UsersInEvents};
pub use counters::{CacheCounters, CacheSnapshot};
pub use cursor_queries::{ChatReader, ReadCursors, ReadableChat};
pub use handle::CacheHandle;
pub use log_reader::{LogReader, LogRequest, LogUnread};
pub use login_queries::{WebLoginHolder, WebLoginUsesToWrite};
pub use messages::{CaughtUp, Comparison, ResumeCursors, SessionRef, SessionRegistration};
pub use people_queries::{Blocks, Destination, PeopleToAdd};
pub use project_queries::{
    AccountBytes, MemberView, Members, MembersAmong, NotificationList, ProjectList, ProjectNamed,
    ProjectToAdminister, ProjectView, ProjectsOwned, ReadersNamed, Repositories, RepositoryById,
    RepositoryNamed, RepositoryPaths, RepositoryView,
};
pub use push_queries::RepositoryToPush;
pub use queries::{
    ChatDetails, ChatList, ChatView, Events, FoundEvents, ListedChat, LoginCandidate, Me, Participants,
    PersonFormerlyNamed, PersonNamed, Query, QueryContext, QueryOutcome, UserIds,
};
pub use read_models::ReadModels;
pub use search_queries::{FoundChats, FoundPlaces, SearchScope, SearchableChats};
pub use search_repositories::{SearchRepositories, SearchableRepository};
pub use storage_queries::{AppliedCommit, StorageOf, StoragePlace};
pub use token_queries::{
    AccessTokens, AccessTokensOf, Administrator, HasAdministrator, PeopleSeen, TokenHolder, TokenUsesToWrite,
};
pub use user_queries::{UsersById, UsersByPrefix, UsersFound, UsersKnown, UsersToAdminister};
