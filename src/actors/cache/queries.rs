//! The queries: one struct for each, named by its result.
//!
//! The caller has been authenticated when `answer` runs. Each query checks the caller's permission
//! by the rules of `domain::permission`.

use std::sync::Arc;

use super::actor::CacheActor;
use super::chats::{ChatState, Chats, Lookup};
use super::read_models::ReadModels;
use super::uses::Uses;
use crate::core::actor::NamedMessage;
use crate::domain::access::{AccessGrant, Credential, RequiredScope};
use crate::domain::chat::{Chat, ChatRole, Participant};
use crate::domain::event::ChatEvent;
use crate::domain::event_page::{EventPage, EventRange};
use crate::domain::ids::{ChatId, Seq, UserId};
use crate::domain::page::Page;
use crate::domain::permission::chat as permission;
use crate::domain::refusal::Refusal;
use crate::domain::user::User;
use crate::protocol::view::ChatSummary;

/// The data that queries read.
pub struct QueryContext<'a> {
    pub(super) read: &'a mut ReadModels,
    /// Uses of access tokens and web logins, to be written later.
    pub(super) uses: &'a mut Uses,
    /// The scope of the caller's proof; `None`: the caller is not logged in.
    pub(super) grant: Option<AccessGrant>,
    /// Set when a window must be filled before the query can be answered.
    pub(super) fill: Option<super::chats::Fill>,
}

pub enum QueryOutcome<T> {
    Now(Result<T, Refusal>),
    /// The chat's window is being filled; the query runs again afterwards.
    AfterFill(ChatId),
}

pub trait Query: NamedMessage<Actor = CacheActor> + Send + 'static {
    type Answer: Send + 'static;
    /// The scope that a valid token must have.
    const REQUIRED_SCOPE: RequiredScope;

    /// Answers the query. `who` is set and authenticated, except for queries that need no logged-in
    /// user.
    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer>;
}

pub(super) fn user_of(who: Option<Credential>) -> Result<UserId, Refusal> {
    who.map(|who| who.user).ok_or(Refusal::Unauthenticated)
}

/// Returns a chat and the user's role in it.
pub(super) fn chat_for(
    models: &ReadModels,
    chat: ChatId,
    user: UserId,
) -> Result<(&ChatState, Option<ChatRole>), Refusal> {
    let state = models.chats.get(chat).ok_or(Refusal::NotFound("chat"))?;
    Ok((state, state.people.get(&user).map(|p| p.role)))
}

/// Returns the head of a chat whose events `user` may read.
pub(super) fn readable(models: &ReadModels, chat: ChatId, user: UserId) -> Result<Seq, Refusal> {
    let (state, role) = chat_for(models, chat, user)?;
    permission::read(&state.chat, role)?;
    Ok(state.chat.last_seq)
}

/// The caller.
pub struct Me;

impl Query for Me {
    type Answer = (Arc<User>, Arc<str>);
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(user_of(who).and_then(|id| {
            let user = context.read.directory.user(id).ok_or(Refusal::Unauthenticated)?;
            let entry = context.read.directory.named(&user.username).ok_or(Refusal::Unauthenticated)?;
            Ok((user.clone(), entry.password_hash.clone()))
        }))
    }
}

pub struct PersonNamed(pub String);

impl Query for PersonNamed {
    type Answer = Arc<User>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Arc<User>> {
        let found = context.read.directory.named(&self.0).map(|entry| entry.user.clone());
        QueryOutcome::Now(found.ok_or(Refusal::NotFound("user")))
    }
}

/// The user who had this name and has another one now.
pub struct PersonFormerlyNamed(pub String);

impl Query for PersonFormerlyNamed {
    type Answer = Arc<User>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Arc<User>> {
        let found = context.read.directory.formerly_named(&self.0).cloned();
        QueryOutcome::Now(found.ok_or(Refusal::NotFound("user")))
    }
}

/// The ids of user names. A name that does not exist refuses them all.
pub struct UserIds(pub Vec<String>);

impl Query for UserIds {
    type Answer = Vec<UserId>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Vec<UserId>> {
        let id = |name: &String| context.read.directory.named(name).map(|entry| entry.user.id);
        QueryOutcome::Now(self.0.iter().map(|name| id(name).ok_or(Refusal::NotFound("user"))).collect())
    }
}

/// The user and password hash for a login, by name. Needs no logged-in user.
pub struct LoginCandidate(pub String);

impl Query for LoginCandidate {
    /// `None`: the user does not exist or is deactivated.
    type Answer = Option<(Arc<User>, Arc<str>)>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::Identity;

    fn answer(&self, _: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let user = context.read.directory.named(&self.0).filter(|entry| entry.user.active);
        QueryOutcome::Now(Ok(user.map(|entry| (entry.user.clone(), entry.password_hash.clone()))))
    }
}

/// The caller's chats above an id, or the channels that the caller could join.
pub struct ChatList {
    pub after: ChatId,
    pub limit: usize,
    pub joinable: bool,
}

impl Query for ChatList {
    type Answer = Page<ListedChat>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let read = &context.read;
        QueryOutcome::Now(user_of(who).map(|user| {
            let listed = |state: &ChatState, last_message| ListedChat {
                summary: read.summary(state, user),
                last_message,
            };
            if self.joinable {
                let states = read.chats.channels_without(user, self.after);
                Page::take(states.map(|state| listed(state, None)), self.limit)
            } else {
                let states = read.chats.of_user(user, self.after);
                let last = |state| Chats::last_message(state).cloned();
                Page::take(states.map(|state| listed(state, last(state))), self.limit)
            }
        }))
    }
}

/// A chat of a list.
#[derive(Debug)]
pub struct ListedChat {
    pub summary: ChatSummary,
    /// The newest message, if it is in memory.
    pub last_message: Option<Arc<ChatEvent>>,
}

/// One chat, with its first participants.
pub struct ChatDetails {
    pub chat: ChatId,
    pub people: usize,
}

#[derive(Debug)]
pub struct ChatView {
    pub chat: Chat,
    pub summary: ChatSummary,
    /// With their user names. Empty for a caller who may only see that the channel exists.
    pub people: Vec<(Participant, String)>,
    pub people_count: usize,
}

impl Query for ChatDetails {
    type Answer = ChatView;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<ChatView> {
        let read = &context.read;
        QueryOutcome::Now(user_of(who).and_then(|user| {
            let (state, role) = chat_for(read, self.chat, user)?;
            permission::see(&state.chat, role)?;
            let visible = if permission::read(&state.chat, role).is_ok() { self.people } else { 0 };
            Ok(ChatView {
                chat: state.chat.clone(),
                summary: read.summary(state, user),
                people: people(read, state, UserId(0)).take(visible).collect(),
                people_count: state.people.len(),
            })
        }))
    }
}

/// The participants of a chat above an id.
pub struct Participants {
    pub chat: ChatId,
    pub after: UserId,
    pub limit: usize,
}

impl Query for Participants {
    /// With their user names.
    type Answer = Page<(Participant, String)>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let read = &context.read;
        QueryOutcome::Now(user_of(who).and_then(|user| {
            let (state, role) = chat_for(read, self.chat, user)?;
            permission::read(&state.chat, role)?;
            Ok(Page::take(people(read, state, self.after), self.limit))
        }))
    }
}

/// Returns the participants above `after`, with their user names.
fn people<'a>(
    read: &'a ReadModels,
    state: &'a ChatState,
    after: UserId,
) -> impl Iterator<Item = (Participant, String)> + 'a {
    let above = state.people.range(UserId(after.0.saturating_add(1))..);
    above.map(|(id, participant)| (participant.clone(), read.directory.username(*id).to_owned()))
}

/// A page of messages or events.
pub struct Events {
    pub chat: ChatId,
    pub range: EventRange,
}

/// The page, if it is in memory.
#[derive(Debug, Clone, PartialEq)]
pub enum FoundEvents {
    Page(EventPage),
    /// The page is below the window in memory; `as_of` is the head of the chat.
    InDatabase {
        as_of: Seq,
    },
}

impl Query for Events {
    type Answer = FoundEvents;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        if let Err(refusal) = user_of(who).and_then(|user| readable(context.read, self.chat, user)) {
            return QueryOutcome::Now(Err(refusal));
        }
        match context.read.chats.page(self.chat, &self.range) {
            Lookup::Here(page) => QueryOutcome::Now(Ok(FoundEvents::Page(page))),
            Lookup::Below { as_of } => QueryOutcome::Now(Ok(FoundEvents::InDatabase { as_of })),
            Lookup::Missing(fill) => {
                context.fill = fill;
                QueryOutcome::AfterFill(self.chat)
            }
        }
    }
}
