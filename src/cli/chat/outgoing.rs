//! Messages that are not acknowledged yet.
//!
//! Invariants
//! * Messages are sent in the order in which they were typed, one at a time, so a retry cannot
//!   overtake another message.
//! * A message keeps its `client_id` until the server has accepted or refused it. After a lost
//!   connection the server recognises the resent message.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::ids::{ChatId, MessageId};
use crate::domain::message::ClientId;
use crate::domain::timestamp::Timestamp;
use crate::protocol::packet::MessagePacket;

/// Attempts for a message while the server answers that it cannot accept it now.
const ATTEMPTS_MAX: u32 = 10;
/// Wait before a retry when the server does not specify it.
const PAUSE: Duration = Duration::from_secs(1);
/// Upper bound of the wait that a server may specify.
const PAUSE_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsent {
    pub(super) chat: ChatId,
    pub(super) client_id: ClientId,
    pub(super) content: String,
    pub(super) reply_to: Option<MessageId>,
    pub(super) created_at: Timestamp,
    attempts: u32,
}

impl Unsent {
    /// Returns a new message with a `client_id` of its own.
    pub(super) fn new(chat: ChatId, content: String, reply_to: Option<MessageId>) -> Self {
        Self::again(chat, ClientId::fresh(), content, reply_to, Timestamp::now())
    }

    /// Returns a message that may have been sent before.
    pub(super) fn again(
        chat: ChatId,
        client_id: ClientId,
        content: String,
        reply_to: Option<MessageId>,
        created_at: Timestamp,
    ) -> Self {
        Self { chat, client_id, content, reply_to, created_at, attempts: 0 }
    }

    pub(super) fn packet(&self) -> MessagePacket {
        let mut packet = crate::client::saying(self.chat, self.client_id, &self.content);
        if let Some(message) = &mut packet.message {
            message.reply_to = self.reply_to;
        }
        packet
    }
}

#[derive(Debug, Default)]
pub(super) struct Outgoing {
    queue: VecDeque<Unsent>,
    /// The first message of the queue is on its way.
    in_flight: bool,
    paused_until: Option<Instant>,
}

/// Outcome for a message that the server refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The message is sent again later.
    Later,
    /// The message is not sent any more.
    GivenUp(Unsent),
}

impl Outgoing {
    pub(super) fn push(&mut self, unsent: Unsent) {
        self.queue.push_back(Unsent { attempts: 0, ..unsent });
    }

    /// Returns the messages in the order in which they are sent.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Unsent> {
        self.queue.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Returns when the next message may be sent, if it must wait.
    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Returns the message to send now and marks it as on its way.
    pub(super) fn next(&mut self, now: Instant) -> Option<Unsent> {
        if self.in_flight || self.paused_until.is_some_and(|until| until > now) {
            return None;
        }
        self.paused_until = None;
        let first = self.queue.front_mut()?;
        first.attempts += 1;
        self.in_flight = true;
        Some(first.clone())
    }

    /// The message on its way is committed. Returns it.
    pub(super) fn acknowledged(&mut self) -> Option<Unsent> {
        std::mem::take(&mut self.in_flight).then(|| self.queue.pop_front()).flatten()
    }

    /// Handles the refusal of the message on its way.
    pub(super) fn refused(
        &mut self,
        code: &str,
        retry_after_ms: Option<u64>,
        now: Instant,
    ) -> Option<Refused> {
        if !std::mem::take(&mut self.in_flight) {
            return None;
        }
        // `internal` leaves open whether the message was committed: a retry with the same
        // `client_id` settles it.
        let for_now = matches!(code, "rate_limited" | "overloaded" | "internal" | "read_only");
        if for_now && self.queue.front().is_some_and(|first| first.attempts < ATTEMPTS_MAX) {
            let pause = retry_after_ms.map_or(PAUSE, Duration::from_millis);
            self.paused_until = Some(now + pause.min(PAUSE_MAX));
            return Some(Refused::Later);
        }
        self.queue.pop_front().map(Refused::GivenUp)
    }

    /// It is unknown whether the message on its way arrived: it will be sent again.
    pub(super) fn connection_lost(&mut self) {
        self.in_flight = false;
        self.paused_until = None;
    }

    /// Removes all messages and returns them.
    pub(super) fn abandon(&mut self) -> VecDeque<Unsent> {
        std::mem::take(self).queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (Outgoing, Instant) {
        let mut outgoing = Outgoing::default();
        outgoing.push(Unsent::new(ChatId(1), "one".into(), None));
        outgoing.push(Unsent::new(ChatId(1), "two".into(), None));
        (outgoing, Instant::now())
    }

    #[test]
    fn message_keeps_its_client_id_over_a_lost_connection() {
        let (mut outgoing, now) = two();
        let first = outgoing.next(now).unwrap();
        assert_eq!(outgoing.next(now), None, "one at a time");
        outgoing.connection_lost();
        let again = outgoing.next(now).unwrap();
        assert_eq!((again.client_id, again.content.as_str()), (first.client_id, "one"));
        assert_eq!(outgoing.acknowledged().map(|sent| sent.chat), Some(ChatId(1)));
        assert_eq!(outgoing.next(now).unwrap().content, "two");
        outgoing.acknowledged();
        assert!(outgoing.is_empty());
    }

    #[test]
    fn messages_are_resent_in_order_when_the_server_is_busy() {
        let (mut outgoing, now) = two();
        let first = outgoing.next(now).unwrap();
        assert_eq!(outgoing.refused("rate_limited", Some(200), now), Some(Refused::Later));
        assert_eq!(outgoing.next(now), None);
        let later = outgoing.paused_until().unwrap();
        assert_eq!(later, now + Duration::from_millis(200));
        assert_eq!(outgoing.next(later).unwrap().client_id, first.client_id);
    }

    #[test]
    fn refusal_is_final_and_retries_are_bounded() {
        let (mut outgoing, now) = two();
        outgoing.next(now);
        assert!(
            matches!(outgoing.refused("forbidden", None, now), Some(Refused::GivenUp(one)) if one.content == "one")
        );
        let mut at = now;
        for _ in 1..ATTEMPTS_MAX {
            outgoing.next(at).unwrap();
            assert_eq!(outgoing.refused("overloaded", Some(u64::MAX), at), Some(Refused::Later));
            at = outgoing.paused_until().unwrap();
        }
        outgoing.next(at).unwrap();
        assert!(matches!(outgoing.refused("overloaded", None, at), Some(Refused::GivenUp(_))));
        assert!(outgoing.is_empty());
        assert_eq!(outgoing.refused("forbidden", None, at), None, "an answer without a message on its way");
    }
}
