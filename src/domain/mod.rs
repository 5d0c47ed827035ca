//! Types and rules of the domain, independent of sockets, SQL and actors.
//!
//! All types here are plain values. Input becomes a type at the edge (`Username::parse`,
//! `Content::parse`) and is trusted from there on. Deliberately absent: any dependency beyond
//! serde's derives, time and UUIDs.

pub mod access;
#[cfg(test)]
mod access_test;
pub mod audit;
pub mod avatar;
pub mod chat;
pub mod code_talk;
pub mod device;
pub mod emoji;
pub mod event;
pub mod event_page;
pub mod file;
pub mod ids;
pub mod image;
pub mod lfs;
pub mod login;
pub mod media;
pub mod mention;
pub mod message;
pub mod metadata;
pub mod name;
pub mod node;
pub mod notification;
pub mod own_messages;
pub mod page;
pub mod password;
pub mod percent;
pub mod permission;
pub mod presence;
pub mod project;
pub mod push;
pub mod recorded_refs;
pub mod refusal;
pub mod repository;
pub mod search;
pub mod text;
pub(crate) mod text_enum;
pub mod thread;
pub mod timestamp;
pub mod user;
