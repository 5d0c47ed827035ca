//! Scenario `messages`: many sessions in the same chats, and a judge who compares what each of them saw.
//!
//! `scenario` is the course of it, `target` where it takes place, `run` what its sessions share, `session` one of them,
//! `slow` one that does not read, `checker` the judge, `content` what is said. It speaks through `netbit::client`, as
//! programs do; it looks for what is wrong, and is no measure of speed.

mod checker;
mod content;
mod run;
mod scenario;
mod session;
mod slow;
mod target;

pub(crate) use checker::{Fault, Faults};
pub(crate) use scenario::Messages;
