//! Queries of the search: the chats that a user may search, and the chats and users that a result
//! shows.

use std::collections::{BTreeSet, HashMap};
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
        let own = read.chats.ids_of(me);
        let ids: BTreeSet<_> = own.union(read.chats.public()).copied().collect();
        let states = ids.iter().filter_map(|id| read.chats.get(*id));
        let is_readable = |state: &&ChatState| {
            permission::read(&state.chat, state.people.get(&me).map(|person| person.role)).is_ok()
        };
        let is_named = |state: &&ChatState| {
            self.chats.is_empty() || self.chats.iter().any(|name| is_called(read, state, me, name))
        };
        states.filter(is_readable).filter(is_named).map(|state| state.chat.id).collect()
    }
}

fn person(read: &ReadModels, name: &str) -> Option<UserId> {
    let named = read.directory.named(name).map(|entry| &entry.user);
    named.or_else(|| read.directory.formerly_named(name)).map(|user| user.id)
}

/// Returns whether a chat is meant by this name. The name of a direct chat is that of the other
/// user.
fn is_called(read: &ReadModels, state: &ChatState, me: UserId, name: &ChatName) -> bool {
    let is_with =
        |username: &str| state.chat.peer_of(me).is_some_and(|peer| person(read, username) == Some(peer));
    match name {
        ChatName::Id(id) => state.chat.id == *id,
        ChatName::With(username) => is_with(username),
        ChatName::Named(key) => match &state.chat.name {
            Some(own) if own.is_ascii() && key.is_ascii() => own.eq_ignore_ascii_case(key),
            Some(own) => channel_key(own) == *key,
            None => is_with(key),
        },
    }
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
