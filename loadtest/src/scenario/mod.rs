//! Scenarios: what the server is put through.
//!
//! `messages` is the one there is; `target` is where it takes place, `run` what its sessions share, `session` one of
//! them, `slow` one that does not read, `crowd` many things at a time.

mod crowd;
mod messages;
mod run;
mod session;
mod slow;
mod target;

pub(crate) use messages::Messages;
