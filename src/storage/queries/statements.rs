//! The statements of one engine. `Db` is its connection; `bulk` has the statements that need
//! different SQL on each engine.

use super::{Backend, Db, bulk};

pub mod access_tokens;
pub mod accounts;
pub mod audit;
pub mod avatars;
pub mod blocks;
pub mod chats;
pub mod code_talks;
pub mod consistency;
pub mod fan_outs;
pub mod files;
mod given;
pub mod lfs;
pub mod listeners;
pub mod logins;
pub mod messages;
pub mod meta;
pub mod notifications;
pub mod projects;
pub mod pushes;
pub mod repositories;
pub mod threads;
pub mod watchers;
