//! Transports and sessions of the chat: sockets, and the actors that serve them.
//!
//! `session` holds the state machine, the actor around it and its two socket tasks. `admission`
//! decides which connections may start, `acceptor` is shared by the transports, `tcp` accepts,
//! `websocket` upgrades. Answers and pushes leave through the session's outbox only.

mod acceptor;
mod admission;
mod metrics;
mod session;
mod tcp;
mod websocket;

pub use acceptor::{SessionAcceptor, SessionMetrics, SessionStats, SessionThread};
pub use metrics::{ConnectionMetrics, Transport};
pub use session::SessionHandle;
pub use tcp::{TcpAcceptor, bind};
pub use websocket::{HttpSpot, open as open_websocket};
