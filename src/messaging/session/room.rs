//! Space for bulk answers. Small answers need none. Large answers reserve space that counts for the
//! session's user until their frames have reached the socket.
//!
//! Without space, an answer is cut to a small one and waits until the client has read most of the
//! earlier frames. So a user whose sessions do not read is bounded over all of them, and a client
//! that reads is always served.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::metrics::Transport;
use crate::actors::outbox::Outbox;
use crate::core::shares::{Holder, Slot};
use crate::domain::access::Credential;
use crate::domain::event::ChatEvent;
use crate::protocol::json_size::json_bytes_max;
use crate::services::Services;

/// Pause of an answer that was cut, before it requests space again.
const REST: Duration = Duration::from_millis(100);

/// Admission of one bulk answer to the outbox.
pub(super) struct BulkRoom {
    services: Arc<Services>,
    outbox: Arc<Outbox>,
    holder: Holder,
    transport: Transport,
    deadline: Instant,
    was_cut: bool,
}

/// Permission to put an answer into the outbox; `None` for a small answer.
pub(super) struct AnswerSpace(Option<Slot>);

impl BulkRoom {
    pub(super) fn new(
        services: Arc<Services>,
        outbox: Arc<Outbox>,
        who: Credential,
        transport: Transport,
    ) -> Self {
        let deadline = Instant::now() + Duration::from_millis(services.limits.answer_patience_ms);
        Self { services, outbox, holder: Holder::Account(who.user), transport, deadline, was_cut: false }
    }

    /// Returns a function for the bytes of an event, or an upper bound, in the encoding of the
    /// transport. A WebSocket may use JSON.
    pub(super) fn cost(&self) -> fn(&ChatEvent) -> usize {
        if self.is_web() { json_bytes_max } else { ChatEvent::bytes }
    }

    fn is_web(&self) -> bool {
        self.transport == Transport::WebSocket
    }

    /// Admits an answer of this size if it is small or if there is space for it.
    pub(super) fn admit(&self, bytes: usize) -> Option<AnswerSpace> {
        if bytes <= self.small_bytes() && self.outbox.bytes() <= self.small_bytes() / 2 {
            return Some(AnswerSpace(None));
        }
        // A WebSocket message is built from the whole frame, so both are in memory.
        let bytes = if self.is_web() { bytes.saturating_mul(2) } else { bytes };
        self.services.answer_space(self.holder, bytes).map(|space| AnswerSpace(Some(space)))
    }

    /// Waits until a small answer is admitted, and returns its maximum size. Returns `None` at the
    /// deadline or at the end of the session.
    pub(super) async fn small(&mut self) -> Option<usize> {
        if std::mem::replace(&mut self.was_cut, true) {
            tokio::time::sleep(REST).await;
        }
        let drained = self.outbox.drained_to(self.small_bytes() / 2);
        tokio::time::timeout_at(self.deadline, drained).await.ok()?;
        (Instant::now() < self.deadline && !self.outbox.has_ended()).then(|| self.small_bytes())
    }

    /// Keeps the space reserved until the answer, which is in the outbox, has reached the socket.
    pub(super) fn sent(&self, AnswerSpace(space): AnswerSpace) {
        if let Some(space) = space {
            self.outbox.keep(space);
        }
    }

    /// Reserves space for a page of a replay and waits as long as necessary. Returns the maximum
    /// size of the page.
    pub(super) async fn replay(&self) -> (usize, AnswerSpace) {
        let bytes = self.services.limits.outbox_bytes / 2;
        match self.services.answer_space(self.holder, bytes) {
            Some(space) => (bytes, AnswerSpace(Some(space))),
            None => {
                self.outbox.drained_to(self.small_bytes() / 2).await;
                (self.small_bytes(), AnswerSpace(None))
            }
        }
    }

    /// As [`Self::sent`], for a page that may be smaller than its space; `before` is the number of
    /// outbox bytes ahead of the page.
    pub(super) fn replayed(&self, AnswerSpace(space): AnswerSpace, before: usize) {
        let bytes = self.outbox.bytes().saturating_sub(before);
        let is_small = bytes <= self.small_bytes() && before <= self.small_bytes() / 2;
        if let Some(mut space) = space.filter(|_| !is_small) {
            space.shrink(bytes);
            self.outbox.keep(space);
        }
    }

    fn small_bytes(&self) -> usize {
        self.services.limits.answer_small_bytes
    }
}
