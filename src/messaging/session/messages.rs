//! The messages of a session's mailbox.

use actix::Message;
use tokio::sync::OwnedSemaphorePermit;

use super::actor::SessionActor;
use super::state::Incoming;
use crate::core::actor::instrumented_actor;
use crate::protocol::answer::GoodbyeCode;

/// A packet with its permit of the session's window.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Frame {
    pub(super) incoming: Incoming,
    pub(super) window_permit: OwnedSemaphorePermit,
}

/// Reading has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CloseNow {
    pub(super) code: Option<GoodbyeCode>,
}

/// Reading has ended. Packets in flight are answered before the session ends.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct CloseAfterReplies {
    pub(super) code: Option<GoodbyeCode>,
}

instrumented_actor!(SessionActor, "session", [CloseAfterReplies, CloseNow, Frame]);
