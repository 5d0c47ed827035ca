//! Table rows, and how they become domain values.

pub mod access_token;
pub mod account;
pub mod audit;
pub mod chat;
pub mod fan_out;
pub mod message;
pub mod notification;
pub mod project;
pub mod push;
