//! Queries for the page of the chat program, which shows chats before its session is open.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::queries::{Query, QueryContext, QueryOutcome, readable, user_of};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::ids::{ChatId, UserId};
use crate::domain::page::Page;
use crate::domain::user::User;
use crate::protocol::view::ChatSummary;

/// The first chats of the caller, as `Welcome` lists them.
pub struct StartingChats {
    pub limit: usize,
}

#[derive(Debug)]
pub struct FirstChats {
    pub epoch: i64,
    pub chats: Page<ChatSummary>,
    /// The other users of direct chats in the list.
    pub peers: Vec<Arc<User>>,
}

impl Query for StartingChats {
    type Answer = FirstChats;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<FirstChats> {
        let read = &context.read;
        QueryOutcome::Now(user_of(who).map(|user| {
            let listed = read.chats.of_user(user, ChatId(0)).take(self.limit);
            let peers = listed.filter_map(|state| read.directory.user(state.chat.peer_of(user)?));
            FirstChats {
                epoch: read.epoch,
                peers: peers.cloned().collect(),
                chats: read.summaries(user, ChatId(0), self.limit),
            }
        }))
    }
}

/// The users whom events of a chat name, for a caller who may read the chat. The ids come from
/// events that the caller has read, never from a request.
pub struct UsersInEvents {
    pub chat: ChatId,
    pub ids: BTreeSet<UserId>,
}

impl Query for UsersInEvents {
    type Answer = Vec<Arc<User>>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        let read = &context.read;
        QueryOutcome::Now(
            user_of(who)
                .and_then(|user| readable(read, self.chat, user))
                .map(|_| self.ids.iter().filter_map(|id| read.directory.user(*id).cloned()).collect()),
        )
    }
}
