//! Queries: one function per statement. diesel keeps each statement prepared, except those over a
//! list of rows.

pub mod access_tokens;
pub mod accounts;
pub mod audit;
pub mod blocks;
pub mod chats;
pub mod code_talks;
pub mod consistency;
pub mod fan_outs;
mod given;
pub mod listeners;
pub mod logins;
pub mod messages;
pub mod meta;
pub mod notifications;
#[cfg(test)]
mod prepared_test;
pub mod projects;
pub mod pushes;
pub mod repositories;
pub mod threads;
pub mod watchers;
