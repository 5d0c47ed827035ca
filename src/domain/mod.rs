//! Nouns and rules, free of sockets, SQL and actors.
//!
//! Everything here is a plain value. Input becomes a type at the edge (`Username::parse`, `Content::parse`) and is
//! trusted from there on. Deliberately absent: any dependency beyond serde's derives, time and UUIDs.

pub mod chat;
pub mod event;
pub mod ids;
pub mod message;
pub mod metadata;
pub mod permission;
pub mod refusal;
pub mod timestamp;
pub mod user;
