//! Codes of the closing handshake (RFC 6455 section 7.4): client libraries use them to decide
//! whether to reconnect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::AcqRel, Ordering::Acquire};

use crate::protocol::answer::GoodbyeCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WebClose(u16);

impl WebClose {
    pub(super) const NORMAL: Self = Self(1000);
    /// The client broke the WebSocket protocol.
    pub(super) const PROTOCOL: Self = Self(1002);
    /// The message contradicts its type: text that is not UTF-8, a binary message that is not a
    /// packet.
    pub(super) const INVALID: Self = Self(1007);
    pub(super) const TOO_LARGE: Self = Self(1009);
    const GOING_AWAY: Self = Self(1001);
    const POLICY: Self = Self(1008);
    const RESTART: Self = Self(1012);
    const TRY_AGAIN_LATER: Self = Self(1013);

    /// Returns the code for a `Goodbye`.
    pub(super) fn of(code: GoodbyeCode) -> Self {
        match code {
            GoodbyeCode::Bye => Self::NORMAL,
            GoodbyeCode::Shutdown => Self::RESTART,
            GoodbyeCode::Idle => Self::GOING_AWAY,
            GoodbyeCode::Overloaded => Self::TRY_AGAIN_LATER,
            GoodbyeCode::BadRequest | GoodbyeCode::Revoked | GoodbyeCode::Unauthenticated => Self::POLICY,
        }
    }

    pub(super) fn code(self) -> u16 {
        self.0
    }
}

/// Reason for which the reader ended a connection, for the writer. The first reason is kept.
#[derive(Debug, Clone, Default)]
pub(super) struct SharedClose(Arc<AtomicU16>);

impl SharedClose {
    pub(super) fn set(&self, close: WebClose) {
        // A later reason is a consequence of the first one.
        let _first = self.0.compare_exchange(0, close.0, AcqRel, Acquire);
    }

    /// Stores the close code of the client, which is answered with the same code.
    pub(super) fn echo(&self, code: Option<u16>) {
        self.set(code.map_or(WebClose::NORMAL, WebClose));
    }

    pub(super) fn get(&self) -> Option<WebClose> {
        Some(self.0.load(Acquire)).filter(|code| *code != 0).map(WebClose)
    }
}
