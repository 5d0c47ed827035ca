//! The threads that a user follows.

use super::{ServiceError, Services};
use crate::actors::cache::ReadCursors;
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::ids::MessageId;
use crate::domain::page::Page;
use crate::domain::thread::FollowedThread;
use crate::storage::queries::threads::{self, ThreadRange};

impl Services {
    /// Returns threads that the caller follows, by their newest reply of another user, newest
    /// first; with `unread`, only those with replies above the caller's read cursor in the chat.
    ///
    /// The cache names the chats and cursors, so a chat that the caller has left is not listed.
    pub async fn followed_threads(
        &self,
        who: Credential,
        unread: bool,
        before: Option<MessageId>,
        limit: usize,
    ) -> Result<Page<FollowedThread>, ServiceError> {
        let cursors = self.cache.ask(who, ReadCursors { unread }).await?;
        if cursors.is_empty() {
            return Ok(Page::default());
        }
        let range = ThreadRange { cursors, unread, before: before.unwrap_or(MessageId(i64::MAX)) };
        let (user, one_more) = (who.user, limit.saturating_add(1));
        let read =
            self.readers.read(Holder::Account(user), move |db| threads::followed(db, user, &range, one_more));
        Ok(Page::take(read.await?, limit))
    }
}
