//! Scenario `messages`: many sessions in the same chats, and a checker that compares what each
//! received.
//!
//! `scenario` runs it, `target` is its server, `run` the state that its sessions share, `session`
//! one of them, `slow` a session that does not read, and `content` the text of a message. The
//! sessions use `netbit::client`, like other programs: the scenario finds faults and does not
//! measure speed.

mod checker;
mod content;
mod run;
mod scenario;
mod session;
mod slow;
mod target;

pub(crate) use checker::{Fault, Faults};
pub(crate) use scenario::Messages;
