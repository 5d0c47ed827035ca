//! Table rows, and their conversion to domain values.

pub mod access_token;
pub mod account;
pub mod audit;
pub mod chat;
pub mod fan_out;
pub mod message;
pub mod notification;
pub mod project;
pub mod push;
