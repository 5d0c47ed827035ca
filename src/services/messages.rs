//! Writing and reading messages.

use std::sync::Arc;

use super::{ServiceError, Services};
use crate::actors::cache::{Events, FoundEvents, SessionRef};
use crate::actors::hub::Replayed;
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::{AppendMessage, Appended, FollowThread, UpdateMessage, UpdatedMessage};
use crate::core::actor::{Permit, Reply};
use crate::core::saturate;
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::event::ChatEvent;
use crate::domain::event_page::{EventPage, EventRange};
use crate::domain::ids::{ChatId, MessageId, Seq};
use crate::domain::message::{Message, MessageUpdate, NewMessage};
use crate::domain::timestamp::Timestamp;
use crate::storage::queries::{chats, messages};
pub use crate::storage::rows::message::Choice;
use crate::storage::snapshot;

impl Services {
    fn append(&self, who: Credential, chat: ChatId, message: NewMessage) -> AppendMessage {
        let mut within_rate = self.rates.message(who.user);
        if !message.files.is_empty() {
            within_rate = within_rate.and_then(|()| self.files.check_versions());
        }
        AppendMessage { who, chat, message, within_rate }
    }

    /// Writes a message and waits for the commit.
    pub async fn post_message(
        &self,
        who: Credential,
        chat: ChatId,
        message: NewMessage,
    ) -> Result<Appended, ServiceError> {
        Ok(self.writer.execute(who, self.append(who, chat, message)).await?)
    }

    /// Submits a message with a permit that the caller already holds; `reply` is called after the
    /// commit. Sessions use this to keep the order of their messages.
    pub fn submit_message(
        &self,
        who: Credential,
        chat: ChatId,
        message: NewMessage,
        permit: Permit,
        reply: Reply<Appended, CommandError>,
    ) {
        self.writer.submit(permit, self.append(who, chat, message), reply);
    }

    fn update(
        &self,
        who: Credential,
        chat: ChatId,
        message: MessageId,
        update: MessageUpdate,
    ) -> UpdateMessage {
        UpdateMessage { who, chat, message, update, within_rate: self.rates.message(who.user) }
    }

    /// Changes a message and waits for the commit.
    pub async fn update_message(
        &self,
        who: Credential,
        chat: ChatId,
        message: MessageId,
        update: MessageUpdate,
    ) -> Result<UpdatedMessage, ServiceError> {
        let command = self.update(who, chat, message, update);
        Ok(self.writer.execute(who, command).await?)
    }

    /// Like [`Self::submit_message`], for a change of a message.
    pub fn submit_update(
        &self,
        who: Credential,
        (chat, message): (ChatId, MessageId),
        update: MessageUpdate,
        permit: Permit,
        reply: Reply<UpdatedMessage, CommandError>,
    ) {
        self.writer.submit(permit, self.update(who, chat, message, update), reply);
    }

    /// Follows the thread of a message for a user, or mutes it.
    pub async fn follow_thread(
        &self,
        who: Credential,
        (chat, message): (ChatId, MessageId),
        follows: bool,
    ) -> Result<(), ServiceError> {
        let within_rate = self.rates.message(who.user);
        let command = FollowThread { who, chat, message, follows, within_rate };
        Ok(self.writer.execute(who, command).await?)
    }

    /// Returns the seq of the first event of a chat at or after a time; the newest seq if there is
    /// none. Trimmed events do not count.
    pub async fn seq_at(&self, who: Credential, chat: ChatId, at: Timestamp) -> Result<Seq, ServiceError> {
        let last = self.head_of(who, chat).await?;
        let read = self.readers.read_history(Holder::Account(who.user), move |db| {
            let trimmed = chats::chat(db, chat)?.map_or(0, |chat| chat.trimmed_seq);
            messages::first_at(db, chat, trimmed, last, at)
        });
        Ok(read.await?)
    }

    /// Returns the seq of the newest event of a chat that the caller may read.
    async fn head_of(&self, who: Credential, chat: ChatId) -> Result<Seq, ServiceError> {
        let newest_event = EventRange { before: None, after: None, limit: 1, messages_only: false };
        Ok(match self.cache.ask(who, Events { chat, range: newest_event }).await? {
            FoundEvents::Page(page) => page.as_of,
            FoundEvents::InDatabase { as_of } => as_of,
        })
    }

    /// Returns messages of a thread, or pinned ones, always from the database. The query for the
    /// newest event comes first: it decides whether the caller may read the chat.
    pub async fn chosen_messages(
        &self,
        who: Credential,
        chat: ChatId,
        choice: Choice,
        range: EventRange,
    ) -> Result<EventPage, ServiceError> {
        let as_of = self.head_of(who, chat).await?;
        let (after, before) = (range.after.unwrap_or(0), range.before.unwrap_or(Seq::MAX).min(as_of + 1));
        let (newest, limit) = (range.after.is_none(), range.limit);
        let count = saturate::to_i64(limit + 1);
        let read = self.readers.read_history(Holder::Account(who.user), move |db| {
            messages::chosen(db, chat, choice, after, before, count, newest)
        });
        let events = read.await?.into_iter().map(event_of).collect();
        Ok(page_of(events, limit, newest, as_of))
    }

    /// Returns a page of events: from memory, or from the database when the page lies below the
    /// chat's window.
    pub async fn events(
        &self,
        who: Credential,
        chat: ChatId,
        range: EventRange,
    ) -> Result<EventPage, ServiceError> {
        let as_of = match self.cache.ask(who, Events { chat, range: range.clone() }).await? {
            FoundEvents::Page(page) => return Ok(page),
            FoundEvents::InDatabase { as_of } => as_of,
        };
        let (after, before) = (range.after.unwrap_or(0), range.before.unwrap_or(Seq::MAX).min(as_of + 1));
        let newest = range.after.is_none();
        let (limit, messages_only) = (range.limit, range.messages_only);
        let events = self
            .readers
            .read_history(Holder::Account(who.user), move |db| {
                if messages_only {
                    let count = saturate::to_i64(limit + 1);
                    let messages = messages::between(db, chat, after, before, count, newest)?;
                    return Ok(messages.into_iter().map(event_of).collect());
                }
                snapshot::events_between(db, chat, after, before, limit + 1, newest)
            })
            .await?;
        Ok(page_of(events, limit, newest, as_of))
    }
}

impl Services {
    /// Returns the next page of events that a session missed in a chat. The last page is sent on
    /// the session's lane.
    pub async fn replay(
        &self,
        session_ref: SessionRef,
        generation: u64,
        chat: ChatId,
        after: Seq,
        bytes_max: usize,
    ) -> Result<Replayed, ServiceError> {
        Ok(self.cache.replay(session_ref, generation, chat, after, bytes_max).await?)
    }

    /// Like [`Self::replay`], for events older than those in memory. The caller's access was
    /// checked by [`Self::replay`].
    pub async fn replay_from_database(
        &self,
        who: Credential,
        chat: ChatId,
        (after, as_of): (Seq, Seq),
        bytes_max: usize,
    ) -> Result<Vec<Arc<ChatEvent>>, ServiceError> {
        let limit = self.limits.replay_page;
        let events = self
            .readers
            .read_history(Holder::Account(who.user), move |db| {
                snapshot::events_between(db, chat, after, as_of + 1, limit, false)
            })
            .await?;
        // Events that were trimmed meanwhile leave a gap. The cache reports it at the next request.
        let events = events.into_iter().zip(after + 1..).take_while(|(event, seq)| event.seq == *seq);
        let events = events.map(|(event, _)| event).collect();
        let page = EventPage { events, has_more: true, as_of };
        Ok(page.fit(false, bytes_max, ChatEvent::bytes).events)
    }
}

/// Builds a page from the events read: one more than `limit` if more follow.
fn page_of(mut events: Vec<Arc<ChatEvent>>, limit: usize, newest: bool, as_of: Seq) -> EventPage {
    let has_more = events.len() > limit;
    if has_more && newest {
        events.remove(0);
    }
    events.truncate(limit);
    EventPage { events, has_more, as_of }
}

fn event_of(message: Message) -> Arc<ChatEvent> {
    Arc::new(ChatEvent::of_message(Arc::new(message)))
}
