//! The HTTP edge that pages, the API and sessions share: extractors, errors, validators, and the
//! layer around every request.
//!
//! Invariant: nothing here knows a route's content. The three rooms to the right decide that:
//! `api` (JSON and git), `web` (pages) and `messaging` (sessions).

pub mod activity;
pub(crate) mod address;
mod commit_token;
pub(crate) mod compressed;
pub(crate) mod contents;
pub(crate) mod cookie;
pub mod cors;
pub(crate) mod error;
pub mod error_page;
pub(crate) mod extract;
pub mod head;
pub(crate) mod lfs_error;
pub mod metrics;
pub mod observe;
pub(crate) mod origin;
pub(crate) mod page_names;
pub(crate) mod picture;
pub(crate) mod pieces;
mod query_keys;
pub(crate) mod ranges;
mod refused;
mod request_log;
pub(crate) mod room;
pub(crate) mod route_names;
pub(crate) mod spooled;
pub(crate) mod validator;

pub use error::HttpError;
pub use error_page::ErrorPage;
pub use extract::peer_of;
pub(crate) use refused::{AsSent, Refused};
pub use request_log::RequestLog;
