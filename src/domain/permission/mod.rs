//! Who may do what: the one set of rules that every transport asks, in the writer's transaction and in the cache's answer.

pub mod chat;
pub mod people;
pub mod project;
