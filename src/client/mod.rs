//! A typed client of the server's own protocols.
//!
//! The terminal client, the integration tests and the load test all speak through this module, so what they exercise is
//! what users run. Nothing in the server uses it.

mod http;
pub mod metrics;
mod origin;
mod tcp;
mod trust;
mod websocket;

pub use http::{Account, HttpAnswer, HttpClient, HttpError};
pub use origin::Origin;
pub use tcp::{FrameReader, FrameWriter, Incoming, TcpClient, TcpError, encode, saying};
pub use trust::{Trust, TrustError};
