//! The part of a session that makes answers.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::super::metrics::Transport;
use super::room::BulkRoom;
use crate::actors::cache::SessionRef;
use crate::actors::outbox::Outbox;
use crate::domain::access::Credential;
use crate::domain::ids::SessionId;
use crate::protocol::answer::GoodbyeCode;
use crate::services::Services;

/// Makes the answers of one session. Its methods that answer are futures, which the session's actor
/// spawns; each gets a clone. Cheap to clone.
#[derive(Clone)]
pub(super) struct Responder {
    pub(super) session: SessionId,
    pub(super) hub: usize,
    pub(super) transport: Transport,
    pub(super) services: Arc<Services>,
    pub(super) outbox: Arc<Outbox>,
    /// Admits one bulk answer at a time.
    pub(super) bulk: Arc<Semaphore>,
}

impl Responder {
    /// Returns the address under which the cache reaches this session.
    pub(super) fn session_ref(&self, who: Credential) -> SessionRef {
        SessionRef { session: self.session, hub: self.hub, who }
    }

    /// Sends a `Goodbye`. Nothing follows it.
    pub(super) fn goodbye(&self, code: GoodbyeCode) {
        let reconnect = matches!(code, GoodbyeCode::Shutdown | GoodbyeCode::Overloaded | GoodbyeCode::Idle);
        let spread = self.services.limits.return_spread_ms;
        let is_spread = code == GoodbyeCode::Shutdown && spread > 0;
        let after_ms = is_spread.then(|| rand::random_range(0..=spread));
        self.outbox.goodbye_until(code, reconnect, after_ms);
    }

    pub(super) fn bulk_room(&self, who: Credential) -> BulkRoom {
        BulkRoom::new(self.services.clone(), self.outbox.clone(), who, self.transport)
    }
}
