//! The handle of a session: the only way to its actor.

use tokio::sync::OwnedSemaphorePermit;

use super::super::acceptor::{SessionAcceptor, SessionStats};
use super::actor::{NewSession, SessionActor};
use super::messages::{CloseAfterReplies, CloseNow, Frame};
use super::state::Incoming;
use crate::core::actor::{ActorStats, Mailbox};
use crate::protocol::answer::GoodbyeCode;

/// Passes the packets of one connection to its session. Only the reader of the socket owns one.
pub struct SessionHandle {
    mailbox: Mailbox<SessionActor>,
}

impl SessionHandle {
    /// Returns the statistics that all sessions of a server share.
    pub fn stats(measures: bool) -> SessionStats {
        ActorStats::measuring::<SessionActor>(measures, None)
    }

    /// Starts a session's actor on a thread.
    pub(super) fn start(new: NewSession, thread: &actix::ArbiterHandle, acceptor: &SessionAcceptor) -> Self {
        let (stats, fatal) = (acceptor.stats.clone(), acceptor.fatal.clone());
        let make = move |_: &Mailbox<SessionActor>| SessionActor::new(new);
        Self { mailbox: crate::core::actor::start(thread, stats, fatal, make) }
    }

    /// Passes a packet on, with its permit of the window.
    pub(super) fn receive(&self, incoming: Incoming, window_permit: OwnedSemaphorePermit) {
        self.mailbox.post(Frame { incoming, window_permit });
    }

    /// Ends the session at once, with a `Goodbye` if there is a code.
    pub(super) fn close_now(&self, code: Option<GoodbyeCode>) {
        self.mailbox.post(CloseNow { code });
    }

    /// Ends the session after the answers to all received packets.
    pub(super) fn close_after_replies(&self, code: Option<GoodbyeCode>) {
        self.mailbox.post(CloseAfterReplies { code });
    }
}
