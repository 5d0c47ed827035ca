//! One function per statement. diesel keeps each one prepared.

pub mod accounts;
pub mod chats;
pub mod messages;
pub mod meta;
