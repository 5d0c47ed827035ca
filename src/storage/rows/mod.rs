//! Table rows, and their conversion to domain values.

pub mod access_token;
pub mod account;
pub mod audit;
pub mod avatar;
pub mod chat;
pub mod fan_out;
pub mod file;
pub mod lfs;
pub mod listener;
pub mod login;
pub mod message;
pub mod notification;
pub mod project;
pub mod push;
pub mod thread;
pub mod trimming;
pub mod watcher;
