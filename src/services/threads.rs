//! The threads that a user follows.

use super::{ServiceError, Services};
use crate::actors::cache::ReadCursors;
use crate::core::shares::Holder;
use crate::domain::access::Credential;
use crate::domain::thread::{ThreadPage, ThreadPlace};
use crate::storage::queries::threads;
use crate::storage::rows::thread::ThreadRange;

impl Services {
    /// Returns threads that the caller follows, by their newest reply of another user, newest
    /// first; with `unread`, only those with replies above the caller's read cursor in the chat.
    ///
    /// The cache names the chats and cursors, so a chat that the caller has left is not listed.
    pub async fn followed_threads(
        &self,
        who: Credential,
        unread: bool,
        place: ThreadPlace,
        limit: usize,
    ) -> Result<ThreadPage, ServiceError> {
        self.rates.lookup(who.user)?;
        let cursors = self.cache.ask(who, ReadCursors { unread }).await?;
        if cursors.is_empty() {
            return Ok(ThreadPage::default());
        }
        let (user, range) = (who.user, ThreadRange { cursors, unread, place });
        let read =
            self.readers.read(Holder::Account(user), move |db| threads::followed(db, user, &range, limit));
        Ok(read.await?)
    }
}
