//! Resumption of a session: replays missed events page by page, then switches to live events.
//!
//! Invariants
//! * A page is made only while the outbox is below half and within a
//!   [`BulkRoom`](super::room::BulkRoom). So a replay waits for its reader and never fills the
//!   outbox.
//! * A chat that is named twice is replayed from the cursor named last.
//! * Nothing is kept for a closed session: the database is the queue.

use std::collections::BTreeMap;

use super::responder::Responder;
use crate::actors::cache::ResumeCursors;
use crate::actors::hub::{Replayed, replay_frame};
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, Seq};
use crate::services::ServiceError;
use crate::services::answers::no_space;

/// Memory of the answer about one chat of a `Resume`, in bytes.
const CURSOR_BYTES: usize = 256;

/// The chats of a session that are catching up.
pub(super) struct ReplayQueue {
    /// Whether the session receives its own user's messages in full.
    echo: bool,
    /// Generation of the last `Resume`.
    generation: u64,
    /// Position of each chat, with the generation of the `Resume` that requested it.
    behind: BTreeMap<ChatId, (u64, Seq)>,
    running: bool,
}

/// The next page of a chat that is catching up.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplayPage {
    pub(super) chat: ChatId,
    generation: u64,
    after: Seq,
    echo: bool,
}

impl ReplayQueue {
    pub(super) fn new(echo: bool) -> Self {
        Self { echo, generation: 0, behind: BTreeMap::new(), running: false }
    }

    /// Returns the generation of a new `Resume`.
    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// Adds the chats of a `Resume` that are catching up, each after a seq.
    pub(super) fn add(&mut self, generation: u64, behind: Vec<(ChatId, Seq)>) {
        self.behind.extend(behind.into_iter().map(|(chat, seq)| (chat, (generation, seq))));
    }

    /// Returns the number of chats that are catching up.
    pub(super) fn len(&self) -> usize {
        self.behind.len()
    }

    /// Returns the next page of the first chat that is catching up. Returns `None` until the
    /// previous page has [ended](Self::end_page), and when no chat is catching up.
    pub(super) fn begin_page(&mut self) -> Option<ReplayPage> {
        if self.running {
            return None;
        }
        let (&chat, &(generation, after)) = self.behind.first_key_value()?;
        self.running = true;
        Some(ReplayPage { chat, generation, after, echo: self.echo })
    }

    /// Records that the page is sent, or failed.
    pub(super) fn end_page(&mut self) {
        self.running = false;
    }

    /// Records that a page up to `seq` was sent, or with `None` that the chat is live. Has no
    /// effect if a later `Resume` named the chat.
    pub(super) fn advance(&mut self, page: ReplayPage, seq: Option<Seq>) {
        if let Some((current, after)) = self.behind.get_mut(&page.chat)
            && *current == page.generation
        {
            match seq {
                Some(seq) => *after = seq,
                None => drop(self.behind.remove(&page.chat)),
            }
        }
    }
}

impl Responder {
    /// Answers a `Resume`. Returns the chats that are catching up from here on, each with the seq
    /// up to which the client has events.
    pub(super) async fn catch_up(
        self,
        who: Credential,
        cursors: ResumeCursors,
    ) -> Result<Vec<(ChatId, Seq)>, ServiceError> {
        let mut room = self.bulk_room(who);
        // Every named chat has an answer, so these answers too are made one packet at a time.
        let _bulk_permit = self.bulk.acquire().await;
        let admitted = loop {
            self.outbox.room().await;
            match room.admit(cursors.chats.len() * CURSOR_BYTES) {
                Some(admitted) => break admitted,
                None => drop(room.small().await.ok_or_else(no_space)?),
            }
        };
        let behind = self.services.cache.catch_up(self.session_ref(who), cursors).await?;
        room.sent(admitted);
        Ok(behind)
    }

    /// Sends a page. Returns the seq of its last event, or `None` if the chat is live.
    pub(super) async fn replay(self, who: Credential, page: ReplayPage) -> Result<Option<Seq>, ServiceError> {
        let ReplayPage { chat, generation, after, echo } = page;
        let (services, outbox) = (&self.services, &self.outbox);
        let room = self.bulk_room(who);
        outbox.room().await;
        let (bytes_max, admitted) = room.replay().await;
        let before = outbox.bytes();
        let session_ref = self.session_ref(who);
        let replayed = match services.replay(session_ref, generation, chat, after, bytes_max).await? {
            Replayed::Live => None,
            Replayed::Page(events) => Some(events),
            Replayed::Below { as_of } => {
                let span = (after, as_of);
                Some(services.replay_from_database(who, chat, span, bytes_max).await?)
            }
        };
        for event in replayed.iter().flatten() {
            outbox.reply(replay_frame(event, who.user, echo));
        }
        room.replayed(admitted, before);
        Ok(replayed.map(|events| events.last().map_or(after, |event| event.seq)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_an_earlier_resume_does_not_move_the_chat() {
        let page = |generation| ReplayPage { chat: ChatId(1), generation, after: 10, echo: true };
        let mut replay = ReplayQueue::new(true);
        replay.add(2, vec![(ChatId(1), 10)]);
        replay.advance(page(1), Some(500));
        replay.advance(page(1), None);
        assert_eq!(replay.behind.get(&ChatId(1)), Some(&(2, 10)));
        replay.advance(page(2), Some(20));
        assert_eq!(replay.behind.get(&ChatId(1)), Some(&(2, 20)));
        replay.advance(page(2), None);
        assert!(replay.behind.is_empty());
    }

    #[test]
    fn pages_are_replayed_one_at_a_time() {
        let mut replay = ReplayQueue::new(true);
        assert!(replay.begin_page().is_none(), "no chat is catching up");
        let generation = replay.next_generation();
        replay.add(generation, vec![(ChatId(2), 5), (ChatId(1), 10)]);
        let page = replay.begin_page().unwrap();
        assert_eq!((page.chat, page.after), (ChatId(1), 10));
        assert!(replay.begin_page().is_none(), "a page is being replayed");
        replay.end_page();
        replay.advance(page, None);
        assert_eq!(replay.begin_page().unwrap().chat, ChatId(2));
    }
}
