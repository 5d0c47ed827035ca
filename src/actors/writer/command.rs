//! Commands, and the [`Tx`] with which they execute in a batch's transaction.
//!
//! * [`Command`] checks first and writes then. A batch may execute it again (a replay), so it
//!   must not keep state between executions.
//! * [`Tx`] gives it the connection: [`Tx::reader`] to read, [`Tx::write`] to change. A refusal
//!   before the first write costs nothing; a later one makes the batch roll back and replay.
//! * [`Invalidation`] declares which entries of the writer cache the command makes stale.
//! * A `Tx` *collects* if the command only appends: its messages take a seq from the cached head
//!   and wait in `PendingInserts`. [`Tx::reader_after_flush`] inserts them, so that a query sees
//!   them.
//!
//! The [writer](super) explains all of it with an example: a batch of two messages and an edit.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::Notify;

use super::actor::DbWriterActor;
use super::additions::AdditionRates;
use super::counted::CountedRates;
use super::mentions::MentionRates;
use super::pending_inserts::PendingMessage;
use super::writer_cache::{Head, Invalidation, WriterCache};
use crate::core::actor::{NamedMessage, Overloaded, ReplyDropped};
use crate::core::database::Db;
use crate::core::limits::{Limits, ROWS_PER_STATEMENT_MAX};
use crate::domain::access::{AccessGrant, AuthMethod, Credential, RequiredScope};
use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::event::{Change, ChatEvent, Event};
use crate::domain::ids::{ChatId, MessageId, Seq, UserId};
use crate::domain::permission::chat as permission;
use crate::domain::permission::people::AddingRate;
use crate::domain::refusal::Refusal;
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::{access_tokens, accounts, audit, chats, messages};
use crate::storage::rows::audit::NewAuditRow;
use crate::storage::rows::chat::ChatHead;

/// A change of the database that a caller requests. A replayed batch executes it again, so
/// `execute` takes `&self`.
pub trait Command: NamedMessage<Actor = DbWriterActor> + Send + 'static {
    type Output: Send + 'static;
    /// Writer cache entries that the command makes stale.
    const INVALIDATION: Invalidation = Invalidation::All;

    /// Returns the bytes that the command adds to its batch (`limits.batch_bytes`).
    fn bytes(&self) -> usize {
        256
    }

    /// Checks everything first, then writes. Events announced through [`Tx`] become public with the
    /// commit.
    ///
    /// # Errors
    /// [`ExecuteError::Refused`] fails this command only, [`ExecuteError::Database`] the whole
    /// batch.
    fn execute(&self, tx: &mut Tx<'_>) -> Execution<Self::Output>;
}

pub type Execution<T> = Result<T, ExecuteError>;

/// The reason why a command did not execute.
#[derive(Debug)]
pub enum ExecuteError {
    /// A rule refused the command. Concerns only its caller.
    Refused(Refusal),
    /// The database failed. Concerns the whole batch, unless the error is a violated constraint.
    Database(diesel::result::Error),
}

impl From<Refusal> for ExecuteError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<diesel::result::Error> for ExecuteError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

/// The error that a caller receives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// The disk is full: nothing was written. Reads continue.
    #[error("the disk of the server is full and writes are refused; try again later")]
    ReadOnly,
    /// PostgreSQL cannot be reached: nothing was written.
    #[error("the database of the server cannot be reached; try again later")]
    DatabaseAway,
    /// The outcome is unknown: the client retries with the same `client_id`.
    #[error("the server failed; check whether the change was made before you try again")]
    Internal,
}

impl From<ReplyDropped> for CommandError {
    fn from(_: ReplyDropped) -> Self {
        Self::Internal
    }
}

/// A command's view of the batch's transaction: connection, events to publish, writer cache.
pub struct Tx<'a> {
    db: &'a mut Db,
    events: &'a mut Vec<Event>,
    writer_cache: &'a mut WriterCache,
    wrote: bool,
    /// Whether messages may wait in `PendingInserts` for their rows.
    collects: bool,
    /// Id of the HTTP request that submitted the command, if any.
    request_id: Option<Arc<str>>,
    pub now: Timestamp,
    pub limits: &'a Limits,
    additions: &'a AdditionRates,
    mentions: &'a MentionRates,
    /// Verdicts of the rates on this command, from this execution or an earlier one.
    pub(super) counted: CountedRates,
    fan_outs: &'a Notify,
}

/// State that all commands of a batch share.
#[derive(Clone, Copy)]
pub(super) struct BatchContext<'a> {
    pub(super) limits: &'a Limits,
    pub(super) additions: &'a AdditionRates,
    pub(super) mentions: &'a MentionRates,
    /// Notified when a command leaves notifications to be written later.
    pub(super) fan_outs: &'a Notify,
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        db: &'a mut Db,
        events: &'a mut Vec<Event>,
        writer_cache: &'a mut WriterCache,
        now: Timestamp,
        shared: BatchContext<'a>,
    ) -> Self {
        let BatchContext { limits, additions, mentions, fan_outs } = shared;
        Self {
            db,
            events,
            writer_cache,
            wrote: false,
            collects: false,
            request_id: None,
            now,
            limits,
            additions,
            mentions,
            counted: CountedRates::default(),
            fan_outs,
        }
    }

    /// Returns the connection for reads. Messages that wait for their rows are not visible.
    pub fn reader(&mut self) -> &mut Db {
        self.db
    }

    /// Inserts the messages that wait for their rows, and returns the connection for reads.
    pub fn reader_after_flush(&mut self) -> Execution<&mut Db> {
        self.writer_cache.flush_messages(self.db)?;
        Ok(self.db)
    }

    /// Returns the connection for writes. From here on, a failure of the command costs a replay.
    pub fn write(&mut self) -> &mut Db {
        self.wrote = true;
        self.db
    }

    pub(super) fn wrote(&self) -> bool {
        self.wrote
    }

    /// Counts the `@all` of the command's message. Returns `false` if it exceeds the rate.
    pub(super) fn count_mention_of_all(&mut self, sender: UserId) -> bool {
        self.counted.mention_of_all(self.mentions, sender)
    }

    /// Counts that `adder` adds `person`. Called last, when nothing else refuses the addition.
    ///
    /// # Errors
    /// [`Refusal::TooManyAdditions`] if a rate is exceeded.
    pub(super) fn count_addition(
        &mut self,
        adder: UserId,
        person: UserId,
        rate: AddingRate,
    ) -> Result<(), Refusal> {
        self.counted.addition(self.additions, (adder, person), rate)
    }

    /// Notifies the task that writes the remaining notifications after this batch. If the batch
    /// rolls back, that task finds nothing to do.
    pub(super) fn notify_fan_outs(&self) {
        self.fan_outs.notify_one();
    }

    /// Adds an event that the read models receive if the batch commits.
    pub fn announce(&mut self, event: Event) {
        self.events.push(event);
    }

    pub(super) fn collecting(mut self, collects: bool) -> Self {
        self.collects = collects;
        self
    }

    pub(super) fn asked_by(mut self, request_id: Option<Arc<str>>) -> Self {
        self.request_id = request_id;
        self
    }

    /// Appends a row to the audit log: `who` did `action` to `target`.
    pub fn audit(
        &mut self,
        who: Credential,
        action: &str,
        target: (&str, i64),
        detail: &impl Serialize,
    ) -> Execution<()> {
        self.audit_all(who, action, &[target], detail)
    }

    /// Appends a row for each target to the audit log.
    pub fn audit_all(
        &mut self,
        who: Credential,
        action: &str,
        targets: &[(&str, i64)],
        detail: &impl Serialize,
    ) -> Execution<()> {
        let detail = serde_json::to_string(detail)
            .map_err(|_| Refusal::invalid("detail", "cannot be written as JSON"))?;
        let (request_id, created_at) = (self.request_id.clone(), self.now.0);
        let targets: Vec<_> = targets.iter().map(|(kind, id)| format!("{kind}:{id}")).collect();
        let row = |target| NewAuditRow {
            actor_id: (who.auth_method != AuthMethod::Operator).then_some(who.user),
            action,
            target,
            detail: &detail,
            request_id: request_id.as_deref(),
            created_at,
        };
        let rows: Vec<_> = targets.iter().map(|target| row(target.as_str())).collect();
        Ok(audit::insert(self.write(), &rows)?)
    }

    /// Checks the credential inside the transaction, and returns its grant.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`] if the credential is not live or its user is deactivated; a
    /// refusal if the grant does not cover `required_scope`.
    pub fn authenticate(&mut self, who: Credential, required_scope: RequiredScope) -> Execution<AccessGrant> {
        let user = who.user;
        let grant = match who.auth_method {
            AuthMethod::Login { id, token_version } => {
                let known = self.writer_cache.knows_login(who.user, id, token_version);
                let live = known || accounts::credential_is_live(self.db, user, id, token_version)?;
                if live && !known {
                    self.writer_cache.learn_login(who.user, id, token_version);
                }
                live.then_some(AccessGrant::Whole)
            }
            AuthMethod::Password { token_version } => {
                accounts::user_is_live(self.db, user, token_version)?.then_some(AccessGrant::Whole)
            }
            AuthMethod::Operator => Some(AccessGrant::Whole),
            AuthMethod::Token(id) => access_tokens::live(self.db, id)?
                .filter(|token| token.user_id == who.user && token.is_live(self.now))
                .map(|token| AccessGrant::Token(Arc::new(token))),
        };
        let grant = grant.ok_or(Refusal::Unauthenticated)?;
        grant.check(required_scope)?;
        Ok(grant)
    }

    /// Returns the chat, its head and the role of `user` in it, for commands that append.
    ///
    /// # Errors
    /// A refusal if the chat does not exist, or is a direct chat whose other user is deactivated.
    pub fn chat_to_append(
        &mut self,
        chat: ChatId,
        user: UserId,
    ) -> Execution<(Arc<Chat>, Head, Option<ChatRole>)> {
        if let Some((chat, head, role)) = self.writer_cache.chat(chat, user) {
            return Ok((chat, head, Some(role)));
        }
        let found = chats::chat_and_participant(self.db, chat, user)?;
        let (found, person) = found.ok_or(Refusal::NotFound("chat"))?;
        let role = person.as_ref().map(|person| person.role);
        let (found, head) = (Arc::new(found), self.writer_cache.head(chat));
        if let Some(person) = person {
            // A cached chat has an active peer: a command that deactivates a user empties the
            // cache.
            if let Some(peer) = found.peer_of(user) {
                let row = accounts::user(self.db, peer)?;
                permission::post_to_peer(row.is_none_or(|row| row.deactivated_at.is_none()))?;
            }
            self.writer_cache.learn_chat(&found, person);
        }
        let head = head.unwrap_or(Head::of(&found));
        Ok((found, head, role))
    }

    pub fn next_message_id(&mut self) -> Execution<MessageId> {
        Ok(self.writer_cache.next_message_id(self.db)?)
    }

    /// Stores a message as the next one of this chat. Returns `false`, and changes nothing, if its
    /// sender has used the client id before.
    pub(super) fn insert_message(&mut self, new: PendingMessage, in_chat: &Chat) -> Execution<bool> {
        let message = &new.message;
        let (chat, head) = (message.chat_id, Head { seq: message.seq, ordinal: message.ordinal });
        let (id, sender) = (message.id, message.sender_id);
        let later = self.collects && self.writer_cache.knows_chat(chat);
        if !later {
            self.wrote |= self.writer_cache.flush_all(self.db)?;
        }
        let taken = if later {
            self.writer_cache.reserve_client_id(self.db, sender, message.client_id, self.now)?
        } else {
            messages::removed(self.db, sender, &message.client_id.0)?.is_none()
                && messages::insert(self.db, &new.row())?
        };
        if !taken {
            return Ok(false);
        }
        self.wrote = true;
        if later {
            self.writer_cache.move_head(chat, head, id, sender);
            self.writer_cache.write_later(new);
        } else {
            let Head { seq: last_seq, ordinal: last_ordinal } = head;
            chats::set_head(self.db, &ChatHead { id: chat, last_seq, last_ordinal, last_message_id: id })?;
            // No cursor is behind, so a cached participant equals its row.
            let person = match self.writer_cache.participant(chat, sender) {
                Some(person) => Some(person.clone()),
                None => chats::participant(self.db, chat, sender)?,
            };
            if let Some(mut person) = person {
                person.record_sent(head.seq, head.ordinal, in_chat.trimmed_ordinal);
                chats::set_cursors(self.db, chat, &person)?;
            }
            self.writer_cache.evict_message(chat, sender, id);
        }
        Ok(true)
    }

    /// Stores the cursors of participants. The caller announces the moves.
    pub(super) fn store_cursors(&mut self, moved: &[(ChatId, Participant)]) -> Execution<()> {
        for moved in moved.chunks(ROWS_PER_STATEMENT_MAX) {
            chats::set_all_cursors(self.write(), moved)?;
        }
        for (chat, participant) in moved {
            self.writer_cache.evict_participant(*chat, participant.user_id);
        }
        Ok(())
    }

    /// Returns the next event of a chat, to be stored and announced. Not for messages: they also
    /// take an ordinal.
    pub(super) fn next_event(
        &self,
        chat_id: ChatId,
        last_seq: &mut Seq,
        actor_id: UserId,
        change: Change,
    ) -> ChatEvent {
        *last_seq += 1;
        ChatEvent { chat_id, seq: *last_seq, actor_id, created_at: self.now, change }
    }

    /// Stores the next events of chats, in ascending order. The caller announces them.
    pub(super) fn store_events(&mut self, events: &[ChatEvent]) -> Execution<()> {
        let heads: BTreeMap<ChatId, Seq> = events.iter().map(|event| (event.chat_id, event.seq)).collect();
        if heads.is_empty() {
            return Ok(());
        }
        chats::insert_events(self.write(), events)?;
        for chat in heads.keys() {
            self.writer_cache.evict_chat(*chat);
        }
        let heads: Vec<_> = heads.into_iter().collect();
        Ok(chats::set_last_seqs(self.write(), &heads)?)
    }

    /// Stores the next event of a chat, and announces it.
    pub fn append_event(
        &mut self,
        chat_id: ChatId,
        last_seq: &mut Seq,
        actor_id: UserId,
        change: Change,
    ) -> Execution<()> {
        let event = self.next_event(chat_id, last_seq, actor_id, change);
        self.store_events(std::slice::from_ref(&event))?;
        self.announce(Event::Chat(event.into()));
        Ok(())
    }
}
