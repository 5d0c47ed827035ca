//! Chats and their participants.

use super::{ServiceError, Services};
use crate::actors::cache::{
    ChatDetails, ChatList, ChatView, Destination, ListedChat, Participants, PeopleToAdd, UserIds,
};
use crate::actors::writer::CommandError;
use crate::actors::writer::commands::{
    CreateChat, DeleteChat, MarkAllRead, MarkRead, MarkUnread, Marks, MergeMarks, NewChat, RemoveParticipant,
    SetHidden, SetNotifyLevel, SetParticipant, UpdateChat,
};
use crate::core::actor::{NamedMessage, Permit, Reply};
use crate::domain::access::Credential;
use crate::domain::chat::{ChatKind, ChatRole, Participant, parse_chat_name};
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::notification::NotifyLevel;
use crate::domain::page::Page;
use crate::domain::refusal::Refusal;
use crate::protocol::code::Code;

/// A request to create a chat.
#[derive(Debug)]
pub struct ChatRequest {
    pub kind: ChatKind,
    pub name: Option<String>,
    /// User names, without the creator's.
    pub participants: Vec<String>,
}

impl Services {
    /// Creates a chat, or finds the direct chat that exists, which is no longer hidden. Returns it,
    /// and whether it existed before.
    pub async fn create_chat(
        &self,
        who: Credential,
        request: ChatRequest,
    ) -> Result<(ChatView, bool), ServiceError> {
        if request.participants.len() > self.limits.create_participants {
            return Err(Refusal::invalid("participants", "are too many at once; add the others later").into());
        }
        let name = match (request.kind, request.name) {
            (ChatKind::Direct, None) => None,
            (ChatKind::Direct, Some(_)) => {
                return Err(Refusal::invalid("name", "is not for direct chats").into());
            }
            (_, None) => return Err(Refusal::invalid("name", "is missing").into()),
            (_, Some(name)) => {
                Some(parse_chat_name(&name).map_err(|reason| Refusal::Invalid { field: "name", reason })?)
            }
        };
        self.rates.change(who.user, 1 + request.participants.len())?;
        let to = Destination::NewChat(request.kind);
        let named = self.cache.ask(who, PeopleToAdd { names: request.participants, to }).await;
        let mut people = named.map_err(unknown_participant)?;
        people.retain(|user| *user != who.user);
        people.sort_unstable();
        people.dedup();
        let name = name.unwrap_or_default();
        let chat = match (request.kind, people.as_slice()) {
            (ChatKind::Direct, [with]) => NewChat::Direct { with: *with },
            (ChatKind::Direct, _) => {
                return Err(Refusal::invalid("participants", "must name exactly one other user").into());
            }
            (ChatKind::Group, _) => NewChat::Group { name, participants: people },
            (ChatKind::Channel, _) => NewChat::Channel { name, participants: people },
        };
        let (id, existed) = self.writer.execute(who, CreateChat { who, chat }).await?;
        let found = self.chat(who, id).await?;
        if !found.summary.hidden {
            return Ok((found, existed));
        }
        self.writer.execute(who, SetHidden { who, chat: id, hidden: false }).await?;
        Ok((self.chat(who, id).await?, existed))
    }

    /// Returns chats with ids above `after`: the caller's own, or the channels that the caller can
    /// join.
    pub async fn chats(
        &self,
        who: Credential,
        after: ChatId,
        limit: usize,
        joinable: bool,
    ) -> Result<Page<ListedChat>, ServiceError> {
        Ok(self.cache.ask(who, ChatList { after, limit, joinable }).await?)
    }

    pub async fn chat(&self, who: Credential, chat: ChatId) -> Result<ChatView, ServiceError> {
        Ok(self.cache.ask(who, ChatDetails { chat, people: self.limits.page_max }).await?)
    }

    pub async fn update_chat(
        &self,
        who: Credential,
        chat: ChatId,
        name: Option<String>,
        archived: Option<bool>,
    ) -> Result<(), ServiceError> {
        let name = name.map(|name| parse_chat_name(&name)).transpose();
        let name = name.map_err(|reason| Refusal::Invalid { field: "name", reason })?;
        self.rates.change(who.user, 1)?;
        Ok(self.writer.execute(who, UpdateChat { who, chat, name, archived }).await?)
    }

    /// Deletes a chat for all participants.
    pub async fn delete_chat(&self, who: Credential, chat: ChatId) -> Result<(), ServiceError> {
        self.rates.change(who.user, 1)?;
        self.writer.execute(who, DeleteChat { who, chat }).await?;
        self.retention_wakeup.notify_one();
        Ok(())
    }

    /// Returns participants with user ids above `after`, with their user names.
    pub async fn participants(
        &self,
        who: Credential,
        chat: ChatId,
        after: UserId,
        limit: usize,
    ) -> Result<Page<(Participant, String)>, ServiceError> {
        Ok(self.cache.ask(who, Participants { chat, after, limit }).await?)
    }

    /// Adds a participant, joins, or changes a role. Returns whether the user was in the chat
    /// before.
    pub async fn set_participant(
        &self,
        who: Credential,
        chat: ChatId,
        username: String,
        role: Option<ChatRole>,
    ) -> Result<bool, ServiceError> {
        let user = self.person_to_add(who, username, Destination::Chat(chat)).await?;
        self.rates.change(who.user, 1)?;
        Ok(self.writer.execute(who, SetParticipant { who, chat, user, role }).await?)
    }

    /// Removes a participant, or leaves. Leaving is not rate-limited.
    pub async fn remove_participant(
        &self,
        who: Credential,
        chat: ChatId,
        username: String,
    ) -> Result<(), ServiceError> {
        let user = self.user_id(who, username).await?;
        if user != who.user {
            self.rates.change(who.user, 1)?;
        }
        Ok(self.writer.execute(who, RemoveParticipant { who, chat, user }).await?)
    }

    /// Moves the read cursor; `None` moves it to the last message.
    pub async fn mark_read(
        &self,
        who: Credential,
        chat: ChatId,
        seq: Option<Seq>,
    ) -> Result<Seq, ServiceError> {
        let marks = seq.map(|seq| Marks { read: Some(seq), delivered: None });
        Ok(self.writer.execute(who, MarkRead { who, chat, marks }).await?)
    }

    /// Marks messages from a seq on as unread. Returns the read cursor.
    pub async fn mark_unread(&self, who: Credential, chat: ChatId, from: Seq) -> Result<Seq, ServiceError> {
        let command = MarkUnread { who, chat, from, within_rate: self.rates.message(who.user) };
        Ok(self.writer.execute(who, command).await?)
    }

    /// Marks all messages in all chats of the user as read.
    pub async fn mark_all_read(&self, who: Credential) -> Result<(), ServiceError> {
        let mut next = Some(ChatId(0));
        while let Some(above) = next {
            next = self.writer.execute(who, MarkAllRead { who, above }).await?;
        }
        Ok(())
    }

    /// Hides a direct chat from the user's list until its next message, or shows it again.
    pub async fn set_hidden(&self, who: Credential, chat: ChatId, hidden: bool) -> Result<(), ServiceError> {
        self.rates.change(who.user, 1)?;
        Ok(self.writer.execute(who, SetHidden { who, chat, hidden }).await?)
    }

    /// Like [`Self::submit_message`], for cursors.
    pub fn submit_marks(
        &self,
        who: Credential,
        chat: ChatId,
        marks: Marks,
        permit: Permit,
        reply: Reply<Seq, CommandError>,
    ) {
        self.writer.submit(permit, MarkRead { who, chat, marks: Some(marks) }, reply);
    }

    /// Moves cursors for a session that awaits no reply.
    pub async fn merge_marks(
        &self,
        who: Credential,
        marks: Vec<(ChatId, Marks)>,
    ) -> Result<(), ServiceError> {
        Ok(self.writer.execute(who, MergeMarks { who, marks }).await?)
    }

    /// Moves cursors for a session that is about to end. They are lost if the writer has no permit
    /// at once.
    pub fn merge_last_marks(&self, who: Credential, marks: Vec<(ChatId, Marks)>) {
        if let Ok(Some(permit)) = self.writer.try_enter(who, MergeMarks::NAME) {
            self.writer.submit(permit, MergeMarks { who, marks }, Reply::call(|_| ()));
        }
    }

    /// Sets the user's notification level in a chat.
    pub async fn set_notify_level(
        &self,
        who: Credential,
        chat: ChatId,
        level: NotifyLevel,
    ) -> Result<(), ServiceError> {
        Ok(self.writer.execute(who, SetNotifyLevel { who, chat, level }).await?)
    }

    pub(super) async fn user_id(&self, who: Credential, username: String) -> Result<UserId, ServiceError> {
        let ids = self.cache.ask(who, UserIds(vec![username])).await?;
        ids.first().copied().ok_or_else(|| Refusal::NotFound("user").into())
    }
}

/// Maps `not_found` to a validation error of the field `participants`. A user who blocks the
/// creator yields the same text as a user who does not exist.
fn unknown_participant(error: impl Into<ServiceError>) -> ServiceError {
    match error.into() {
        ServiceError { code: Code::NotFound, .. } => {
            Refusal::invalid("participants", "name a user who does not exist").into()
        }
        other => other,
    }
}
