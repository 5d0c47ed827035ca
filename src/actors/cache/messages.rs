//! The messages of the cache's mailbox.

use crate::actors::commit::WriterEvent;
use crate::actors::error::QueryError;
use crate::actors::outbox::Outbox;
use std::sync::Arc;
use std::time::Instant;

use actix::Message;

use super::actor::CacheActor;
use super::chats::Fill;
use super::read_models::ReadModels;
use super::{
    AccessTokens, AccessTokensOf, AccountBytes, Administrator, AppliedCommit, AvatarOfChat, Blocks,
    ChatDetails, ChatHeads, ChatList, ChatReader, Events, FoundPlaces, HasAdministrator, LoginCandidate,
    ManagedChat, Me, Members, MembersAmong, NotificationList, Participants, PathsToAdminister, PeopleSeen,
    PeopleToAdd, PersonFormerlyNamed, PersonNamed, ProjectList, ProjectNamed, ProjectToAdminister,
    ProjectsOwned, Query, ReadCursors, ReadableChat, ReadersNamed, Repositories, RepositoryById,
    RepositoryNamed, RepositoryPaths, RepositoryToPush, SearchRepositories, SearchScope, StartingChats,
    StorageOf, TokenHolder, TokenUsesToWrite, UserIds, UsersById, UsersByPrefix, UsersInEvents,
    UsersToAdminister, WebLoginHolder, WebLoginUsesToWrite,
};
use crate::actors::hub::Replayed;
use crate::actors::presence::Ticket;
use crate::core::actor::{MessageName, NamedMessage, Request, instrumented_actor};
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{ChatId, Seq, SessionId, UserId};
use crate::domain::presence::Status;
use crate::storage::readers::ReadError;
use crate::storage::snapshot::{Snapshot, WindowRows};

// The rows of the cache's statistics: every query, request and event.
instrumented_actor!(
    CacheActor,
    "cache",
    [
        AccessTokens,
        AccessTokensOf,
        AccountBytes,
        Administrator,
        AppliedCommit,
        AvatarOfChat,
        Blocks,
        CatchUp,
        CaughtUp,
        ChatDetails,
        ChatHeads,
        ChatReader,
        ChatList,
        ChatsElsewhere,
        CloseSession,
        Events,
        FoundPlaces,
        HasAdministrator,
        Heartbeat,
        IssueTicket,
        LoginCandidate,
        ManagedChat,
        Me,
        Members,
        MembersAmong,
        NotificationList,
        OpenSession,
        Participants,
        PathsToAdminister,
        PeopleSeen,
        PeopleToAdd,
        LogRead,
        PersonFormerlyNamed,
        PersonNamed,
        ProjectList,
        ProjectNamed,
        ProjectToAdminister,
        ProjectsOwned,
        Publish,
        ReadCursors,
        ReadableChat,
        ReadersNamed,
        Replay,
        Repositories,
        RepositoryById,
        RepositoryNamed,
        RepositoryPaths,
        RepositoryToPush,
        SearchRepositories,
        SearchScope,
        SendChanges,
        SendReceipts,
        SnapshotRead,
        StartingChats,
        StorageOf,
        TokenHolder,
        TokenUsesToWrite,
        UserIds,
        UsersById,
        UsersByPrefix,
        UsersInEvents,
        UsersToAdminister,
        Verify,
        WebLoginHolder,
        WebLoginUsesToWrite,
        WindowRead,
    ]
);

/// Implements [`Request`] for requests with their answers.
macro_rules! answers {
    ($($request:ident => $answer:ty),+ $(,)?) => {
        $(
            impl Request for $request {
                type Answer = $answer;
                type Error = QueryError;
            }
        )+
    };
}

answers! {
    ChatHeads => super::SearchChanges,
    CatchUp => Vec<(ChatId, Seq)>,
    ChatsElsewhere => (),
    Heartbeat => (),
    IssueTicket => (),
    OpenSession => (),
    Replay => Replayed,
    Verify => Comparison,
}

/// A query with the credential of its caller; `None`: the caller is not logged in.
pub struct QueryRequest<Q: Query> {
    pub(super) who: Option<Credential>,
    pub(super) query: Q,
    /// The time at which the HTTP request arrived that this is part of.
    pub(super) arrived: Option<Instant>,
}

impl<Q: Query> NamedMessage for QueryRequest<Q> {
    type Actor = CacheActor;
    const NAME: MessageName = Q::NAME;
}

impl<Q: Query> Request for QueryRequest<Q> {
    type Answer = Q::Answer;
    type Error = QueryError;
}

/// Commits from the writer, in commit order.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Publish(pub(super) WriterEvent);

/// Registers a session.
pub struct OpenSession(pub(super) SessionRegistration);

/// Identifies the session of a request.
#[derive(Debug, Clone, Copy)]
pub struct SessionRef {
    pub session: SessionId,
    /// The hub that the session is registered at.
    pub hub: usize,
    pub who: Credential,
}

/// Registration data sent by a session.
pub struct SessionRegistration {
    pub session_ref: SessionRef,
    pub outbox: Arc<Outbox>,
    pub echo: bool,
    pub device: DeviceKey,
    pub status: Option<Status>,
    /// The requested UDP ticket, and the address to use it at.
    pub ticket: Option<(Ticket, Arc<str>)>,
    pub request_id: Option<u64>,
}

/// Activates a UDP ticket.
pub struct IssueTicket {
    pub(super) who: Credential,
    pub(super) device: DeviceKey,
    pub(super) ticket: Ticket,
}

/// Delivers the chats of users at other nodes to presence, on its lane.
pub struct ChatsElsewhere(pub(super) Vec<UserId>);

/// A session has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct CloseSession {
    pub(super) session: SessionId,
    pub(super) hub: usize,
}

/// A session's heartbeat. The answer is ordered among the events.
pub struct Heartbeat {
    pub(super) session_ref: SessionRef,
    pub(super) request_id: Option<u64>,
}

/// How far a session has received its chats.
#[derive(Debug)]
pub struct ResumeCursors {
    /// The number of this `Resume` within the session.
    pub generation: u64,
    /// The epoch that the cursors belong to.
    pub epoch: i64,
    pub chats: Vec<(ChatId, Seq)>,
}

/// Brings a session up to date.
pub struct CatchUp {
    pub(super) session_ref: SessionRef,
    pub(super) cursors: ResumeCursors,
}

/// Requests the events above `after` for a session that is catching up.
pub struct Replay {
    pub(super) session_ref: SessionRef,
    pub(super) generation: u64,
    pub(super) chat: ChatId,
    pub(super) after: Seq,
    pub(super) bytes_max: usize,
}

/// A window has been read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WindowRead {
    pub(super) fill: Fill,
    pub(super) rows: Result<WindowRows, ReadError>,
}

/// Receipts were collected long enough.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SendReceipts;

/// Changes of chats were collected long enough.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SendChanges;

/// A new snapshot has been read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SnapshotRead {
    /// The reload that requested it.
    pub(super) reload: u64,
    pub(super) snapshot: Result<Box<Snapshot>, ReadError>,
}

/// Compares the read models with a fresh load of the database.
pub struct Verify {
    pub(super) fresh: Box<ReadModels>,
}

/// How the read models differ from a fresh load of the database.
#[derive(Debug)]
pub struct Comparison {
    /// Commits of the read models and of the load. If they are not the same, other differences may
    /// come from that.
    pub commits: (i64, i64),
    pub differences: Vec<String>,
}

/// At `at`, commit `commit_no` was the newest of the database.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct CaughtUp {
    pub commit_no: i64,
    pub at: Instant,
}

/// The log of commits was read for a query that would have been refused.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LogRead(pub(super) super::actor::DeferredQuery);
