//! Resumption of a session: replays missed events page by page, then switches to live events.
//!
//! Invariants
//! * A page is made only while the outbox is below half and within a
//!   [`BulkRoom`](super::room::BulkRoom). So a replay waits for its reader and never fills the
//!   outbox.
//! * A chat that is named twice is replayed from the cursor named last.
//! * Nothing is kept for a closed session: the database is the queue.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, WrapFuture};
use tokio::sync::OwnedSemaphorePermit;

use super::actor::SessionActor;
use super::state::nack;
use crate::actors::cache::ResumeCursors;
use crate::actors::hub::{Replayed, replay_frame};
use crate::core::actor::Ctx;
use crate::domain::access::Credential;
use crate::domain::ids::{ChatId, Seq};
use crate::protocol::answer::{AckPacket, GoodbyeCode};
use crate::protocol::code::Code;
use crate::services::ServiceError;
use crate::services::answers::no_space;

/// Pause of a replay when the server is overloaded.
const REST: Duration = Duration::from_millis(200);

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

impl ReplayQueue {
    pub(super) fn new(echo: bool) -> Self {
        Self { echo, generation: 0, behind: BTreeMap::new(), running: false }
    }

    /// Records that a page up to `seq` was sent, or with `None` that the chat is live. Has no
    /// effect if a later `Resume` named the chat.
    fn advance(&mut self, chat: ChatId, generation: u64, seq: Option<Seq>) {
        if let Some((current, after)) = self.behind.get_mut(&chat)
            && *current == generation
        {
            match seq {
                Some(seq) => *after = seq,
                None => drop(self.behind.remove(&chat)),
            }
        }
    }
}

impl SessionActor {
    pub(super) fn resume(
        &mut self,
        who: Credential,
        request_id: Option<u64>,
        epoch: i64,
        chats: Vec<(ChatId, Seq)>,
        window_permit: OwnedSemaphorePermit,
        ctx: &mut Ctx<Self>,
    ) {
        self.replay.generation += 1;
        let (generation, session_ref) = (self.replay.generation, self.session_ref(who));
        let (services, outbox, bulk) = (self.services.clone(), self.outbox.clone(), self.bulk.clone());
        let mut room = self.bulk_room(who);
        let asking = async move {
            // Every named chat has an answer, so these answers too are made one packet at a time.
            let _bulk_permit = bulk.acquire().await;
            let admitted = loop {
                outbox.room().await;
                match room.admit(chats.len() * CURSOR_BYTES) {
                    Some(admitted) => break admitted,
                    None => drop(room.small().await.ok_or_else(no_space)?),
                }
            };
            let behind =
                services.cache.catch_up(session_ref, ResumeCursors { generation, epoch, chats }).await?;
            room.sent(admitted);
            Ok(behind)
        };
        let begin = move |behind: Result<Vec<(ChatId, Seq)>, ServiceError>,
                          session: &mut Self,
                          ctx: &mut Ctx<Self>| {
            match behind {
                Ok(behind) => {
                    let queue = behind.into_iter().map(|(chat, seq)| (chat, (generation, seq)));
                    session.replay.behind.extend(queue);
                    if request_id.is_some() {
                        session.acknowledge(AckPacket { request_id, success: true, ..AckPacket::default() });
                    }
                    if session.replay.behind.len() > session.services.limits.resume_chats {
                        return session.end(None, GoodbyeCode::Overloaded);
                    }
                    session.replay_next(who, ctx);
                }
                Err(error) => session.acknowledge(nack(request_id, error)),
            }
            drop(window_permit);
        };
        ctx.spawn(asking.into_actor(self).map(begin));
    }

    /// Replays a page of the first chat that is catching up, and continues until no chat is.
    fn replay_next(&mut self, who: Credential, ctx: &mut Ctx<Self>) {
        if self.replay.running {
            return;
        }
        let Some((&chat, &(generation, after))) = self.replay.behind.first_key_value() else { return };
        self.replay.running = true;
        let (services, outbox, session_ref) =
            (self.services.clone(), self.outbox.clone(), self.session_ref(who));
        let echo = self.replay.echo;
        let room = self.bulk_room(who);
        let page = async move {
            outbox.room().await;
            let (bytes_max, admitted) = room.replay().await;
            let before = outbox.bytes();
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
        };
        let go_on = move |outcome: Result<Option<Seq>, ServiceError>,
                          session: &mut Self,
                          ctx: &mut Ctx<Self>| {
            session.replay.running = false;
            match outcome {
                Ok(seq) => {
                    session.replay.advance(chat, generation, seq);
                    session.replay_next(who, ctx);
                }
                Err(error) if error.code == Code::Overloaded => {
                    ctx.run_later(REST, move |session, ctx| session.replay_next(who, ctx));
                }
                Err(error) => {
                    tracing::error!(%chat, error = error.detail, "replay failed: the client must reconnect");
                    session.end(None, GoodbyeCode::Overloaded);
                }
            }
        };
        ctx.spawn(page.into_actor(self).map(go_on));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_of_an_earlier_resume_does_not_move_the_chat() {
        let mut replay = ReplayQueue::new(true);
        replay.behind.insert(ChatId(1), (2, 10));
        replay.advance(ChatId(1), 1, Some(500));
        replay.advance(ChatId(1), 1, None);
        assert_eq!(replay.behind.get(&ChatId(1)), Some(&(2, 10)));
        replay.advance(ChatId(1), 2, Some(20));
        assert_eq!(replay.behind.get(&ChatId(1)), Some(&(2, 20)));
        replay.advance(ChatId(1), 2, None);
        assert!(replay.behind.is_empty());
    }
}
