//! Queries of the search: the chats that a user may search, and the chats and users that a result
//! shows.

use std::collections::HashMap;
use std::sync::Arc;

use super::chats::ChatState;
use super::queries::{Query, QueryContext, QueryOutcome, readable, user_of};
use super::read_models::ReadModels;
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::chat::channel_key;
use crate::domain::ids::{ChatId, UserId};
use crate::domain::permission::chat as permission;
use crate::domain::search::{ChatName, PersonName};
use crate::domain::user::User;
use crate::protocol::found::FoundChat;

/// The chats that the caller may read, and the ids of the names in a query.
pub struct SearchScope {
    pub from: Vec<PersonName>,
    pub chats: Vec<ChatName>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct SearchableChats {
    /// The chats that the caller may read, of those that the query names.
    pub chats: Vec<ChatId>,
    /// The senders that the query names. Names that do not exist are left out.
    pub senders: Vec<UserId>,
}

impl Query for SearchScope {
    type Answer = SearchableChats;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let read = &*context.read;
        QueryOutcome::Now(user_of(who).map(|me| {
            let sender = |name: &PersonName| match name {
                PersonName::Me => Some(me),
                PersonName::Username(name) => person(read, name),
            };
            SearchableChats {
                chats: self.chats(read, me),
                senders: self.from.iter().filter_map(sender).collect(),
            }
        }))
    }
}

impl SearchScope {
    fn chats(&self, read: &ReadModels, me: UserId) -> Vec<ChatId> {
        let (own, public) = (read.chats.ids_of(me), read.chats.public());
        let ids = own.iter().chain(public.iter().filter(|id| !own.contains(id)));
        let states = ids.filter_map(|id| read.chats.get(*id));
        let is_readable = |state: &&ChatState| {
            permission::read(&state.chat, state.people.get(&me).map(|person| person.role)).is_ok()
        };
        let names: Vec<_> = self.chats.iter().map(|name| ResolvedName::of(read, name)).collect();
        let is_named = |state: &&ChatState| names.is_empty() || is_called(state, me, &names);
        states.filter(is_readable).filter(is_named).map(|state| state.chat.id).collect()
    }
}

fn person(read: &ReadModels, name: &str) -> Option<UserId> {
    let named = read.directory.named(name).map(|entry| &entry.user);
    named.or_else(|| read.directory.formerly_named(name)).map(|user| user.id)
}

/// The name of a chat in a query, with the user whose direct chat it may be.
enum ResolvedName<'a> {
    Id(ChatId),
    With(Option<UserId>),
    Named { key: &'a str, with: Option<UserId> },
}

impl<'a> ResolvedName<'a> {
    fn of(read: &ReadModels, name: &'a ChatName) -> Self {
        match name {
            ChatName::Id(id) => Self::Id(*id),
            ChatName::With(username) => Self::With(person(read, username)),
            ChatName::Named(key) => Self::Named { key, with: person(read, key) },
        }
    }
}

/// Returns whether a chat is meant by one of these names. The name of a direct chat is that of the
/// other user.
fn is_called(state: &ChatState, me: UserId, names: &[ResolvedName<'_>]) -> bool {
    let peer = state.chat.peer_of(me);
    let is_with = |user: Option<UserId>| peer.is_some() && peer == user;
    // Most names are ASCII: those are compared as they are.
    let other_key = state.chat.name.as_ref().filter(|own| !own.is_ascii()).map(|own| channel_key(own));
    names.iter().any(|name| match name {
        ResolvedName::Id(id) => state.chat.id == *id,
        ResolvedName::With(user) => is_with(*user),
        ResolvedName::Named { key, with } => match (&state.chat.name, &other_key) {
            (Some(_), Some(own)) => own == key,
            (Some(own), None) => own.eq_ignore_ascii_case(key),
            (None, _) => is_with(*with),
        },
    })
}

/// The chats and senders of found messages.
pub struct FoundPlaces {
    pub places: Vec<(ChatId, UserId)>,
}

/// The chats that the caller may still read, and their senders.
#[derive(Debug, Default)]
pub struct FoundChats {
    pub chats: HashMap<ChatId, FoundChat>,
    pub senders: HashMap<UserId, Arc<User>>,
}

impl Query for FoundPlaces {
    type Answer = FoundChats;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let read = &*context.read;
        QueryOutcome::Now(user_of(who).map(|me| {
            let mut found = FoundChats::default();
            for (chat, sender) in &self.places {
                if !found.chats.contains_key(chat) {
                    let Some(state) = read.chats.get(*chat) else { continue };
                    if readable(read, *chat, me).is_err() {
                        continue;
                    }
                    found.chats.insert(*chat, FoundChat::from(read.summary(state, me)));
                }
                if let Some(user) = read.directory.user(*sender) {
                    found.senders.insert(*sender, user.clone());
                }
            }
            found
        }))
    }
}
