//! The actors that own the server's state, one folder each.
//!
//! `mod` exports the handle (the only way in), `messages` defines the messages, `actor` routes
//! them, and plain structs next to it decide.
//!
//! The types that several actors share are not in a folder of one of them: `commit` (from the
//! writer to the cache), `error` (of queries), `freshness` (the age of the state) and `outbox`
//! (frames for a session's socket). So the modules use each other in one direction: `outbox`,
//! `error`, `commit` <- `freshness` <- `hub`, `presence` <- `cache` <- `search`, `writer`.
//! `tests/it/tidy.rs` checks it.

pub mod cache;
pub mod commit;
pub mod error;
pub mod freshness;
pub mod hub;
pub mod outbox;
pub mod presence;
pub mod search;
pub mod writer;
