//! Permissions: the single set of rules for all transports, applied in the writer's transaction and
//! in the cache's answer.

pub mod chat;
pub mod people;
pub mod project;
