//! The chats and events that a page shows before a session is open.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ServiceError, Services};
use crate::actors::cache::{FirstChats, StartingChats, UsersInEvents};
use crate::domain::access::Credential;
use crate::domain::event::{Change, ChatEvent};
use crate::domain::event_page::{EventPage, EventRange};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::user::User;
use crate::protocol::code::Code;

/// The newest events of a chat, with the users whom they name.
#[derive(Debug)]
pub struct NewestEvents {
    pub page: EventPage,
    pub users: Vec<Arc<User>>,
}

impl NewestEvents {
    /// Returns a user whom the events name.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.users.iter().find(|user| user.id == id).map(|user| &**user)
    }
}

impl Services {
    /// Returns the first chats of the caller, as `Welcome` lists them.
    pub async fn first_chats(&self, who: Credential) -> Result<FirstChats, ServiceError> {
        Ok(self.cache.ask(who, StartingChats { limit: self.limits.welcome_chats }).await?)
    }

    /// Returns the newest `limit` events of a chat, or messages only. `None`: the caller may not
    /// read the chat, or it does not exist.
    pub async fn newest_events(
        &self,
        who: Credential,
        chat: ChatId,
        limit: usize,
        messages_only: bool,
    ) -> Result<Option<NewestEvents>, ServiceError> {
        let range = EventRange { before: None, after: None, limit, messages_only };
        let Some(page) = unless_hidden(self.events(who, chat, range).await)? else { return Ok(None) };
        let ids: BTreeSet<_> = page.events.iter().flat_map(|event| named_in(event)).collect();
        let users = self.cache.ask(who, UsersInEvents { chat, ids }).await;
        Ok(unless_hidden(users.map_err(ServiceError::from))?.map(|users| NewestEvents { page, users }))
    }
}

/// Returns `None` in place of the refusals of [`crate::domain::permission::chat::read`].
fn unless_hidden<T>(found: Result<T, ServiceError>) -> Result<Option<T>, ServiceError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.code, Code::NotFound | Code::Forbidden) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the users whom an event names, with repetitions.
fn named_in(event: &ChatEvent) -> impl Iterator<Item = UserId> {
    let other = match &event.change {
        Change::Message(message) | Change::Edit(message) => Some(message.sender_id),
        Change::Join { user_id, .. } | Change::Leave { user_id, .. } | Change::Role { user_id, .. } => {
            Some(*user_id)
        }
        _ => None,
    };
    std::iter::once(event.actor_id).chain(other)
}
