//! The actors that own the server's state, one folder each.
//!
//! `mod` exports the handle (the only way in), `messages` defines the messages, `actor` routes
//! them, and plain structs next to it decide.

pub mod cache;
pub mod hub;
pub mod presence;
pub mod writer;
