//! A typed client for the protocols of the server.
//!
//! The terminal client, the integration tests and the load test all use this module, so the tests
//! exercise the code that users run. The server does not use it.

mod http;
pub mod metrics;
mod origin;
mod tcp;
mod websocket;

pub use crate::core::trust::{Trust, TrustError};
pub(crate) use http::root_cause;
pub use http::{Account, HttpAnswer, HttpClient, HttpError};
pub use origin::Origin;
pub use tcp::{FrameReader, FrameWriter, Received, TcpClient, TcpError, encode, saying};
