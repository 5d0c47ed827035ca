//! Table rows, and how they become domain values.

pub mod account;
pub mod chat;
pub mod message;
