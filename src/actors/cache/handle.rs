//! The handle of the cache.

use super::actor::CacheActor;
use super::changes::{ChatHeads, SearchChanges};
use super::chats::Fill;
use super::messages::{
    CatchUp, CaughtUp, ChatsElsewhere, CloseSession, Comparison, Heartbeat, IssueTicket, LogRead,
    OpenSession, Publish, QueryRequest, Replay, ResumeCursors, SendChanges, SendReceipts, SessionRef,
    SessionRegistration, SnapshotRead, Verify, WindowRead,
};
use super::queries::Query;
use super::read_models::ReadModels;
use crate::actors::commit::WriterEvent;
use crate::actors::error::QueryError;
use crate::actors::hub::Replayed;
use crate::actors::presence::Ticket;
use crate::core::actor::{Caller, Gate, Mailbox};
use crate::core::telemetry;
use crate::domain::access::Credential;
use crate::domain::device::DeviceKey;
use crate::domain::ids::{ChatId, Seq, SessionId, UserId};
use crate::storage::readers::ReadError;
use crate::storage::snapshot::{Snapshot, WindowRows};

/// Sends queries and events to the cache. Cheap to clone.
#[derive(Clone)]
pub struct CacheHandle {
    mailbox: Mailbox<CacheActor>,
    gate: Gate,
}

impl CacheHandle {
    pub fn new(mailbox: Mailbox<CacheActor>, gate: Gate) -> Self {
        Self { mailbox, gate }
    }

    /// Authenticates `who` and answers `query`, in one step.
    pub async fn ask<Q: Query>(&self, who: Credential, query: Q) -> Result<Q::Answer, QueryError> {
        self.ask_as(who.into(), Some(who), query).await
    }

    /// Answers a query that needs no logged-in user.
    pub async fn ask_anonymously<Q: Query>(&self, query: Q) -> Result<Q::Answer, QueryError> {
        self.ask_as(Caller::Anyone, None, query).await
    }

    async fn ask_as<Q: Query>(
        &self,
        caller: Caller,
        who: Option<Credential>,
        query: Q,
    ) -> Result<Q::Answer, QueryError> {
        let arrived = telemetry::request_arrived();
        self.mailbox.ask(&self.gate, caller, QueryRequest { who, query, arrived }).await
    }

    /// Registers a session. Returns once `Welcome` is in its outbox and events follow it.
    pub async fn open_session(&self, registration: SessionRegistration) -> Result<(), QueryError> {
        let who = registration.session_ref.who;
        self.mailbox.ask(&self.gate, who, OpenSession(registration)).await
    }

    /// Activates a UDP ticket. Returns once datagrams with it are accepted.
    pub async fn issue_ticket(
        &self,
        who: Credential,
        device: DeviceKey,
        ticket: Ticket,
    ) -> Result<(), QueryError> {
        self.mailbox.ask(&self.gate, who, IssueTicket { who, device, ticket }).await
    }

    /// Delivers the chats of users at other nodes to presence. Returns once that is done. Called by
    /// one task, for one list at a time.
    pub async fn deliver_chats(&self, users: Vec<UserId>) -> Result<(), QueryError> {
        self.mailbox.ask_ungated(ChatsElsewhere(users)).await
    }

    pub fn close_session(&self, session: SessionId, hub: usize) {
        self.mailbox.post(CloseSession { session, hub });
    }

    /// Answers a `Ping` on the session's lane.
    pub async fn heartbeat(
        &self,
        session_ref: SessionRef,
        request_id: Option<u64>,
    ) -> Result<(), QueryError> {
        self.mailbox.ask(&self.gate, session_ref.who, Heartbeat { session_ref, request_id }).await
    }

    /// Answers, on the session's lane, for every listed chat. Returns the chats that must be
    /// replayed, and from where.
    pub async fn catch_up(
        &self,
        session_ref: SessionRef,
        cursors: ResumeCursors,
    ) -> Result<Vec<(ChatId, Seq)>, QueryError> {
        self.mailbox.ask(&self.gate, session_ref.who, CatchUp { session_ref, cursors }).await
    }

    /// Returns the next page of a replay, of at most `bytes_max` bytes or one event. The last page
    /// is sent on the session's lane.
    pub async fn replay(
        &self,
        session_ref: SessionRef,
        generation: u64,
        chat: ChatId,
        after: Seq,
        bytes_max: usize,
    ) -> Result<Replayed, QueryError> {
        self.mailbox
            .ask(&self.gate, session_ref.who, Replay { session_ref, generation, chat, after, bytes_max })
            .await
    }

    /// Publishes commits. Called by the writer only: the order of these calls is the order of the
    /// commits.
    pub fn publish(&self, event: WriterEvent) {
        self.mailbox.post(Publish(event));
    }

    /// Reports the newest commit of the database. Called after that commit was published.
    pub fn caught_up(&self, caught_up: CaughtUp) {
        self.mailbox.post(caught_up);
    }

    /// Returns how the read models differ from `fresh`.
    pub async fn verify(&self, fresh: ReadModels) -> Result<Comparison, QueryError> {
        self.mailbox.ask_ungated(Verify { fresh: Box::new(fresh) }).await
    }

    /// Waits for changes of chats and repositories, or returns all at once. Called by one task, for
    /// the search index: another call ends the one that waits.
    pub async fn chat_heads(&self, request: ChatHeads) -> Result<SearchChanges, QueryError> {
        self.mailbox.ask_ungated(request).await
    }

    pub(super) fn log_read(&self, deferred: super::actor::DeferredQuery) {
        self.mailbox.post(LogRead(deferred));
    }

    pub(super) fn window_read(&self, fill: Fill, rows: Result<WindowRows, ReadError>) {
        self.mailbox.post(WindowRead { fill, rows });
    }

    pub(super) fn send_receipts(&self) {
        self.mailbox.post(SendReceipts);
    }

    pub(super) fn send_changes(&self) {
        self.mailbox.post(SendChanges);
    }

    pub(super) fn snapshot_read(&self, reload: u64, snapshot: Result<Box<Snapshot>, ReadError>) {
        self.mailbox.post(SnapshotRead { reload, snapshot });
    }
}
