//! The TCP edge: sockets, and the sessions behind them.
//!
//! `session` holds the state machine, the actor around it and its two socket tasks; `admission` says who may connect;
//! `tcp` accepts. Answers and pushes leave through the session's outbox only.

mod admission;
mod session;
mod tcp;

pub use session::SessionStats;
pub use tcp::{SessionThread, TcpEdge, bind};
