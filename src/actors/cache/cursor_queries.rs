//! Queries about the chats that the caller may read, and about the caller's cursors.

use std::collections::HashMap;

use super::queries::{Query, QueryContext, QueryOutcome, readable, user_of};
use crate::domain::access::{Credential, RequiredScope};
use crate::domain::ids::{ChatId, Seq};

/// Whether the caller may read chats at all: any login, or a token with the scope.
pub struct ChatReader;

impl Query for ChatReader {
    type Answer = ();
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, _: &mut QueryContext<'_>) -> QueryOutcome<()> {
        QueryOutcome::Now(user_of(who).map(drop))
    }
}

/// The newest seq of a chat that the caller may read.
pub struct ReadableChat(pub ChatId);

impl Query for ReadableChat {
    type Answer = Seq;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Seq> {
        QueryOutcome::Now(user_of(who).and_then(|user| readable(context.read, self.0, user)))
    }
}

/// The read cursors of the caller in their chats.
pub struct ReadCursors {
    /// Only chats with events above the cursor.
    pub unread: bool,
}

impl Query for ReadCursors {
    type Answer = HashMap<ChatId, Seq>;
    const REQUIRED_SCOPE: RequiredScope = RequiredScope::ChatRead;

    fn answer(&self, who: Option<Credential>, context: &mut QueryContext<'_>) -> QueryOutcome<Self::Answer> {
        QueryOutcome::Now(user_of(who).map(|user| {
            let own = context.read.chats.of_user(user, ChatId(0)).filter_map(|state| {
                let read_seq = state.people.get(&user)?.read_seq;
                (!self.unread || state.chat.last_seq > read_seq).then_some((state.chat.id, read_seq))
            });
            own.collect()
        }))
    }
}
